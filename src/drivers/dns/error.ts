/**
 * What can go wrong when this program speaks DNS, as two classes.
 *
 * `DnsFormatError`: bytes or text that are no valid DNS. `DnsError`: an exchange with a server that failed. The second
 * carries the one fact that decides between "failed" and "unknown" for an update: whether the request may have
 * reached the server. A failure before the first byte left is definite; silence after it is not.
 */
import type { RcodeCode } from "./rcode.js";

/** Bytes or text that are not valid DNS. Stable code `dns_malformed`; trying again does not help. */
export class DnsFormatError extends Error {
  override readonly name = "DnsFormatError";
  readonly code = "dns_malformed";
  readonly retriable = false;
}

/** The stable codes of a failed exchange; those of an answered refusal are in `rcode.ts`. */
export type DnsErrorCode =
  | RcodeCode
  | "dns_unreachable"
  | "dns_timeout"
  | "dns_closed"
  | "dns_aborted"
  | "dns_malformed"
  | "dns_unsigned_answer"
  | "dns_answer_not_authentic"
  | "dns_not_authoritative";

/** Facts of a `DnsError` besides its sentence. */
export interface DnsErrorFacts {
  /** "host:port" of the server. */
  readonly server: string;
  /** True when the request may have reached the server and been carried out. */
  readonly maybeDone: boolean;
  /** True when the same request may succeed later although nobody changed anything. */
  readonly retriable: boolean;
  /** How many copies of the request were sent, where the channel sends several. Default 1. */
  readonly copies?: number;
  readonly cause?: unknown;
}

/** An exchange with a server failed; the message says with whom, how, and what to do. */
export class DnsError extends Error {
  override readonly name = "DnsError";
  readonly code: DnsErrorCode;
  readonly server: string;
  readonly maybeDone: boolean;
  readonly retriable: boolean;
  /** Copies of the request that were sent: what the server said was said of one of them. */
  readonly copies: number;

  constructor(code: DnsErrorCode, message: string, facts: DnsErrorFacts) {
    super(message, { cause: facts.cause });
    this.code = code;
    this.server = facts.server;
    this.maybeDone = facts.maybeDone;
    this.retriable = facts.retriable;
    this.copies = facts.copies ?? 1;
  }

  /** The same failure, of a request that was sent that often. */
  about(facts: { readonly maybeDone: boolean; readonly copies: number }): DnsError {
    const { server, retriable, cause } = this;
    return new DnsError(this.code, this.message, { server, retriable, cause, ...facts });
  }
}
