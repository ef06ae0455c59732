/**
 * The states of single members, each kept once, and what each event makes of them.
 *
 * A member meets the same events in the same state in very many histories of the cluster. So each state has a
 * number, each message has a number, and what became of (state, event) is worked out once, on a fork of the real
 * member, and looked up ever after. A step of the whole cluster is then little more than a look-up, which is what
 * makes exhaustive search of the real code fast enough.
 *
 * A state is everything: the member's variables, its disk, its outstanding writes, its state machine, and what the
 * all-seeing observer remembers of it. The local checkers run once for each transition.
 */
import { logIndex, type NodeId, nodeId } from "../../../../src/core/base/ids.js";
import {
  type ConfChange,
  type Entry,
  isConfChange,
  type Message,
  type RaftConfig,
  type RawNode,
} from "../../../../src/core/raft/raft.js";
import { LOCAL } from "../checkers/local.js";
import { NO_MEMORY, remember, type Seen, sameEntry, type View, viewOf } from "../checkers/seen.js";
import { type Disk, deepFreeze, emptyDisk, founded, persist } from "../cluster.js";
import { fork, identity, type Room } from "./glass.js";

/** What can happen to one member. Numbers, so that an event is one number: deliveries are `DELIVER + message`. */
export const TIMEOUT = 0;
export const HEARTBEAT = 1;
export const WRITE = 2;
export const APPLY = 3;
export const CRASH = 4;
/** `PROPOSE + n` proposes the n-th value, below `DELIVER`. */
export const PROPOSE = 5;
/** Takes a snapshot of what is applied and drops the log up to there. */
export const COMPACT = 16;
/** `CHANGE + n` proposes the n-th of `CHANGES`, below `DELIVER`. */
export const CHANGE = 17;
export const DELIVER = 24;

const ADD_LEARNER = { type: "ConfChangeAddLearnerNode", node: nodeId(3) } as const;
const ADD = { type: "ConfChangeAddNode", node: nodeId(3) } as const;
const REMOVE = { type: "ConfChangeRemoveNode", node: nodeId(2) } as const;
const REMOVE_FIRST = { type: "ConfChangeRemoveNode", node: nodeId(1) } as const;

/** The changes of the configuration that may be proposed, with what they are called. */
export const CHANGES: readonly (readonly [string, ConfChange["changes"]])[] = [
  ["to add 3 as a learner", [ADD_LEARNER]],
  ["to add 3, or to promote it", [ADD]],
  ["to remove 2", [REMOVE]],
  ["to remove 1", [REMOVE_FIRST]],
  ["to replace 2 by 3, jointly", [ADD, REMOVE]],
];

/** One state of one member. */
export interface Local {
  readonly number: number;
  readonly node: RawNode;
  readonly disk: Disk;
  readonly appends: readonly Message[];
  readonly applies: readonly Message[];
  readonly appliedCount: number;
  readonly seen: Seen;
  readonly leads: boolean;
  readonly outcomes: Map<number, Outcome>;
}

/** What an event made of a state. */
export interface Outcome {
  /** The state after; the same as before when nothing at all changed. */
  readonly next: Local;
  /** Numbers of the messages that entered the network. */
  readonly sent: readonly number[];
  /** What it broke, by the name of the invariant. */
  readonly broken: string | null;
}

/** Settings that shape the members. */
export interface MemberOptions {
  readonly members: number;
  /** How many of them, the last ones, belong to nobody at first; then the log begins with a snapshot. */
  readonly spares: number;
  readonly preVote: boolean;
  readonly checkQuorum: boolean;
  /** Unit: entries in an append; 0 for no limit. One at a time makes more of the paper's figure 8. */
  readonly entriesPerAppend: number;
}

/** Large enough for heartbeats never to add up to it. */
const ELECTION_TICK = 1000;

/** A member that is being worked on. */
interface Work {
  node: RawNode;
  disk: Disk;
  appends: readonly Message[];
  applies: readonly Message[];
  appliedCount: number;
  readonly sent: Message[];
}

export class Locals {
  readonly #room: Room;
  readonly #options: MemberOptions;
  readonly #byIdentity = new Map<string, Local>();
  readonly #logs = new Map<string, readonly Entry[]>();
  readonly #messageNumbers = new Map<string, number>();
  readonly messages: Message[] = [];
  /** Transitions that were worked out. */
  worked = 0;

