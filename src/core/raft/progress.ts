/**
 * What a leader knows about one member's log, and how it feeds it.
 *
 * Probe: the place where the logs part is unknown; one append at a time, until one is acknowledged.
 * Replicate: it is known; appends are pipelined and `next` runs ahead of `match`, within the inflight
 * window. Snapshot: the peer needs what the log no longer holds; a snapshot is on its way, and nothing else is
 * sent. Transitions follow etcd's tracker.
 *
 * Invariants: match < next. `match` only grows within a leadership, but for one case, `believeLoss`.
 */
import { type LogIndex, logIndex } from "../base/ids.js";
import { Inflights } from "./inflights.js";
import { ZERO_INDEX } from "./messages.js";
import type { ProgressStateType } from "./types.js";

export class Progress {
  /** Highest index that the peer acknowledged: it is durable there and equal to ours. */
  match: LogIndex;
  /** Index of the next entry to send. */
  next: LogIndex;
  state: ProgressStateType = "StateProbe";
  /** Highest commit index sent; what is already on its way need not be sent again. */
  sentCommit: LogIndex = ZERO_INDEX;
  /** A probe, or the append that filled the window, is out: wait for an answer or a heartbeat's. */
  flowPaused = false;
  /** StateSnapshot: the index of the snapshot on its way; else 0. */
  pendingSnapshot: LogIndex = ZERO_INDEX;
  /** Heard from since the last check of the quorum. */
  recentActive = false;
  /** Heard from in the span before the last check, too: just after a check nobody can have answered yet. */
  formerlyActive = false;
  /** The peer's last word on itself. */
  recovering = false;
  isLearner: boolean;
  readonly inflights: Inflights;

  constructor(options: {
    readonly match: LogIndex;
    readonly next: LogIndex;
    readonly isLearner: boolean;
    readonly maxInflight: number;
    readonly maxInflightBytes: number;
  }) {
    this.match = options.match;
    this.next = options.next;
    this.isLearner = options.isLearner;
    this.inflights = new Inflights(options.maxInflight, options.maxInflightBytes);
  }

  /** True while no append may be sent. */
  get paused(): boolean {
    return this.state === "StateSnapshot" || this.flowPaused;
  }

  #reset(state: ProgressStateType): void {
    this.state = state;
    this.flowPaused = false;
    this.pendingSnapshot = ZERO_INDEX;
    this.inflights.reset();
  }

  /** After a snapshot the peer is probed behind it: if it did not arrive, the answer says so. */
  becomeProbe(): void {
    const { pendingSnapshot } = this;
    this.#reset("StateProbe");
    this.#rewind(logIndex(Math.max(this.match, pendingSnapshot) + 1));
  }

  becomeReplicate(): void {
    this.#reset("StateReplicate");
    this.next = logIndex(this.match + 1);
  }

  /** A snapshot up to `index` was sent. */
  becomeSnapshot(index: LogIndex): void {
    this.#reset("StateSnapshot");
    this.pendingSnapshot = index;
    this.next = logIndex(index + 1);
    this.sentCommit = index;
  }

  #rewind(next: LogIndex): void {
    this.next = next;
    // What was sent past `next` has likely not been applied.
    this.sentCommit = logIndex(Math.min(this.sentCommit, next - 1));
  }

  /** Accounts for an append of `count` entries of `bytes` that was just sent. */
  sentEntries(count: number, bytes: number): void {
    if (this.state === "StateReplicate") {
      if (count > 0) {
        this.next = logIndex(this.next + count);
        this.inflights.add(logIndex(this.next - 1), bytes);
      }
      this.flowPaused = this.inflights.full;
    } else if (count > 0) {
      this.flowPaused = true;
    }
  }

  /**
   * True when sending commit index `index` could move the peer's: it is news, and it was not already sent
   * up to the end of its log.
   */
  canBumpCommit(index: LogIndex): boolean {
    return index > this.sentCommit && this.sentCommit < this.next - 1;
  }

  /** An acknowledgement of `index`; false when it says nothing new (late or doubled). */
  maybeUpdate(index: LogIndex): boolean {
    if (index <= this.match) return false;
    this.match = index;
    this.next = logIndex(Math.max(this.next, index + 1));
    this.flowPaused = false;
    return true;
  }

  /**
   * A rejection of the append after `rejected`; `hint` is the last index that may still agree. False when
   * it is late. While replicating, anything above `match` is a gap in the pipeline; while probing, only the
   * answer to the current probe counts.
   */
  maybeDecrease(rejected: LogIndex, hint: LogIndex): boolean {
    if (this.state === "StateReplicate") {
      if (rejected <= this.match) return false;
      this.#rewind(logIndex(this.match + 1));
      return true;
    }
    if (this.next - 1 !== rejected) return false;
    this.#rewind(logIndex(Math.max(Math.min(rejected, hint + 1), this.match + 1)));
    this.flowPaused = false;
    return true;
  }

  /**
   * The peer lost durable log and says so (`recovering`): forget what it acknowledged and probe again after
   * `hint`.
   *
   * `match` goes to 0, not to the hint: what is left of its log may be an older state, with entries that
   * were overwritten since, so nothing of it is known to agree before it answers a probe. Why this cannot
   * undo a commit: the commit index itself stays (it never decreases), only what is counted from now on
   * shrinks. Entries already committed with this peer's lost copy are safe because the peer gives no vote
   * until it holds them again; `recovery.ts` has the argument.
   */
  believeLoss(hint: LogIndex): void {
    this.#reset("StateProbe");
    this.match = ZERO_INDEX;
    this.#rewind(logIndex(hint + 1));
  }
}
