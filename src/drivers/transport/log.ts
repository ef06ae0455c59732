/**
 * What the transport needs of a logger (pino has this shape), and a brake: what repeats is said once a
 * minute, with a count.
 */

export interface TransportLog {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

const QUIET_MS = 60_000;

/** Lets one line of each key through in a minute. Bounded: keys are reasons and peers, never what a stranger sent. */
export class QuietLog {
  private readonly log: TransportLog;
  private readonly nowMs: () => number;
  private readonly last = new Map<string, { atMs: number; held: number }>();

  constructor(log: TransportLog, nowMs: () => number) {
    this.log = log;
    this.nowMs = nowMs;
  }

  /** Warns unless `key` was said within the last minute; the next line then tells how many were held back. */
  warn(key: string, fields: object, message: string): void {
    const nowMs = this.nowMs();
    const before = this.last.get(key);
    if (before !== undefined && nowMs - before.atMs < QUIET_MS) {
      before.held += 1;
      return;
    }
    this.last.set(key, { atMs: nowMs, held: 0 });
    this.log.warn(before === undefined ? fields : { ...fields, repeated: before.held }, message);
  }
}
