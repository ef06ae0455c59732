/**
 * What the leader has proposed and not yet seen applied, so that one wish is written into the log once.
 *
 * Every duty of the leader has a key ("plan shop", "observe w-b"). While a proposal of that key is on its way no second
 * one is made; when its index is applied, by whatever command, the key is free and the duty looks at the state again.
 * All keys are freed when the leadership ends: a new leader starts from the state alone.
 */
import type { LogIndex } from "../base/ids.js";

export class Proposals {
  private readonly indexByKey = new Map<string, LogIndex>();

  has(key: string): boolean {
    return this.indexByKey.has(key);
  }

  add(key: string, index: LogIndex): void {
    // To the end, should the key be there already.
    this.indexByKey.delete(key);
    this.indexByKey.set(key, index);
  }

  onApplied(index: LogIndex): void {
    // Indexes grow in the order of the proposals, so the first later one ends the search.
    for (const [key, at] of this.indexByKey) {
      if (at > index) return;
      this.indexByKey.delete(key);
    }
  }

  clear(): void {
    this.indexByKey.clear();
  }

  get size(): number {
    return this.indexByKey.size;
  }
}
