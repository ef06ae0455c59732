/**
 * The replicated log and the state that follows from it: Raft on one side, `apply` on the other.
 *
 * The replica turns what Raft wants done into effects, keeping its order as data: what must not leave before
 * a write is durable rides in that write's `release` (peers) or waits in `waiting` (this member's own
 * acknowledgements). A request for votes waits too: two peers could elect this member before its own vote is
 * on disk, and after a crash it might stand again in that same term, be elected by the same votes, and write
 * other entries under the same term and index (paper, figure 2). Invariants: entries are applied once, in
 * order; a write's completion is handed to Raft exactly once, and a repeated or unknown completion is
 * harmless.
 */
import { assert } from "../base/assert.js";
import {
  type LogIndex,
  logIndex,
  NO_NODE,
  type NodeId,
  nodeId,
  type Term,
  type WitnessId,
} from "../base/ids.js";
import { type Applied, apply, applyEmpty } from "../model/apply.js";
import { decodeEnvelope, type Envelope, encodeEnvelope } from "../model/command.js";
import { EMPTY_STATE, type State } from "../model/state.js";
import {
  type ConfChange,
  type ConfChangeSingle,
  decodeConfChange,
  isConfChange,
  type RaftStorageState,
  RawNode,
  type Status,
} from "../raft/raft.js";
import {
  type ConfState,
  type Entry,
  LOCAL_APPEND_THREAD,
  LOCAL_APPLY_THREAD,
  type Message,
  type ReadState,
  type Recovering,
} from "../raft/types.js";
import type { Adopted, Effect, Input, StateSnapshot } from "./contract.js";
import { joinAcknowledgements, joinAppends } from "./join.js";
import { Roster } from "./roster.js";

export interface ReplicaOptions {
  readonly self: WitnessId;
  /** The witnesses of its own document, in order: the voters, should this be the beginning of the cluster. */
  readonly document: readonly WitnessId[];
  readonly electionTick: number;
  readonly heartbeatTick: number;
  readonly seed: number;
  /** Unit: bytes of applied entries after which a snapshot is taken and the log cut. */
  readonly snapshotBytes: number;
  /** So many entries stay behind a cut, for followers that are a little behind. */
  readonly keepEntries: number;
}

/** One applied entry with what it did; `envelope` is null for Raft's own empty entries. */
export interface AppliedEntry {
  readonly index: LogIndex;
  readonly term: Term;
  readonly envelope: Envelope | null;
  readonly applied: Applied | null;
}

/** What came out of Raft besides effects. */
export interface Progress {
  readonly effects: Effect[];
  readonly applied: AppliedEntry[];
  readonly reads: ReadState[];
}

/** A state that a leader's snapshot replaced, and the one that it brought. */
export interface Installed {
  readonly before: State;
  readonly after: State;
}

/** A write that the disk has not answered, by the ticks that passed before it was handed out. */
interface Waiting {
  readonly responses: readonly Message[];
  readonly ticksBefore: number;
  /** It carries a whole state, which takes a healthy disk its time. */
  readonly long: boolean;
}

/** Raft's limits: far above what a witness needs, low enough that no peer or client can exhaust memory. */
const MAX_SIZE_PER_MSG = 256 * 1024;
const MAX_INFLIGHT = 64;
const MAX_INFLIGHT_BYTES = 8 * 1024 * 1024;
const MAX_UNCOMMITTED = 4 * 1024 * 1024;
const MAX_COMMITTED_PER_READY = 1024 * 1024;

/** What an entry costs besides its data. Unit: bytes, by rule of thumb. */
const ENTRY_OVERHEAD = 64;

/** Messages that are small and worth every connection. Appends with entries, and snapshots, are bulk. */
function isUrgent(message: Message): boolean {
  return message.type !== "MsgSnap" && (message.type !== "MsgApp" || message.entries.length === 0);
}

