/**
 * How long to wait for a name server before the same is tried once more: from the round trips measured with it.
 *
 * The least of the last round trips counts, not their mean: on a line that loses packets most measurements
 * contain the waiting for TCP's own repetition (200 ms and more), and a mean of those would make us as slow
 * as TCP. Kept for the life of the process, so that a route step begins with what the steps before it have
 * seen.
 */

/** Each further pause is so much longer than the one before. */
export const GROWTH = 1.25;
/** The longest pause. Unit: ms. */
export const PAUSE_MAX_MS = 1000;

const PAUSE_MIN_MS = 100;
/** For a server that is not known yet: most paths between sites answer within that. Unit: ms. */
const PAUSE_UNKNOWN_MS = 200;
/** For the server's own work: an update waits for its disk. Unit: ms. */
const SLACK_MS = 50;
const SAMPLES_MAX = 16;
const SERVERS_MAX = 256;

/** Round trips by server. */
export class Pace {
  readonly #samples = new Map<string, number[]>();

  /** A round trip with that server ("host:port") took `rttMs`. */
  note(server: string, rttMs: number): void {
    const samples = [...(this.#samples.get(server) ?? []), rttMs].slice(-SAMPLES_MAX);
    // Deleted first, so that the map is in the order of use and its first is the one longest unused.
    this.#samples.delete(server);
    this.#samples.set(server, samples);
    const [oldest] = this.#samples.keys();
    if (this.#samples.size > SERVERS_MAX && oldest !== undefined) this.#samples.delete(oldest);
  }

  /** How long to wait for that server before the first repetition. Unit: ms. */
  pauseMs(server: string): number {
    const samples = this.#samples.get(server);
    if (samples === undefined) return PAUSE_UNKNOWN_MS;
    return Math.min(PAUSE_MAX_MS, Math.max(PAUSE_MIN_MS, 2 * Math.min(...samples) + SLACK_MS));
  }
}

/** What this process has measured. */
export const PACE = new Pace();
