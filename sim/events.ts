/**
 * Virtual time: what happens next, in an order that depends on nothing but the seed. Events at the same
 * instant happen in the order in which they were scheduled.
 */
export class Agenda {
  nowMs = 0;
  private count = 0;
  private readonly heap: { readonly atMs: number; readonly order: number; readonly run: () => void }[] = [];

  /** Runs `run` after `delayMs` of virtual time. */
  in(delayMs: number, run: () => void): void {
    const { heap } = this;
    heap.push({ atMs: this.nowMs + Math.max(0, delayMs), order: this.count++, run });
    for (let i = heap.length - 1; i > 0; ) {
      const parent = (i - 1) >> 1;
      if (!this.swapIfEarlier(i, parent)) break;
      i = parent;
    }
  }

  /** Runs the next event; false when there is none before `untilMs`. */
  step(untilMs: number): boolean {
    const first = this.heap[0];
    if (first === undefined || first.atMs > untilMs) {
      this.nowMs = Math.max(this.nowMs, untilMs);
      return false;
    }
    const last = this.heap.pop();
    if (last !== undefined && this.heap.length > 0) {
      this.heap[0] = last;
      this.sink();
    }
    this.nowMs = first.atMs;
    first.run();
    return true;
  }

  private sink(): void {
    for (let i = 0; ; ) {
      const left = 2 * i + 1;
      if (left >= this.heap.length) return;
      const child = left + 1 < this.heap.length && this.isEarlier(left + 1, left) ? left + 1 : left;
      if (!this.swapIfEarlier(child, i)) return;
      i = child;
    }
  }

  private isEarlier(i: number, j: number): boolean {
    const a = this.heap[i];
    const b = this.heap[j];
    return (
      a !== undefined && b !== undefined && (a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order))
    );
  }

  private swapIfEarlier(child: number, parent: number): boolean {
    const a = this.heap[child];
    const b = this.heap[parent];
    if (a === undefined || b === undefined || !this.isEarlier(child, parent)) return false;
    this.heap[child] = b;
    this.heap[parent] = a;
    return true;
  }
}