export class Replica {
  readonly roster: Roster;
  /** The UUID of this witness's disk. */
  readonly disk: string;
  state: State;
  node: RawNode;
  adopted: Adopted;
  private readonly options: ReplicaOptions;
  private confState: ConfState;
  private nextWrite = 1;
  private waiting = new Map<number, Waiting>();
  /** The snapshot that is being installed. */
  private installing: StateSnapshot | null = null;
  private ticks = 0;
  /** Unit: bytes of the entries applied since the last snapshot. */
  private appliedBytes = 0;
  private compacting = false;
  private preferred: "yes" | "no" | "equal" = "equal";

  constructor(options: ReplicaOptions, restored: Extract<Input, { kind: "restored" }>) {
    const position = options.document.indexOf(options.self);
    assert(position >= 0, () => `${options.self} is not in its document`);
    this.options = options;
    this.disk = restored.disk;
    this.adopted = restored.adopted ?? { node: nodeId(position + 1), bootstrap: options.document };
    this.roster = new Roster(this.adopted.bootstrap);
    const { snapshot, base, hardState, entries } = restored;
    this.state = snapshot?.data ?? EMPTY_STATE;
    this.node = this.boot({
      hardState,
      entries,
      base,
      applied: this.state.appliedIndex,
      ...(snapshot === null ? {} : { confState: snapshot.confState }),
      recovering: restored.recovering,
    });
    this.confState = this.node.status().confState;
    this.roster.follow(this.state);
    if (snapshot !== null) this.node.setSnapshot(snapshot);
  }

  private boot(storage: RaftStorageState & { readonly recovering: Recovering | null }): RawNode {
    const { recovering, ...rest } = storage;
    return new RawNode({
      id: this.adopted.node,
      voters: this.adopted.bootstrap.map((_, i) => nodeId(i + 1)),
      electionTick: this.options.electionTick,
      heartbeatTick: this.options.heartbeatTick,
      preVote: true,
      checkQuorum: true,
      asyncStorageWrites: true,
      seed: this.options.seed,
      maxSizePerMsg: MAX_SIZE_PER_MSG,
      maxInflightMsgs: MAX_INFLIGHT,
      maxInflightBytes: MAX_INFLIGHT_BYTES,
      maxUncommittedSize: MAX_UNCOMMITTED,
      maxCommittedSizePerReady: MAX_COMMITTED_PER_READY,
      stepDownOnRemoval: true,
      storage: rest,
      recovering,
    });
  }

  /** The voters of either half of the configuration in force. */
  get voters(): readonly NodeId[] {
    return [...this.confState.voters, ...this.confState.votersOutgoing];
  }

  /** The configuration in force; another object when it has changed. */
  get configuration(): ConfState {
    return this.confState;
  }

  /** A change of the members is in the log and not applied, or a joint configuration is not left yet. */
  get changeRunning(): boolean {
    return this.confState.votersOutgoing.length > 0 || this.node.hasPendingChange;
  }

  witnessOf(id: NodeId): WitnessId | null {
    return this.roster.witnessOf(id);
  }

  nodeOf(witness: WitnessId): NodeId | null {
    return this.roster.nodeOf(this.state, witness);
  }

  status(): Status {
    return this.node.status();
  }

  tick(): void {
    this.ticks++;
    this.node.setStorageStalled(this.storageStalledTicks !== null);
    this.node.tick();
  }

  /**
   * How long the oldest write has been on its way, in ticks, when that is longer than an election timeout; else null.
   * Counted in ticks, so that the time in which this process itself stood still is not held against the disk.
   */
  get storageStalledTicks(): number | null {
    const [oldest] = this.waiting.values();
    // What waits behind a whole state waits for that.
    const age = oldest === undefined || oldest.long ? 0 : this.ticks - oldest.ticksBefore;
    return age > this.options.electionTick ? age : null;
  }

  /** Whether this witness shall lead among equals. */
  prefer(preferred: "yes" | "no" | "equal"): void {
    if (preferred === this.preferred) return;
    this.preferred = preferred;
    this.node.setPreferred(preferred);
  }

  /**
   * A Raft message of a peer, already admitted. Returns the adoption that must be made durable, if the leader speaks
   * to this disk as a member that was added later than what this disk took itself for.
   */
  onMessage(message: Message): Adopted | null {
    const leads = message.type === "MsgApp" || message.type === "MsgHeartbeat" || message.type === "MsgSnap";
    const added = leads && message.to > this.adopted.node && this.installing === null;
    const mayChange = added && (this.node.status().lastIndex === 0 || this.state.members.length > 0);
    const adopted = mayChange ? this.rename(message.to) : null;
    this.node.step(message);
    return adopted;
  }

