/**
 * Every duration of the transport, derived from the heartbeat in one place.
 *
 * Measured at 30 % loss both ways (docs/adr/0002): a connection that is replaced after 400 ms without an
 * acknowledgement, and a second one beside it, cut the longest silence from 29 s to 1 s. A dial gets 500 ms:
 * the kernel sends a second SYN only after 1 s, so waiting longer means trying less often.
 */
import { clamp } from "./statistics.js";

export interface TransportTiming {
  /** How often the connections are looked after. */
  readonly sweepMs: number;
  /** A connection that has written nothing for so long writes a ping. */
  readonly pingMs: number;
  /** Least time without an acknowledgement before a connection is replaced; a long round trip adds to it. */
  readonly stallMs: number;
  /** A stalled connection is given up after so long, replaced or not. */
  readonly abandonMs: number;
  /**
   * A peer that has acknowledged nothing for so long is called out of reach; a replaced connection alone is
   * no news.
   */
  readonly silentMs: number;
  /** From the first SYN to the first acknowledgement; a long round trip adds to it. */
  readonly dialMs: number;
  /** Every fourth dial is patient, for a path whose round trip is not known yet. */
  readonly patientDialMs: number;
  /** Between two dials of one connection when the peer refuses at once. */
  readonly redialMinMs: number;
  readonly redialMaxMs: number;
  /** After a refusal by the peer: only a person can mend it. */
  readonly refusedRedialMs: number;
  /** Acknowledgements are at least so far apart. */
  readonly ackMs: number;
  /** The bare news of a commit waits so long for an append that carries it. */
  readonly newsMs: number;
  /** An inbound connection without a hello, or without any frame, is closed after so long. */
  readonly helloMs: number;
  readonly idleMs: number;
}

/** The durations for a heartbeat interval. Unit: ms. */
export function transportTiming(heartbeatMs: number): TransportTiming {
  const stallMs = Math.max(400, 2 * heartbeatMs);
  const dialMs = Math.max(500, 3 * heartbeatMs);
  const pingMs = Math.max(150, 2 * heartbeatMs);
  return {
    sweepMs: clamp(heartbeatMs / 2, 20, 50),
    pingMs,
    stallMs,
    abandonMs: 4 * stallMs,
    silentMs: Math.max(2000, 10 * heartbeatMs),
    dialMs,
    patientDialMs: 6 * dialMs,
    redialMinMs: 50,
    redialMaxMs: 200,
    refusedRedialMs: 2000,
    ackMs: clamp(heartbeatMs / 5, 5, 25),
    newsMs: clamp(heartbeatMs / 20, 2, 10),
    helloMs: 5000,
    idleMs: Math.max(10_000, 20 * pingMs),
  };
}
