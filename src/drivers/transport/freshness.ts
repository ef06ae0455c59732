/**
 * Which arrived frames are news: neither seen before nor too old.
 *
 * The same frame travels over several connections, and a connection that hung gives up its backlog at once
 * when it wakes (measured: 1,600 messages). Raft bears both; but a view or a heartbeat from before the outage
 * says nothing of now.
 *
 * Lateness without a common clock: `received - sent` is an unknown offset plus the time on the way. The least
 * of it seen on a connection, let rise by the drift that two honest clocks may have, stands for the offset;
 * what a frame has beyond it, it spent waiting. A clock that jumps (a suspended virtual machine) would make
 * everything late: the receiver then ends the stream, and the next one starts with an offset of its own.
 */

const WINDOW = 4096;
/** How much faster one clock may run than the other, generously. */
const DRIFT = 0.02;

/** Remembers the last `WINDOW` sequence numbers of one sender life. */
export class SeenWindow {
  private readonly ring = new Float64Array(WINDOW);
  private highest = 0;

  /** True when `admit` would refuse it. */
  knows(seq: number): boolean {
    return seq <= this.highest - WINDOW || this.ring[seq % WINDOW] === seq;
  }

  /** True the first time that `seq` (from 1) is given; false for repeats and for what fell out of the window. */
  admit(seq: number): boolean {
    if (this.knows(seq)) return false;
    this.ring[seq % WINDOW] = seq;
    this.highest = Math.max(this.highest, seq);
    return true;
  }
}

/** Measures how late the frames of one connection are. */
export class LatenessGauge {
  private floorMs = Number.POSITIVE_INFINITY;
  private floorAtMs = 0;

  /** How much later than the quickest one a frame came. Both times in ms, each on its own side's monotonic clock. */
  latenessMs(sentMs: number, receivedMs: number): number {
    const delayMs = receivedMs - sentMs;
    const risenMs = this.floorMs + DRIFT * (receivedMs - this.floorAtMs);
    if (delayMs <= risenMs) {
      this.floorMs = delayMs;
      this.floorAtMs = receivedMs;
      return 0;
    }
    return delayMs - risenMs;
  }
}
