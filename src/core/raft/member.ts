/**
 * One member's whole mutable state, its roles, and the outbox.
 *
 * Everything that changes lives here and in the log, tracker and read queue that hang from it; what happens
 * on which message is in `step.ts` and the files that it calls. Two outboxes carry the order on which
 * safety rests: `messages` may leave at once, `messagesAfterAppend` only when everything written so far is
 * durable, because they promise it (votes and acknowledgements; paper, section 5.1).
 *
 * Invariants, asserted after each input, in production too: term, commit and applied never decrease; one
 * vote per term; applied <= commit <= last; match < next; a recovering member is a follower.
 */
import { assert } from "../base/assert.js";
import { type LogIndex, logIndex, NO_NODE, type NodeId, type Term } from "../base/ids.js";
import { nextBelow, type RandomState, randomState } from "../base/random.js";
import { isConfChange } from "./conf-change.js";
import { baseOf, configurationAtStart, type RaftConfig, type Settings, settingsOf } from "./config.js";
import { Lease } from "./lease.js";
import { RaftLog } from "./log.js";
import { message, payloadsSize, ZERO_INDEX } from "./messages.js";
import { ReadOnly } from "./read-only.js";
import { hasRecovered } from "./recovery.js";
import { Tracker } from "./tracker.js";
import type {
  Entry,
  HardState,
  Message,
  MessageType,
  ReadState,
  Recovering,
  Snapshot,
  SoftState,
  StateType,
} from "./types.js";

/** A message to send: `from` is this member, `term` its own, unless given. */
export type Outgoing = Partial<Message> & { readonly type: MessageType; readonly to: NodeId };

export class Member {
  readonly settings: Settings;
  readonly id: NodeId;
  readonly log: RaftLog;
  readonly tracker: Tracker;

  term: Term;
  vote: NodeId;
  lead: NodeId = NO_NODE;
  state: StateType = "StateFollower";

  /** Unit: ticks since the election timer was reset; for a leader, since it last checked its quorum. */
  electionElapsed = 0;
  /** Unit: ticks since the last heartbeat sent. */
  heartbeatElapsed = 0;
  /** Unit: ticks. */
  randomizedElectionTimeout = 0;
  /**
   * Unit: ticks, counted down. A voter that was restarted has forgotten which leader it just supported, and that leader
   * may hold a lease on the strength of it: it gives no vote for an election timeout, as if it had heard that leader
   * when it started. It costs nothing: who wants to campaign waits as long.
   */
  quietTicks = 0;
  /** The caller's storage has not answered for longer than an election timeout: what is written now may never be. */
  storageStalled = false;
  /** Among equals this member shall lead: its election timeouts come from the shorter half, the others' not. */
  preferred: "yes" | "no" | "equal" = "equal";
  /**
   * No change of the configuration past this index is in the log, as far as this leader knows; while it is not
   * applied no other is let in (dissertation, section 4.1). A new leader takes its last index: what is in its log it
   * has not looked at.
   */
  pendingConfIndex: LogIndex = ZERO_INDEX;
  /** What a peer that needs more than the log holds can be sent: the state machine as last applied. */
  snapshot: Snapshot | null = null;
  /** Whom the leader is handing over to. */
  leadTransferee: NodeId = NO_NODE;
  /** Unit: bytes proposed in this leadership and not yet applied. */
  uncommittedBytes = 0;

  reads = new ReadOnly();
  /** Null with `safe` reads. */
  lease: Lease | null = null;
  /** Reads that came before this leader committed an entry of its own term. */
  earlyReads: Message[] = [];
  readStates: ReadState[] = [];

  messages: Message[] = [];
  messagesAfterAppend: Message[] = [];

  recovering: Recovering | null;
  /** Up to here an append of the current term was found to match the log. */
  verifiedIndex: LogIndex = ZERO_INDEX;
  anomalyCount = 0;
  lastAnomaly: string | null = null;

  readonly #random: RandomState;
  /** The stored commit index; it stays in the hard state while a recovering member learns it anew. */
  readonly #storedCommit: LogIndex;
  #checked: { term: Term; vote: NodeId; commit: LogIndex; applied: LogIndex };

