/**
 * The sliding window of appends that a leader has sent to one peer and not yet seen acknowledged.
 *
 * Pipelining is optimistic; this is its bound. An acknowledgement of an index frees every append up to it.
 * The window belongs to one spell of replication: leaving that state empties it (forgetting that stalled
 * followers for ever, etcd e419ba5).
 */
import type { LogIndex } from "../base/ids.js";

/** Invariant: the last indexes of the appends in it only grow. */
export class Inflights {
  readonly #capacity: number;
  #lasts: LogIndex[] = [];

  /** Unit: messages. */
  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get count(): number {
    return this.#lasts.length;
  }

  get full(): boolean {
    return this.#lasts.length >= this.#capacity;
  }

  /** Notes an append that ends at `last`. The caller has asked `full`. */
  add(last: LogIndex): void {
    this.#lasts.push(last);
  }

  /** Frees each append that ends at or before `index`. */
  freeUpTo(index: LogIndex): void {
    const kept = this.#lasts.findIndex((last) => last > index);
    this.#lasts.splice(0, kept < 0 ? this.#lasts.length : kept);
  }

  reset(): void {
    this.#lasts = [];
  }
}
