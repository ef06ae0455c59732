/**
 * Addresses of name servers, and the one deadline that an exchange has.
 *
 * A deadline is a point on the monotonic clock: connecting, sending, waiting, falling back from UDP to TCP and trying
 * the next server all draw on the same budget, so a caller's `timeoutMs` means what it says.
 */
import { isIPv6 } from "node:net";
import { DnsFormatError } from "./error.js";

/** Where a name server listens. `text` is how it is shown: "192.0.2.53:53" or "[2001:db8::53]:53". */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
  readonly text: string;
}

/** An endpoint from its parts. */
export function endpoint(host: string, port: number): Endpoint {
  return { host, port, text: isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}` };
}

/** Reads "host", "host:port", "[v6]:port" or a bare IPv6 address; the port is 53 unless given. */
export function parseEndpoint(text: string): Endpoint {
  const wrong = (): DnsFormatError =>
    new DnsFormatError(`"${text}" is no server address; write 192.0.2.53:53 or [2001:db8::53]:53`);
  if (isIPv6(text)) return endpoint(text, 53);
  const match = /^(?:\[([^\]]+)\]|([^:[\]\s]+))(?::(\d{1,5}))?$/.exec(text);
  if (match === null) throw wrong();
  const port = match[3] === undefined ? 53 : Number(match[3]);
  const host = match[1] ?? match[2] ?? "";
  if (port < 1 || port > 65535 || (match[1] !== undefined && !isIPv6(host))) throw wrong();
  return endpoint(host, port);
}

/** A point in monotonic time until which something must be finished. */
export class Deadline {
  readonly #at: number;

  private constructor(at: number) {
    this.#at = at;
  }

  /** The deadline `timeoutMs` from now. */
  static in(timeoutMs: number): Deadline {
    return new Deadline(performance.now() + timeoutMs);
  }

  /** Milliseconds left, never negative. */
  get leftMs(): number {
    return Math.max(0, this.#at - performance.now());
  }

  /** The earlier of this deadline and `timeoutMs` from now. */
  within(timeoutMs: number): Deadline {
    return new Deadline(Math.min(this.#at, performance.now() + timeoutMs));
  }
}