  /**
   * This disk is another member from now on. What it wrote stays: the log is the cluster's, and a vote that it gave
   * stays given. One that has no log yet knows no voters: the log will tell.
   */
  private rename(node: NodeId): Adopted {
    const { term, vote, commit, firstIndex, lastIndex } = this.node.status();
    const entries = this.node.entriesFrom(firstIndex);
    const blank = lastIndex === 0;
    this.adopted = { node, bootstrap: blank ? [] : this.adopted.bootstrap };
    const base = { index: logIndex(firstIndex - 1), term: this.node.termAt(logIndex(firstIndex - 1)) };
    this.node = this.boot({
      hardState: { term, vote, commit },
      entries,
      base,
      applied: this.state.appliedIndex,
      ...(blank ? {} : { confState: this.confState }),
      // Whatever the former member forgot is the former member's, and that one is gone.
      recovering: null,
    });
    this.confState = this.node.status().confState;
    this.node.setPreferred(this.preferred);
    this.waiting = new Map();
    return this.adopted;
  }

  /**
   * The write is durable: what waited for it is delivered. Returns what a snapshot that has thereby become this
   * witness's state replaced, or null.
   */
  onPersisted(write: number): Installed | null {
    const waiting = this.waiting.get(write);
    if (waiting === undefined) return null;
    this.waiting.delete(write);
    // The disk turns to the others only now.
    if (waiting.long)
      for (const [later, rest] of this.waiting) this.waiting.set(later, { ...rest, ticksBefore: this.ticks });
    for (const response of waiting.responses) this.node.step(response);
    return this.takeInstalled();
  }

  /** The entries up to `base` are gone from the disk. */
  onCompacted(base: LogIndex): void {
    this.compacting = false;
    this.node.compact(logIndex(Math.min(base, this.state.appliedIndex)));
  }

  /** Proposes on the leader. */
  propose(envelope: Envelope): ReturnType<RawNode["propose"]> {
    return this.node.propose(encodeEnvelope(envelope));
  }

  /** Proposes a change of the members on the leader: `envelope` rides in the entry and is applied with it. */
  proposeChange(
    envelope: Envelope,
    changes: readonly ConfChangeSingle[],
  ): ReturnType<RawNode["proposeConfChange"]> {
    const context = encodeEnvelope(envelope);
    const change: ConfChange = { transition: "ConfChangeTransitionAuto", changes, context };
    return this.node.proposeConfChange(change, "EntryConfChangeV2");
  }

  /** Takes from Raft all that it has ready: messages and writes as effects, committed entries applied. */
  drain(): Progress {
    const progress: Progress = { effects: [], applied: [], reads: [] };
    while (this.node.hasReady()) {
      const ready = this.node.ready();
      progress.reads.push(...ready.readStates);
      const campaign = ready.messages.filter(({ type }) => type === "MsgVote");
      for (const message of joinAppends(ready.messages, MAX_SIZE_PER_MSG)) {
        if (message.type !== "MsgVote") this.onReadyMessage(message, campaign, progress);
      }
      assert(
        campaign.length === 0 || ready.hardState !== null,
        "who asks for votes has voted for itself, and that is written",
      );
    }
    this.compactWhenDue(progress);
    return progress;
  }

  /** A snapshot of the applied state stands for what was applied: taken by the size of the log behind it. */
  private compactWhenDue(progress: Progress): void {
    if (this.compacting || this.installing !== null || this.appliedBytes < this.options.snapshotBytes) return;
    const { appliedIndex: index, appliedTerm: term } = this.state;
    const keepFrom = logIndex(Math.max(1, index + 1 - this.options.keepEntries));
    this.compacting = true;
    this.appliedBytes = 0;
    const snapshot = { index, term, confState: this.confState, data: this.state };
    progress.effects.push({ kind: "compact", snapshot, keepFrom });
  }

