/**
 * Channels: how a request gets to a name server and its answer back, over TCP or UDP.
 *
 * TCP is the way for updates. One request has one answer, size does not matter, nobody off the path can answer in the
 * server's stead, and above all a refused or silent connect says for sure that nothing was sent: the outcome is
 * "failed", not "unknown". A TCP channel keeps several requests in flight and matches answers by id, so reading
 * ten record sets costs one round trip (RFC 7766 section 6.2.1).
 *
 * UDP is the way for questions: small, quick, repeated on loss with the same bytes, and retried over TCP when the
 * answer says truncated. An answer that fits no open request (id, question, sender) is dropped and waited past, as
 * an attacker's guess must not end the exchange.
 */
import { randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
import { createConnection, isIPv6, type Socket } from "node:net";
import { assert } from "../../core/base/assert.js";
import type { Deadline, Endpoint } from "./endpoint.js";
import { DnsError, type DnsErrorCode } from "./error.js";

/** Carries requests to one server. */
export interface Channel {
  readonly server: Endpoint;
  /** An id that no open request on this channel has. */
  nextId(): number;
  /** Sends one message and gives the bytes of its answer. Throws `DnsError`. */
  exchange(request: Buffer, deadline: Deadline, signal: AbortSignal): Promise<Buffer>;
  /** Ends the channel; open exchanges fail with `dns_closed`. */
  close(): void;
}

/** The largest request that goes over UDP: what fits every path without fragments (DNS flag day 2020). Bytes. */
export const UDP_MAX_BYTES = 1232;

/** The one place where an error of Node's sockets becomes ours. */
function socketError(cause: unknown, server: Endpoint, maybeDone: boolean): DnsError {
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
function limited<T>(
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

interface Waiter {
  readonly resolve: (answer: Buffer) => void;
  readonly reject: (error: DnsError) => void;
}

/** A TCP connection with several requests in flight; their ids differ. */
class TcpChannel implements Channel {
  readonly server: Endpoint;
  readonly #socket: Socket;
  readonly #waiting = new Map<number, Waiter>();
  #received: Buffer = Buffer.alloc(0);
  #failure: DnsError | null = null;
  #id = randomInt(0x10000);

  constructor(server: Endpoint, socket: Socket) {
    this.server = server;
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => this.#onData(chunk));
    socket.on("error", (error) => this.#fail(socketError(error, server, true)));
    socket.on("close", () => this.#fail(socketError(null, server, true)));
  }

  nextId(): number {
    do this.#id = (this.#id + 1) & 0xffff;
    while (this.#waiting.has(this.#id));
    return this.#id;
  }

  exchange(request: Buffer, deadline: Deadline, signal: AbortSignal): Promise<Buffer> {
    const id = request.readUInt16BE(0);
    let sent = false;
    return limited<Buffer>(
      deadline,
      signal,
      this.server,
      () => sent,
      (resolve, reject) => {
        assert(!this.#waiting.has(id), () => `two open DNS requests with id ${id}`);
        if (this.#failure !== null) {
          // Nothing of this request left, whatever happened to the others.
          reject(
            new DnsError("dns_closed", `the connection to name server ${this.server.text} is closed`, {
              server: this.server.text,
              maybeDone: false,
              retriable: true,
              cause: this.#failure,
            }),
          );
          return () => {};
        }
        this.#waiting.set(id, { resolve, reject });
        const length = Buffer.alloc(2);
        length.writeUInt16BE(request.length, 0);
        // One write, one segment: some servers do not expect the length to come alone (RFC 7766 section 8).
        this.#socket.write(Buffer.concat([length, request]));
        sent = true;
        return () => this.#waiting.delete(id);
      },
    );
  }

  close(): void {
    this.#socket.destroy();
  }

  #onData(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    while (this.#received.length >= 2) {
      const end = 2 + this.#received.readUInt16BE(0);
      if (this.#received.length < end) return;
      const answer = Buffer.from(this.#received.subarray(2, end));
      this.#received = this.#received.subarray(end);
      if (answer.length >= 12) this.#waiting.get(answer.readUInt16BE(0))?.resolve(answer);
    }
  }

  #fail(error: DnsError): void {
    if (this.#failure !== null) return;
    this.#failure = error;
    for (const waiter of [...this.#waiting.values()]) waiter.reject(error);
  }
}

/** Opens a TCP channel. Throws `DnsError` with `maybeDone` false. */
export async function openTcp(server: Endpoint, deadline: Deadline, signal: AbortSignal): Promise<Channel> {
  const socket = await limited<Socket>(
    deadline,
    signal,
    server,
    () => false,
    (resolve, reject) => {
      const opening = createConnection({ host: server.host, port: server.port, noDelay: true });
      const onConnect = (): void => resolve(opening);
      const onError = (error: Error): void => reject(socketError(error, server, false));
      opening.on("connect", onConnect).on("error", onError);
      return () => {
        opening.off("connect", onConnect).off("error", onError);
        if (opening.readyState === "open") return;
        opening.on("error", () => {});
        opening.destroy();
      };
    },
  );
  return new TcpChannel(server, socket);
}

/** True when two messages ask the same; compared as bytes because an honest server copies the question. */
function isAnswerTo(answer: Buffer, request: Buffer): boolean {
  if (answer.length < 12 || answer.readUInt16BE(0) !== request.readUInt16BE(0)) return false;
  if ((answer.readUInt16BE(2) & 0x8000) === 0) return false;
  // FORMERR and the like may come without a question; the id and the connected socket must do then.
  if (answer.readUInt16BE(4) === 0) return (answer.readUInt16BE(2) & 0xf) !== 0;
  let end = 12;
  while (end < request.length && request[end] !== 0) end += 1 + (request[end] ?? 0);
  end += 5;
  return answer.subarray(12, end).equals(request.subarray(12, end));
}

/** A UDP socket a request; falls back to TCP when the answer is truncated or the request is too large. */
class UdpChannel implements Channel {
  readonly server: Endpoint;
  readonly #resendAfterMs: number;

  constructor(server: Endpoint, resendAfterMs: number) {
    this.server = server;
    this.#resendAfterMs = resendAfterMs;
  }

  nextId(): number {
    return randomInt(0x10000);
  }

  async exchange(request: Buffer, deadline: Deadline, signal: AbortSignal): Promise<Buffer> {
    if (request.length <= UDP_MAX_BYTES) {
      const answer = await this.#exchangeUdp(request, deadline, signal);
      if ((answer.readUInt16BE(2) & 0x0200) === 0) return answer;
    }
    const tcp = await openTcp(this.server, deadline, signal);
    try {
      return await tcp.exchange(request, deadline, signal);
    } finally {
      tcp.close();
    }
  }

  close(): void {}

  #exchangeUdp(request: Buffer, deadline: Deadline, signal: AbortSignal): Promise<Buffer> {
    const { server } = this;
    let sentCount = 0;
    return limited<Buffer>(
      deadline,
      signal,
      server,
      () => sentCount > 0,
      (resolve, reject) => {
        const socket = createSocket(isIPv6(server.host) ? "udp6" : "udp4");
        let resend: NodeJS.Timeout | undefined;
        let waitMs = this.#resendAfterMs;
        const send = (): void => {
          sentCount++;
          socket.send(request);
          // Lost packets are the normal case here; the same bytes again, with growing patience.
          resend = setTimeout(send, waitMs);
          waitMs = Math.min(waitMs * 2, 2000);
        };
        // "Port unreachable" for the only packet sent is definite; for a repeated one the first may have arrived.
        socket.on("error", (error) => reject(socketError(error, server, sentCount > 1)));
        socket.on("message", (answer) => {
          if (isAnswerTo(answer, request)) resolve(answer);
        });
        // A connected socket hears "port unreachable" and takes answers from this server alone.
        socket.connect(server.port, server.host, (error?: Error) => {
          if (error === undefined || error === null) send();
          else reject(socketError(error, server, false));
        });
        return () => {
          clearTimeout(resend);
          socket.removeAllListeners();
          socket.on("error", () => {});
          socket.close();
        };
      },
    );
  }
}

/** A UDP channel; `resendAfterMs` is the first pause before the same packet is sent again (it doubles). */
export function openUdp(server: Endpoint, resendAfterMs = 400): Channel {
  return new UdpChannel(server, resendAfterMs);
}
