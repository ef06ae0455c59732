/**
 * Channels: how a request gets to a name server and its answer back. What all kinds share: the shape, and how
 * an exchange ends.
 *
 * `tcp.ts` is one connection, `udp.ts` packets that are sent again, `hedge.ts` both side by side, for a line
 * that loses packets.
 *
 * Copies: where a request is sent more than once, an answer speaks for one copy, and another may still be on
 * its way. That is no matter for a question or for a "yes"; a "no" to an update is no proof that nothing was
 * changed. So each reply says how many copies were sent.
 */
import type { Deadline, Endpoint } from "./endpoint.js";
import { DnsError, type DnsErrorCode } from "./error.js";

/** The bytes of an answer, and how many copies of its request were sent. */
export interface Reply {
  readonly bytes: Buffer;
  readonly copies: number;
}

/** True for an answer that the holder of the key gave to this request. */
export type IsAuthentic = (answer: Buffer) => boolean;

/** Carries requests to one server. */
export interface Channel {
  readonly server: Endpoint;
  /** An id that no open request on this channel has. */
  nextId(): number;
  /**
   * Sends one message and gives its answer. Throws `DnsError`. `isAuthentic`: null where no key is in use; a
   * channel may use it to wait past answers that prove nothing.
   */
  exchange(
    request: Buffer,
    deadline: Deadline,
    signal: AbortSignal,
    isAuthentic?: IsAuthentic | null,
  ): Promise<Reply>;
  /** Ends the channel; open exchanges fail with `dns_closed`. */
  close(): void;
}

/** The one place where an error of Node's sockets becomes ours. */
export function socketError(cause: unknown, server: Endpoint, maybeDone: boolean): DnsError {
  const code = (cause as NodeJS.ErrnoException | null)?.code ?? "end of stream";
  if (!maybeDone) {
    const hint =
      code === "ECONNREFUSED"
        ? "nothing listens there: is the name server running, and on this address and port?"
        : code === "ENOTFOUND" || code === "EAI_AGAIN"
          ? "its name does not resolve: use an IP address, it works when DNS does not"
          : "check the route and the firewall to it";
    return new DnsError("dns_unreachable", `cannot reach name server ${server.text} (${code}): ${hint}`, {
      server: server.text,
      maybeDone: false,
      retriable: true,
      cause,
    });
  }
  return new DnsError(
    "dns_closed",
    `name server ${server.text} closed the connection (${code}) before it answered`,
    {
      server: server.text,
      maybeDone: true,
      retriable: true,
      cause,
    },
  );
}

/** The error of an exchange that its deadline or its caller ended. */
function ended(
  code: DnsErrorCode & ("dns_timeout" | "dns_aborted"),
  server: Endpoint,
  maybeDone: boolean,
): DnsError {
  const what =
    code === "dns_timeout"
      ? `name server ${server.text} did not answer in time`
      : `the exchange with name server ${server.text} was called off`;
  const text = maybeDone ? what : `${what}; nothing was sent`;
  return new DnsError(code, text, { server: server.text, maybeDone, retriable: true });
}

/** Settles a promise at the deadline or on abort, whichever comes first; always clears what it set up. */
export function limited<T>(
  deadline: Deadline,
  signal: AbortSignal,
  server: Endpoint,
  isMaybeDone: () => boolean,
  start: (resolve: (value: T) => void, reject: (error: DnsError) => void) => () => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    let cleanUp = (): void => {};
    const settle = (act: () => void): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      cleanUp();
      act();
    };
    const onAbort = (): void => settle(() => reject(ended("dns_aborted", server, isMaybeDone())));
    const timer = setTimeout(
      () => settle(() => reject(ended("dns_timeout", server, isMaybeDone()))),
      deadline.leftMs,
    );
    if (signal.aborted) {
      onAbort();
      return;
    }
    signal.addEventListener("abort", onAbort);
    cleanUp = start(
      (value) => settle(() => resolve(value)),
      (error) => settle(() => reject(error)),
    );
  });
}
