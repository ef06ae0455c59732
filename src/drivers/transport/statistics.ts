/**
 * Round trips of one connection, and what share of frames came through late.
 *
 * TCP hides loss and shows it as delay: a frame whose acknowledgement takes longer than the quickest by more
 * than a retransmission timeout (200 ms at least on Linux) was most likely lost once, it or its
 * acknowledgement. If each way loses a share p, a share 1 - (1 - p)^2 is late; the estimate turns that round.
 * It is a hint for people, nothing is decided by it.
 */

/** `value`, but at least `min` and at most `max`. */
export function clamp(value: number, min: number, max: number): number {
  return Math.min(max, Math.max(min, value));
}

/** Slack beyond the quickest round trip before one counts as late. Unit: ms. */
const LATE_MS = 150;
const WEIGHT = 1 / 64;

export class RoundTrips {
  private minMs: number | null = null;
  private smoothMs: number | null = null;
  private lateShare = 0;

  /** One acknowledged frame. */
  add(sampleMs: number): void {
    const late = this.minMs !== null && sampleMs > this.minMs + LATE_MS;
    this.lateShare += ((late ? 1 : 0) - this.lateShare) * WEIGHT;
    this.smoothMs = this.smoothMs === null ? sampleMs : this.smoothMs + (sampleMs - this.smoothMs) / 8;
    // The floor creeps up, so that a path that became longer is believed after a few hundred frames.
    this.minMs =
      this.minMs === null || sampleMs < this.minMs ? sampleMs : this.minMs + (sampleMs - this.minMs) / 256;
  }

  /** A connection that had to be replaced: what it carried last was lost. */
  addLost(): void {
    this.lateShare += (1 - this.lateShare) * WEIGHT;
  }

  /** The quickest round trip, slowly forgetting; null before the first. Unit: ms. */
  get floorMs(): number | null {
    return this.minMs;
  }

  /** Smoothed round trip, waits for retransmission included; null before the first. Unit: ms. */
  get rttMs(): number | null {
    return this.smoothMs;
  }

  /** Estimated share of packets lost each way, 0 to 1. */
  get lossEstimate(): number {
    return 1 - Math.sqrt(1 - this.lateShare);
  }
}