  constructor(room: Room, options: MemberOptions) {
    this.#room = room;
    this.#options = options;
  }

  get count(): number {
    return this.#byIdentity.size;
  }

  /** A member that has never run. */
  initial(id: number): Local {
    const { members, spares } = this.#options;
    const disk = spares > 0 && id <= members - spares ? founded(members - spares) : emptyDisk();
    const work = this.#booted(nodeId(id), disk);
    this.#drain(nodeId(id), work);
    return this.#keep(remember(NO_MEMORY, this.#view(id, work), []), work);
  }

  /** What `event` makes of `local`. */
  on(local: Local, event: number): Outcome {
    const known = local.outcomes.get(event);
    if (known !== undefined) return known;
    const outcome = this.#work(local, event);
    local.outcomes.set(event, outcome);
    return outcome;
  }

  /** The number of a message; equal messages have equal numbers. */
  number(m: Message): number {
    const key = messageKey(m);
    const known = this.#messageNumbers.get(key);
    if (known !== undefined) return known;
    const number = this.messages.length;
    this.messages.push(m);
    this.#messageNumbers.set(key, number);
    return number;
  }

  #work(local: Local, event: number): Outcome {
    this.worked++;
    const { id } = local.seen;
    const work: Work = { ...local, node: event === CRASH ? local.node : fork(local.node), sent: [] };
    let seen: Seen;
    try {
      this.#perform(nodeId(id), work, event);
      seen = remember(local.seen, this.#view(id, work), work.sent);
    } catch (error) {
      // The member's own assertions are on; what they catch is a finding like any other.
      return { next: local, sent: [], broken: `I20 NoThrow: member ${id}: ${String(error)}` };
    }
    const next = this.#keep(seen, work);
    const change = { before: local.seen, after: next.seen, sent: work.sent, crashed: event === CRASH };
    let broken: string | null = null;
    for (const [name, check] of Object.entries(LOCAL)) {
      const wrong = check(change);
      if (wrong !== null) broken ??= `${name}: member ${id}: ${wrong}`;
    }
    return { next, sent: work.sent.map((m) => this.number(m)), broken };
  }

  #perform(id: NodeId, work: Work, event: number): void {
    if (event === CRASH) Object.assign(work, this.#booted(id, work.disk));
    else if (event === WRITE) this.#write(id, work);
    else if (event === APPLY) this.#apply(work);
    else if (event === TIMEOUT) work.node.campaign();
    else if (event === HEARTBEAT) work.node.tick();
    else if (event === COMPACT) compact(work);
    else if (event < COMPACT) work.node.propose(Uint8Array.of(97 + event - PROPOSE));
    else if (event < DELIVER) {
      const changes = CHANGES[event - CHANGE]?.[1] ?? [];
      const cc = { transition: "ConfChangeTransitionAuto", changes, context: new Uint8Array() } as const;
      work.node.proposeConfChange(cc, "EntryConfChangeV2");
    } else {
      const m = this.messages[event - DELIVER];
      if (m === undefined) throw new Error(`no message ${event - DELIVER}`);
      work.node.step(m);
    }
    this.#drain(id, work);
  }

