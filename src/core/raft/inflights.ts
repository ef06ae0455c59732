/**
 * The sliding window of appends that a leader has sent to one peer and not yet seen acknowledged.
 *
 * Pipelining is optimistic; this is its bound, in messages and in bytes. An acknowledgement of an index frees
 * every append up to it. The window belongs to one spell of replication: leaving that state empties it, bytes
 * too (forgetting either stalled followers for ever, etcd e419ba5).
 */
import type { LogIndex } from "../base/ids.js";

interface Append {
  readonly last: LogIndex;
  readonly bytes: number;
}

/** Invariant: the last indexes of the appends in it only grow; `bytes` is the sum of theirs. */
export class Inflights {
  readonly #capacity: number;
  readonly #capacityBytes: number;
  #appends: Append[] = [];
  #bytes = 0;

  /** Unit: messages, and bytes of entries; the append that crosses the limit of bytes is still let through. */
  constructor(capacity: number, capacityBytes: number) {
    this.#capacity = capacity;
    this.#capacityBytes = capacityBytes;
  }

  get count(): number {
    return this.#appends.length;
  }

  get full(): boolean {
    return this.#appends.length >= this.#capacity || this.#bytes >= this.#capacityBytes;
  }

  /** Notes an append of `bytes` that ends at `last`. The caller has asked `full`. */
  add(last: LogIndex, bytes: number): void {
    this.#appends.push({ last, bytes });
    this.#bytes += bytes;
  }

  /** Frees each append that ends at or before `index`. */
  freeUpTo(index: LogIndex): void {
    const kept = this.#appends.findIndex(({ last }) => last > index);
    const freed = this.#appends.splice(0, kept < 0 ? this.#appends.length : kept);
    for (const { bytes } of freed) this.#bytes -= bytes;
  }

  reset(): void {
    this.#appends = [];
    this.#bytes = 0;
  }
}
