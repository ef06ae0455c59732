/**
 * Cluster time: the only clock that decides anything in the replicated state (docs/adr/0004).
 *
 * It is the stamp of the last entry that this witness learnt plus the monotonic time since then. It survives leader
 * changes, does not care when somebody sets a wall clock, and never runs backwards: a leader issues
 * `max(last issued, estimate)`, and `apply` takes the maximum again.
 *
 * A leader does not rebase on its own entries: they come back one commit later, and each would slow its clock by that.
 */
export class ClusterClock {
  private stampMs = 0;
  private learntAtMonoMs = 0;
  private issuedMs = 0;

  /** An entry with `stampMs` was learnt at `monoMs`; `own`: this witness issued it in its present leadership. */
  onEntry(stampMs: number, monoMs: number, own: boolean): void {
    if (own || stampMs < this.stampMs) return;
    this.stampMs = stampMs;
    this.learntAtMonoMs = monoMs;
  }

  /** Cluster time at `monoMs`. Unit: ms, whole. */
  now(monoMs: number): number {
    const estimate = this.stampMs + Math.max(0, Math.floor(monoMs - this.learntAtMonoMs));
    return Math.max(estimate, this.issuedMs);
  }

  /** The stamp for a new entry; never smaller than one issued before. */
  issue(monoMs: number): number {
    this.issuedMs = this.now(monoMs);
    return this.issuedMs;
  }
}