  #booted(id: NodeId, disk: Disk): Omit<Work, "sent"> & { sent: Message[] } {
    const { members, spares, preVote, checkQuorum, entriesPerAppend } = this.#options;
    const { hardState, base, entries, snapshot } = disk;
    const appliedCount = snapshot?.index ?? 0;
    const config: RaftConfig = {
      id,
      voters: spares > 0 ? [] : Array.from({ length: members }, (_, i) => nodeId(i + 1)),
      electionTick: ELECTION_TICK,
      heartbeatTick: 1,
      preVote,
      checkQuorum,
      asyncStorageWrites: true,
      seed: 1,
      maxSizePerMsg: entriesPerAppend,
      maxInflightMsgs: 0,
      maxCommittedSizePerReady: 0,
      maxUncommittedSize: 0,
      storage: {
        hardState,
        base,
        entries,
        applied: logIndex(appliedCount),
        ...(snapshot === null ? {} : { confState: snapshot.confState }),
      },
    };
    const node = new this.#room.RawNode(config);
    if (snapshot !== null) node.setSnapshot(snapshot);
    return { node, disk, appends: [], applies: [], appliedCount, sent: [] };
  }

  #write(id: NodeId, work: Work): void {
    const [m, ...rest] = work.appends;
    if (m === undefined) return;
    const disk: Disk = { ...work.disk, entries: [...work.disk.entries] };
    persist(disk, m);
    work.disk = disk;
    work.appends = rest;
    if (m.snapshot !== null) work.appliedCount = m.snapshot.index;
    for (const response of m.responses) {
      if (response.to === id) work.node.step(response);
      else work.sent.push(response);
    }
  }

  #apply(work: Work): void {
    const [m, ...rest] = work.applies;
    if (m === undefined) return;
    work.applies = rest;
    for (const entry of m.entries) {
      // Orders from before a snapshot that was taken over meanwhile.
      if (entry.index <= work.appliedCount) continue;
      work.appliedCount = entry.index;
      if (isConfChange(entry.type)) work.node.applyConfChange(entry);
      if (work.disk.snapshot === null) continue;
      // What a peer that has fallen behind can be sent. Of the state itself its place is enough.
      const { confState } = work.node.status();
      work.node.setSnapshot(deepFreeze({ index: entry.index, term: entry.term, confState, data: null }));
    }
    for (const response of m.responses) work.node.step(response);
  }

  /** Takes out all that waits. What is to be written or applied is queued, what may leave leaves. */
  #drain(_id: NodeId, work: Work): void {
    while (work.node.hasReady()) {
      for (const m of deepFreeze(work.node.ready()).messages) {
        if (m.to === this.#room.LOCAL_APPEND_THREAD) work.appends = [...work.appends, m];
        else if (m.to === this.#room.LOCAL_APPLY_THREAD) work.applies = [...work.applies, m];
        else work.sent.push(m);
      }
    }
  }

  #view(id: number, { node, disk }: Work): View {
    const log = this.#log(node.entriesFrom(logIndex(1)));
    return viewOf(id, node, log, { ...disk, base: disk.base.index, entries: this.#log(disk.entries) });
  }

  /** Equal logs are one array, so that the checkers see at a glance what need not be compared. */
  #log(entries: readonly Entry[]): readonly Entry[] {
    const key = entries.map((e) => `${e.term}/${e.index}${e.type}${e.data.join(".")}`).join(",");
    const known = this.#logs.get(key);
    if (known?.every((entry, i) => sameEntry(entry, entries[i] as Entry))) return known;
    const kept = entries.slice();
    this.#logs.set(key, kept);
    return kept;
  }

  #keep(seen: Seen, work: Work): Local {
    const { node, disk, appends, applies, appliedCount } = work;
    const { led, votes, decided } = seen;
    const parts = [
      node,
      disk,
      appends.map(messageKey),
      applies.map(messageKey),
      appliedCount,
      led,
      votes,
      decided,
    ];
    const key = identity(parts);
    const known = this.#byIdentity.get(key);
    if (known !== undefined) return known;
    const local: Local = {
      number: this.#byIdentity.size,
      node,
      disk,
      appends,
      applies,
      appliedCount,
      seen,
      leads: seen.state === "StateLeader",
      outcomes: new Map(),
    };
    this.#byIdentity.set(key, local);
    this.byNumber.push(local);
    return local;
  }

  readonly byNumber: Local[] = [];
}

/** Equal for equal messages. */
export function messageKey(m: Message): string {
  return identity(m);
}

/** Takes a snapshot of what is applied, and drops the log up to there. */
function compact(work: Work): void {
  const { disk, node } = work;
  const { applied, confState } = node.status();
  const last = disk.entries.find(({ index }) => index === applied);
  if (last === undefined) return;
  const { index, term } = last;
  const snapshot = deepFreeze({ index, term, confState, data: null });
  node.setSnapshot(snapshot);
  node.compact(index);
  const entries = disk.entries.filter((entry) => entry.index > index);
  work.disk = { ...disk, snapshot, base: { index, term }, entries };
}
