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
import { RawNode, type Status } from "../raft/raft.js";
import {
  type Entry,
  LOCAL_APPEND_THREAD,
  LOCAL_APPLY_THREAD,
  type Message,
  type ReadState,
} from "../raft/types.js";
import type { Effect, Input } from "./contract.js";
import { joinAcknowledgements, joinAppends } from "./join.js";

export interface ReplicaOptions {
  readonly self: WitnessId;
  /** Voting witnesses; node ids are the 1-based positions. */
  readonly members: readonly WitnessId[];
  readonly electionTick: number;
  readonly heartbeatTick: number;
  readonly seed: number;
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

/** Raft's limits: far above what a witness needs, low enough that no peer or client can exhaust memory. */
const MAX_SIZE_PER_MSG = 256 * 1024;
const MAX_INFLIGHT = 64;
const MAX_UNCOMMITTED = 4 * 1024 * 1024;
const MAX_COMMITTED_PER_READY = 1024 * 1024;

/** Messages that are small and worth every connection. Appends with entries are bulk. */
function isUrgent(message: Message): boolean {
  return message.type !== "MsgApp" || message.entries.length === 0;
}

export class Replica {
  readonly node: RawNode;
  state: State = EMPTY_STATE;
  private readonly options: ReplicaOptions;
  private nextWrite = 1;
  /** Own acknowledgements by the write that they wait for. */
  private readonly waiting = new Map<number, readonly Message[]>();

  constructor(options: ReplicaOptions, restored: Extract<Input, { kind: "restored" }>) {
    this.options = options;
    const position = options.members.indexOf(options.self);
    assert(position >= 0, () => `witness ${options.self} is not a member`);
    this.node = new RawNode({
      id: nodeId(position + 1),
      voters: options.members.map((_, i) => nodeId(i + 1)),
      electionTick: options.electionTick,
      heartbeatTick: options.heartbeatTick,
      preVote: true,
      checkQuorum: true,
      asyncStorageWrites: true,
      seed: options.seed,
      maxSizePerMsg: MAX_SIZE_PER_MSG,
      maxInflightMsgs: MAX_INFLIGHT,
      maxUncommittedSize: MAX_UNCOMMITTED,
      maxCommittedSizePerReady: MAX_COMMITTED_PER_READY,
      storage: { hardState: restored.hardState, entries: restored.entries, applied: logIndex(0) },
      recovering: restored.recovering,
    });
  }

  witnessOf(id: NodeId): WitnessId | null {
    return id === NO_NODE ? null : (this.options.members[id - 1] ?? null);
  }

  nodeOf(witness: WitnessId): NodeId | null {
    const position = this.options.members.indexOf(witness);
    return position < 0 ? null : nodeId(position + 1);
  }

  status(): Status {
    return this.node.status();
  }

  /** A message of a peer; one that claims to come from somebody else than its sender is dropped. */
  onMessage(from: WitnessId, message: Message): void {
    if (message.from !== this.nodeOf(from) || message.to !== this.nodeOf(this.options.self)) return;
    this.node.step(message);
  }

  /** The write is durable: what waited for it is delivered. */
  onPersisted(write: number): void {
    const responses = this.waiting.get(write);
    if (responses === undefined) return;
    this.waiting.delete(write);
    for (const response of responses) this.node.step(response);
  }

  /** Proposes on the leader. */
  propose(envelope: Envelope): ReturnType<RawNode["propose"]> {
    return this.node.propose(encodeEnvelope(envelope));
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
    return progress;
  }

  private onReadyMessage(message: Message, campaign: readonly Message[], progress: Progress): void {
    if (message.to === LOCAL_APPEND_THREAD) {
      progress.effects.push(this.persist(message, campaign));
    } else if (message.to === LOCAL_APPLY_THREAD) {
      for (const entry of message.entries) progress.applied.push(this.applyEntry(entry));
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
    const self = this.nodeOf(this.options.self);
    const responses = joinAcknowledgements(message.responses);
    this.waiting.set(
      write,
      responses.filter((response) => response.to === self),
    );
    const hasHardState = message.term > 0 || message.vote !== NO_NODE || message.commit > 0;
    return {
      kind: "persist",
      write,
      hardState: hasHardState ? { term: message.term, vote: message.vote, commit: message.commit } : null,
      entries: message.entries,
      release: [...campaign, ...responses].flatMap((response) => {
        const to = response.to === self ? null : this.witnessOf(response.to);
        return to === null ? [] : [{ to, message: { kind: "raft", message: response } as const }];
      }),
    };
  }

  private applyEntry(entry: Entry): AppliedEntry {
    const at = { index: entry.index, term: entry.term };
    assert(
      entry.index === this.state.appliedIndex + 1,
      () => `entry ${entry.index} applied after ${this.state.appliedIndex}`,
    );
    if (entry.data.length === 0) {
      this.state = applyEmpty(this.state, at);
      return { ...at, envelope: null, applied: null };
    }
    const envelope = decodeEnvelope(entry.data);
    // Bytes that this release cannot read would make its state differ from its peers': it must not go on.
    assert(
      !("error" in envelope),
      () => `entry ${entry.index}: ${"error" in envelope ? envelope.error : ""}`,
    );
    const applied = apply(this.state, at, envelope);
    this.state = applied.state;
    return { ...at, envelope, applied };
  }
}
