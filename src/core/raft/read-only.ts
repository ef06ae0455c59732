/**
 * Linearizable reads without a log write (dissertation, section 6.4; ReadIndex).
 *
 * A read may be answered at the commit index of its arrival as soon as a quorum has confirmed, after its
 * arrival, that the leader still leads. Confirmation rides on heartbeats: each read gets the next number,
 * each heartbeat carries the highest number given so far, each answer echoes it. An echo of n was caused by
 * a heartbeat sent after read n arrived, so it confirms every read up to n. Numbers are the leader's own
 * and never repeat within its term: keyed by the caller's context instead, a retried read was confirmed by
 * the answer to an older heartbeat (etcd-io/raft #397).
 */
import { type LogIndex, logIndex, type NodeId } from "../base/ids.js";
import { type JointConfig, jointCommitted } from "./quorum.js";

/** A read that waits for its confirmation. */
export interface PendingRead {
  /** Who asked: this member or the peer that forwarded it. */
  readonly from: NodeId;
  readonly context: Uint8Array;
  /** Commit index when it arrived. */
  readonly index: LogIndex;
}

/** One leadership's pending reads, oldest first. */
export class ReadOnly {
  #lastSequence = 0;
  #pending: { readonly sequence: number; readonly read: PendingRead }[] = [];
  readonly #echoed = new Map<NodeId, number>();

  get pendingCount(): number {
    return this.#pending.length;
  }

  /** Takes in a read; the leader `self` confirms it by itself at once. */
  add(read: PendingRead, self: NodeId): void {
    this.#lastSequence++;
    this.#pending.push({ sequence: this.#lastSequence, read });
    this.#echoed.set(self, this.#lastSequence);
  }

  /** The next heartbeat gets a number of its own although no read waits: a lease wants to know which was answered. */
  nextSequence(): number {
    return ++this.#lastSequence;
  }

  /** What the next heartbeat must carry; empty when no read waits and `numbered` is false. */
  heartbeatContext(numbered: boolean): Uint8Array {
    const context = new Uint8Array(numbered || this.#pending.length > 0 ? 8 : 0);
    if (context.length > 0) {
      const view = new DataView(context.buffer);
      view.setUint32(0, Math.floor(this.#lastSequence / 0x100000000));
      view.setUint32(4, this.#lastSequence % 0x100000000);
    }
    return context;
  }

  /**
   * `from` echoed `context`; returns the reads that a quorum has now confirmed. Foreign contexts confirm
   * nothing.
   */
  onEcho(from: NodeId, context: Uint8Array, config: JointConfig): readonly PendingRead[] {
    const sequence = sequenceOf(context);
    if (sequence === null || sequence > this.#lastSequence || sequence <= (this.#echoed.get(from) ?? 0))
      return [];
    this.#echoed.set(from, sequence);
    const confirmed = jointCommitted(config, (id) => {
      const echoed = this.#echoed.get(id);
      return echoed === undefined ? undefined : logIndex(echoed);
    });
    const ready = this.#pending.filter((p) => p.sequence <= confirmed).map((p) => p.read);
    this.#pending = this.#pending.slice(ready.length);
    return ready;
  }
}

/** The number that a heartbeat's context carries; null when it carries none. */
export function sequenceOf(context: Uint8Array): number | null {
  if (context.length !== 8) return null;
  const view = new DataView(context.buffer, context.byteOffset, 8);
  return view.getUint32(0) * 0x100000000 + view.getUint32(4);
}
