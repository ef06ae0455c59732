/**
 * DNS over one TCP connection, with several requests in flight that are told apart by their ids (RFC 7766
 * section 6.2.1).
 *
 * One request has one answer, size does not matter, nobody off the path can answer in the server's stead, and
 * a refused or silent connect says for sure that nothing was sent.
 */
import { randomInt } from "node:crypto";
import { createConnection, type Socket } from "node:net";
import { assert } from "../../core/base/assert.js";
import { type Channel, limited, type Reply, socketError } from "./channel.js";
import type { Deadline, Endpoint } from "./endpoint.js";
import { DnsError } from "./error.js";

interface Waiter {
  readonly resolve: (reply: Reply) => void;
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

  exchange(request: Buffer, deadline: Deadline, signal: AbortSignal): Promise<Reply> {
    const id = request.readUInt16BE(0);
    let sent = false;
    return limited<Reply>(
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
        // One write: some servers do not expect the length to come alone (RFC 7766 section 8). What is asked
        // in one go leaves in one segment, too: on a line that loses packets five questions in one are lost
        // less often than one of five.
        this.#socket.cork();
        process.nextTick(() => this.#socket.uncork());
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
      if (answer.length >= 12)
        this.#waiting.get(answer.readUInt16BE(0))?.resolve({ bytes: answer, copies: 1 });
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