  private onReadyMessage(message: Message, campaign: readonly Message[], progress: Progress): void {
    if (message.to === LOCAL_APPEND_THREAD) {
      progress.effects.push(this.persist(message, campaign));
    } else if (message.to === LOCAL_APPLY_THREAD) {
      for (const entry of message.entries) progress.applied.push(this.applyEntry(entry));
      const { appliedIndex: index, appliedTerm: term } = this.state;
      this.node.setSnapshot({ index, term, confState: this.confState, data: this.state });
      for (const response of message.responses) this.node.step(response);
    } else {
      const to = this.witnessOf(message.to);
      if (to === null || to === this.options.self) return;
      progress.effects.push({
        kind: "send",
        to,
        message: { kind: "raft", message },
        urgent: isUrgent(message),
      });
    }
  }

  private persist(message: Message, campaign: readonly Message[]): Effect {
    const write = this.nextWrite++;
    const self = this.adopted.node;
    const snapshot = message.snapshot as StateSnapshot | null;
    if (snapshot !== null) this.installing = snapshot;
    const responses = joinAcknowledgements(message.responses);
    this.waiting.set(write, {
      responses: responses.filter((response) => response.to === self),
      ticksBefore: this.ticks,
      long: snapshot !== null,
    });
    const hasHardState = message.term > 0 || message.vote !== NO_NODE || message.commit > 0;
    return {
      kind: "persist",
      write,
      hardState: hasHardState ? { term: message.term, vote: message.vote, commit: message.commit } : null,
      snapshot,
      entries: message.entries,
      release: [...campaign, ...responses].flatMap((response) => {
        const to = response.to === self ? null : this.witnessOf(response.to);
        return to === null ? [] : [{ to, message: { kind: "raft", message: response } as const }];
      }),
    };
  }

  /** Takes over the state of a snapshot that has become durable, before anything that follows it is applied. */
  private takeInstalled(): Installed | null {
    const snapshot = this.installing;
    if (snapshot === null || this.node.status().applied < snapshot.index) return null;
    const before = this.state;
    this.installing = null;
    this.state = snapshot.data;
    this.confState = snapshot.confState;
    this.appliedBytes = 0;
    this.roster.follow(this.state);
    this.node.setSnapshot(snapshot);
    return { before, after: this.state };
  }

  private applyEntry(entry: Entry): AppliedEntry {
    const at = { index: entry.index, term: entry.term };
    assert(
      entry.index === this.state.appliedIndex + 1,
      () => `entry ${entry.index} applied after ${this.state.appliedIndex}`,
    );
    this.appliedBytes += entry.data.length + ENTRY_OVERHEAD;
    const change = isConfChange(entry.type) ? decodeConfChange(entry) : null;
    assert(change === null || !("error" in change), () => `entry ${entry.index} is no change of the members`);
    const bytes = change === null ? entry.data : change.context;
    if (bytes.length === 0) {
      this.state = applyEmpty(this.state, at);
      // Without a command: the way out of a joint configuration.
      if (change !== null) this.confState = this.node.applyConfChange(entry);
      return { ...at, envelope: null, applied: null };
    }
    const envelope = decodeEnvelope(bytes);
    // Bytes that this release cannot read would make its state differ from its peers': it must not go on.
    assert(
      !("error" in envelope),
      () => `entry ${entry.index}: ${"error" in envelope ? envelope.error : ""}`,
    );
    const before = this.state;
    const applied = apply(before, at, envelope);
    this.state = applied.state;
    this.roster.follow(this.state);
    if (change !== null && applied.accepted) this.confState = this.node.applyConfChange(entry);
    if (before.members.length === 0 && this.state.members.length > 0) this.beginMembership();
    return { ...at, envelope, applied };
  }

  /**
   * The first document is in force: its witnesses are the voters. The members that began the cluster say so already;
   * one that came later, or whose own document differs, learns it here, before any change can have been made.
   */
  private beginMembership(): void {
    const voters = this.state.members.map(({ node }) => node);
    const same =
      voters.length === this.confState.voters.length &&
      voters.every((id) => this.confState.voters.includes(id));
    if (!same) this.confState = this.node.resetVoters(voters);
  }
}
