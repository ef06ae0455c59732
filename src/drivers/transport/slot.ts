/**
 * A place for one connection to one peer: it keeps one going, for ever.
 *
 * A stalled connection is not cut at once: TCP may wake it, and until a successor works it costs nothing to
 * listen. So a slot has an active connection and, while that one is stalled or missing, a candidate that is
 * being dialled; the first that brings an acknowledgement stays. A dial that has not by its deadline is
 * dropped and another one starts: the kernel repeats a lost SYN after one second, then two, four, eight,
 * which is how a healed link stays silent for half a minute.
 */
import type { HostPort } from "./address.js";
import type { Connection, ConnectionEnd } from "./connection.js";
import type { RoundTrips } from "./statistics.js";
import { clamp } from "./statistics.js";
import type { TransportTiming } from "./timing.js";

/** One address of a peer, and what is known of the way there. */
export interface Path {
  readonly address: HostPort;
  readonly roundTrips: RoundTrips;
}

/** What a slot asks of its peer link. */
export interface SlotHost {
  readonly timing: TransportTiming;
  /** The path to try after so many dials in a row have failed; null: the peer has no address at all. */
  pickPath(failures: number): Path | null;
  /** False while another slot of the same peer has only just dialled. */
  mayDial(nowMs: number): boolean;
  open(path: Path, onAck: () => void, onClosed: (end: ConnectionEnd) => void): Connection;
  /** A connection ended, of whatever cause. */
  onLost(connection: Connection, path: Path, end: ConnectionEnd): void;
}

/** Why a connection ends whose address the peer has no longer. */
export const GONE = "the peer has this address no longer";

interface Line {
  readonly connection: Connection;
  readonly path: Path;
}

export class Slot {
  private readonly host: SlotHost;
  private readonly patient: boolean;
  private active: Line | null = null;
  private candidate: Line | null = null;
  private candidateDeadlineMs = 0;
  /** Dials in a row that brought no acknowledgement. */
  private failures = 0;
  private notBeforeMs = 0;

  /** `patient`: every fourth failing dial of this slot waits long, for a path slower than anybody expected. */
  constructor(host: SlotHost, patient: boolean) {
    this.host = host;
    this.patient = patient;
  }

  /** The connections that may be written to: the active one, and a candidate whose TCP is up. */
  connections(): Connection[] {
    return [this.active, this.candidate].flatMap((line) => (line === null ? [] : [line.connection]));
  }

  /** True when the active connection works. */
  isHealthy(nowMs: number): boolean {
    return this.active !== null && this.waitedMs(this.active, nowMs) <= this.stallMs(this.active.path);
  }

  /** Looks after the connections. */
  sweep(nowMs: number): void {
    if (this.isHealthy(nowMs)) {
      // The stalled one woke up first: the dial is not needed any more.
      this.candidate?.connection.close("not needed any more", "spared");
      this.failures = 0;
      return;
    }
    const active = this.active;
    if (
      active !== null &&
      this.waitedMs(active, nowMs) > this.host.timing.abandonMs + this.stallMs(active.path)
    ) {
      active.connection.close("no acknowledgement for long");
    }
    if (this.candidate !== null && nowMs > this.candidateDeadlineMs) {
      this.candidate.connection.close("no acknowledgement in time");
    }
    if (this.candidate === null && nowMs >= this.notBeforeMs && this.host.mayDial(nowMs)) this.dial(nowMs);
  }

  /** The peer has that address no longer: what goes there ends, and the next dial need not wait. */
  leave(path: Path): void {
    for (const line of [this.candidate, this.active])
      if (line?.path === path) line.connection.close(GONE, "spared");
    this.failures = 0;
    this.notBeforeMs = 0;
  }

  /** For good. */
  close(reason: string): void {
    this.notBeforeMs = Number.POSITIVE_INFINITY;
    this.candidate?.connection.close(reason, "spared");
    this.active?.connection.close(reason, "spared");
  }

  private dial(nowMs: number): void {
    const { timing } = this.host;
    const path = this.host.pickPath(this.failures);
    if (path === null) return;
    const isPatient = this.patient && this.failures % 4 === 3;
    // TCP's handshake and the hello with its acknowledgement are two round trips.
    const expectedMs = 3 * (path.roundTrips.floorMs ?? 0);
    this.candidateDeadlineMs = nowMs + expectedMs + (isPatient ? timing.patientDialMs : timing.dialMs);
    const line: Line = {
      path,
      connection: this.host.open(
        path,
        () => this.onAck(line),
        (end) => this.onClosed(line, end),
      ),
    };
    this.candidate = line;
  }

  private onAck(line: Line): void {
    if (line !== this.candidate) return;
    const stalled = this.active;
    this.candidate = null;
    this.active = line;
    this.failures = 0;
    stalled?.connection.close("replaced", "spared");
  }

  private onClosed(line: Line, end: ConnectionEnd): void {
    const nowMs = line.connection.closedAtMs;
    if (line === this.candidate) {
      this.candidate = null;
      this.failures += 1;
      const { redialMinMs, redialMaxMs, refusedRedialMs } = this.host.timing;
      const pauseMs = clamp(redialMinMs * 2 ** Math.min(this.failures - 1, 10), redialMinMs, redialMaxMs);
      // Counted from the dial: one that took its whole deadline is followed at once.
      this.notBeforeMs = line.connection.dialledAtMs + pauseMs;
      if (end.kind === "refused") this.notBeforeMs = nowMs + refusedRedialMs;
    } else if (line === this.active) {
      this.active = null;
      if (end.kind === "refused") this.notBeforeMs = nowMs + this.host.timing.redialMaxMs;
    }
    this.host.onLost(line.connection, line.path, end);
  }

  private waitedMs(line: Line, nowMs: number): number {
    return line.connection.waitedMs(nowMs);
  }

  /** Without an acknowledgement for longer than this, a connection on that path is stalled. */
  private stallMs(path: Path): number {
    return this.host.timing.stallMs + 3 * (path.roundTrips.floorMs ?? 0);
  }
}