  constructor(config: RaftConfig) {
    const settings = settingsOf(config);
    const { hardState, entries, applied } = config.storage;
    this.settings = settings;
    this.id = config.id;
    this.log = new RaftLog({
      base: baseOf(config.storage),
      entries,
      maxApplyingBytes: settings.maxCommittedSizePerReady,
    });
    this.tracker = new Tracker({
      maxInflight: settings.maxInflightMsgs,
      maxInflightBytes: settings.maxInflightBytes,
    });
    this.tracker.switchTo(configurationAtStart(config), this.log.lastIndex);
    this.#random = randomState(settings.seed, `raft-election-${this.id}`);
    this.term = hardState.term;
    this.vote = hardState.vote;
    this.recovering = config.recovering ?? null;
    this.#storedCommit = hardState.commit;

    const { lastIndex } = this.log;
    assert(applied <= lastIndex, () => `restored applied ${applied} is past the last entry ${lastIndex}`);
    assert(
      this.recovering !== null || hardState.commit <= lastIndex,
      () =>
        `restored commit ${hardState.commit} is past the last entry ${lastIndex}: ` +
        "the log lost its end and storage did not say so",
    );
    assert(
      (entries.at(-1)?.term ?? 0) <= this.term,
      () => `restored term ${this.term} is before that of the last entry, ${entries.at(-1)?.term}`,
    );
    // A snapshot may have become durable before the commit index that it rests on.
    const commit = this.recovering === null ? Math.max(hardState.commit, applied) : applied;
    this.log.commitTo(logIndex(commit));
    if (applied > this.log.applied) this.log.appliedTo(applied, 0);
    this.#checked = {
      term: this.term,
      vote: this.vote,
      commit: this.log.committed,
      applied: this.log.applied,
    };
    this.becomeFollower(this.term, NO_NODE);
    this.leaveRecoveryWhenCovered();
    // One that was never in any term supported nobody.
    if (settings.checkQuorum && hardState.term > 0) this.quietTicks = settings.electionTick;
  }

  // ---- What is durable, what is shown.

  hardState(): HardState {
    // While recovering, the stored commit index is not believed but not unlearnt either: on disk it never
    // decreases.
    const commit = logIndex(Math.max(this.log.committed, this.recovering === null ? 0 : this.#storedCommit));
    return { term: this.term, vote: this.vote, commit };
  }

  softState(): SoftState {
    return { lead: this.lead, state: this.state };
  }

  // ---- Roles.

  becomeFollower(term: Term, lead: NodeId): void {
    this.#reset(term);
    this.lead = lead;
    this.state = "StateFollower";
  }

  /** Asks first, changes neither term nor vote. */
  becomePreCandidate(): void {
    assert(this.state !== "StateLeader", "a leader cannot become a pre-candidate");
    this.tracker.resetVotes();
    this.lead = NO_NODE;
    this.state = "StatePreCandidate";
  }

  becomeCandidate(): void {
    assert(this.state !== "StateLeader", "a leader cannot become a candidate");
    this.#reset((this.term + 1) as Term);
    this.vote = this.id;
    this.state = "StateCandidate";
  }

  /**
   * The caller appends the empty entry of the new term, without which nothing of older terms can be
   * committed.
   */
  becomeLeader(): void {
    assert(this.state === "StateCandidate", () => `${this.state} cannot become leader`);
    this.#reset(this.term);
    this.pendingConfIndex = this.log.lastIndex;
    this.lead = this.id;
    this.state = "StateLeader";
    const own = this.tracker.progress(this.id);
    assert(own !== undefined, "a leader is a member");
    own.becomeReplicate();
    own.recentActive = true;
  }

  /**
   * True when this member may stand for election: it votes, has lost nothing, its state is not about to be replaced by
   * a snapshot, and its storage answers.
   */
  get promotable(): boolean {
    const whole = this.recovering === null && this.log.pendingSnapshot === null;
    return whole && !this.storageStalled && this.tracker.isVoter(this.id);
  }

  #reset(term: Term): void {
    if (this.term !== term) {
      this.term = term;
      this.vote = NO_NODE;
      this.verifiedIndex = ZERO_INDEX;
    }
    this.lead = NO_NODE;
    this.electionElapsed = 0;
    this.heartbeatElapsed = 0;
    this.randomizedElectionTimeout = this.#drawElectionTimeout();
    this.leadTransferee = NO_NODE;
    this.pendingConfIndex = ZERO_INDEX;
    this.uncommittedBytes = 0;
    this.tracker.resetVotes();
    this.tracker.resetProgress(this.id, this.log.lastIndex);
    // Reads that wait are dropped: a leader that is none any more must not answer them.
    const { readOnlyOption, electionTick, maxClockDrift } = this.settings;
    this.reads = new ReadOnly();
    this.lease = readOnlyOption === "lease-based" ? new Lease(electionTick, maxClockDrift) : null;
    this.earlyReads = [];
  }

  /** From [electionTick, 2 * electionTick - 1]; the preferred draw from its first half, the others from the second. */
  #drawElectionTimeout(): number {
    const { electionTick } = this.settings;
    if (this.preferred === "equal") return electionTick + nextBelow(this.#random, electionTick);
    const half = Math.max(1, Math.floor(electionTick / 2));
    return (
      electionTick + nextBelow(this.#random, half) + (this.preferred === "yes" ? 0 : electionTick - half)
    );
  }

  // ---- Outbox.

  /**
   * Queues a message. Votes carry their own term; proposals and reads carry none, so that they may be
   * passed on.
   */
  send(outgoing: Outgoing): void {
    const termless = outgoing.type === "MsgProp" || outgoing.type === "MsgReadIndex";
    const queued = message({
      ...outgoing,
      from: outgoing.from ?? this.id,
      term: outgoing.term ?? (termless ? (0 as Term) : this.term),
    });
    const promises =
      queued.type === "MsgAppResp" || queued.type === "MsgVoteResp" || queued.type === "MsgPreVoteResp";
    if (promises) {
      this.messagesAfterAppend.push(queued);
      return;
    }
    assert(queued.to !== this.id, () => `${queued.type} to myself`);
    this.messages.push(queued);
  }

  /** Acknowledges or rejects an append; says so when it comes from a member that lost log. */
  sendAppResp(fields: Omit<Outgoing, "type">): void {
    this.send({ ...fields, type: "MsgAppResp", recovering: this.recovering !== null });
  }

  // ---- The leader's own log.

  /**
   * Appends proposals to the leader's log; false when the bound on what is uncommitted refuses them. The
   * leader counts its own copy like any other, when it is durable: the acknowledgement to itself waits
   * behind the write (etcd #14370 counted it at once).
   */
  appendEntries(proposals: readonly Pick<Entry, "type" | "data">[]): boolean {
    const { lastIndex } = this.log;
    const entries = proposals.map(
      ({ type, data }, i): Entry => ({ type, data, term: this.term, index: logIndex(lastIndex + 1 + i) }),
    );
    const bytes = payloadsSize(entries);
    const limit = this.settings.maxUncommittedSize;
    // One proposal of any size is let through when nothing else waits, and empty ones always: a new
    // leader's first entry must not fail.
    if (this.uncommittedBytes > 0 && bytes > 0 && this.uncommittedBytes + bytes > limit) return false;
    this.uncommittedBytes += bytes;
    const change = entries.findLast(({ type }) => isConfChange(type));
    if (change !== undefined) this.pendingConfIndex = change.index;
    this.log.append(entries);
    this.sendAppResp({ to: this.id, index: this.log.lastIndex });
    return true;
  }

  /**
   * True once an entry of this term is committed: only then does the leader know what is committed (paper,
   * section 8).
   */
  get committedInTerm(): boolean {
    return this.log.term(this.log.committed) === this.term;
  }

  // ---- Trouble.

  /**
   * Notes a message that no correct member of this cluster could have sent. It is dropped; the operator
   * sees it in the status.
   */
  noteAnomaly(what: string): void {
    this.anomalyCount++;
    this.lastAnomaly = what;
  }

  /** Leaves `recovering` when the log covers all that was promised before the loss. */
  leaveRecoveryWhenCovered(): void {
    if (this.recovering !== null && hasRecovered(this.recovering, this.log)) this.recovering = null;
  }

  setRandomizedElectionTimeout(ticks: number): void {
    this.randomizedElectionTimeout = ticks;
  }

  /** Asserts the local invariants against the last time that it was called. */
  check(): void {
    const before = this.#checked;
    const { committed, applied, applying, lastIndex } = this.log;
    const { term, vote } = this;
    assert(term >= before.term, () => `term went back from ${before.term} to ${term}`);
    assert(
      term > before.term || before.vote === NO_NODE || vote === before.vote,
      () => `second vote in term ${term}: ${before.vote}, then ${vote}`,
    );
    assert(committed >= before.commit, () => `commit went back from ${before.commit} to ${committed}`);
    assert(applied >= before.applied, () => `applied went back from ${before.applied} to ${applied}`);
    assert(
      applied <= applying && applying <= committed && committed <= lastIndex,
      () =>
        `cursors out of order: ${applied} applied, ${applying} applying, ${committed} commit, ${lastIndex} last`,
    );
    assert(this.recovering === null || this.state === "StateFollower", "a recovering member must follow");
    if (this.state === "StateLeader") this.#checkProgress(lastIndex);
    this.#checked = { term, vote, commit: committed, applied };
  }

  #checkProgress(lastIndex: LogIndex): void {
    for (const id of this.tracker.ids) {
      const progress = this.tracker.progress(id);
      assert(
        progress !== undefined && progress.match < progress.next && progress.next <= lastIndex + 1,
        () => `progress of ${id}: match ${progress?.match}, next ${progress?.next}, last ${lastIndex}`,
      );
    }
  }
}
