/**
 * DNS over UDP: small, quick, sent again with the same bytes when no answer comes, and over TCP when it does not fit.
 *
 * An answer that fits no open request (id, question, sender) is dropped and waited past, as an attacker's
 * guess must not end the exchange.
 */
import { randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
import { isIPv6 } from "node:net";
import { type Channel, limited, type Reply, socketError } from "./channel.js";
import type { Deadline, Endpoint } from "./endpoint.js";
import { GROWTH, PAUSE_MAX_MS } from "./pace.js";
import { openTcp } from "./tcp.js";

/** The largest request that goes over UDP: what fits every path without fragments (DNS flag day 2020). Bytes. */
export const UDP_MAX_BYTES = 1232;

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

/** How to exchange one packet. */
export interface UdpOptions {
  readonly deadline: Deadline;
  readonly signal: AbortSignal;
  /** First pause before the same packet is sent again; it grows. Unit: ms. */
  readonly resendAfterMs: number;
  /** What is no answer is waited past. Default: by id and question. */
  readonly isAnswer?: (bytes: Buffer) => boolean;
  /** Told of each copy that leaves. */
  readonly onSend?: () => void;
}

/** Sends a packet until its answer comes, from a port of its own. Throws `DnsError`. */
export function exchangeUdp(server: Endpoint, request: Buffer, options: UdpOptions): Promise<Reply> {
  const isAnswer = options.isAnswer ?? ((bytes: Buffer) => isAnswerTo(bytes, request));
  let copies = 0;
  return limited<Reply>(
    options.deadline,
    options.signal,
    server,
    () => copies > 0,
    (resolve, reject) => {
      const socket = createSocket(isIPv6(server.host) ? "udp6" : "udp4");
      let resend: NodeJS.Timeout | undefined;
      let waitMs = options.resendAfterMs;
      const send = (): void => {
        copies++;
        options.onSend?.();
        socket.send(request);
        // Lost packets are the normal case here; the same bytes again, with growing patience.
        resend = setTimeout(send, waitMs);
        waitMs = Math.min(waitMs * GROWTH, PAUSE_MAX_MS);
      };
      // "Port unreachable" for the only packet sent is definite; for a repeated one the first may have arrived.
      socket.on("error", (error) => reject(socketError(error, server, copies > 1)));
      socket.on("message", (bytes) => {
        if (isAnswer(bytes)) resolve({ bytes, copies });
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

/** True when the server had more to say than fits a packet. */
export function isTruncated(answer: Buffer): boolean {
  return (answer.readUInt16BE(2) & 0x0200) !== 0;
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

  async exchange(request: Buffer, deadline: Deadline, signal: AbortSignal): Promise<Reply> {
    let copies = 0;
    if (request.length <= UDP_MAX_BYTES) {
      const resendAfterMs = this.#resendAfterMs;
      const reply = await exchangeUdp(this.server, request, { deadline, signal, resendAfterMs });
      if (!isTruncated(reply.bytes)) return reply;
      copies = reply.copies;
    }
    const tcp = await openTcp(this.server, deadline, signal);
    try {
      const { bytes } = await tcp.exchange(request, deadline, signal);
      return { bytes, copies: copies + 1 };
    } finally {
      tcp.close();
    }
  }

  close(): void {}
}

/** A UDP channel; `resendAfterMs` is the first pause before the same packet is sent again (it grows). */
export function openUdp(server: Endpoint, resendAfterMs: number): Channel {
  return new UdpChannel(server, resendAfterMs);
}
