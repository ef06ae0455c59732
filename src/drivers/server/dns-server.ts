/**
 * The embedded name server: UDP and TCP sockets around `answerDns`.
 *
 * Each witness can answer for the groups' names from its replicated state, so that no other DNS product is
 * needed. The runtime hands in `lookup`, which gives the current snapshot; nothing is cached beyond it. A
 * packet can be anything: it is answered, or dropped, and never ends the process or another's connection.
 *
 * TCP (RFC 7766): several questions in flight on one connection, an idle limit counted from the last whole question (so
 * a byte a second does not keep a connection), a bound on connections, and no reading while the peer does not read.
 *
 * Bind to addresses, not to 0.0.0.0, on a host with several: Node cannot choose the source address of a UDP answer.
 */
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { createServer, isIPv6, type Server, type Socket } from "node:net";
import { rcodeName } from "../dns/rcode.js";
import { answerDns, type DnsReply, servfailDns } from "./dns-answer.js";
import type { DnsZoneData } from "./dns-zone.js";

/** Where to listen and what to answer from. */
export interface DnsServerOptions {
  /** An address of this host; "::" is IPv6 alone. */
  readonly host: string;
  /** 0 takes a free port, the same for UDP and TCP. */
  readonly port: number;
  /** The current snapshot. It is called for every packet: give the same object until something changes. */
  readonly lookup: () => DnsZoneData;
  /** Told of what a person should know: content that cannot be served, a socket error. At most once a second. */
  readonly onProblem?: (message: string, cause?: unknown) => void;
  /** A TCP connection without a whole question for so long is closed. Default 10000. */
  readonly tcpIdleMs?: number;
  /** More TCP connections than this are closed at once. Default 128. */
  readonly tcpConnectionsMax?: number;
}

/** Counts since the start. */
export interface DnsServerStats {
  readonly udpQueries: number;
  readonly tcpQueries: number;
  /** Packets that were not answered. */
  readonly dropped: number;
  readonly tcpOpen: number;
  readonly tcpRefused: number;
  /** Answers by answer code. */
  readonly byRcode: Readonly<Record<string, number>>;
}

/** A running server. */
export interface DnsServer {
  readonly host: string;
  readonly port: number;
  stats(): DnsServerStats;
  /** Closes sockets and connections; resolves when they are gone. */
  close(): Promise<void>;
}

/** The server could not listen. Stable codes; the message names address, reason and remedy. */
export class DnsServerError extends Error {
  override readonly name = "DnsServerError";
  readonly retriable = false;
  readonly code: "dns_listen_in_use" | "dns_listen_denied" | "dns_listen_address" | "dns_listen";

  constructor(code: DnsServerError["code"], message: string, cause: unknown) {
    super(message, { cause });
    this.code = code;
  }
}

const TCP_UNSENT_MAX_BYTES = 256 * 1024;
/** Then others have their turn: elections and heartbeats run in this process, too. */
const TCP_QUESTIONS_A_TURN = 16;
const PROBLEM_INTERVAL_MS = 1_000;
const FREE_PORT_TRIALS = 10;

function listenError(cause: unknown, protocol: "UDP" | "TCP", host: string, port: number): DnsServerError {
  const where = `dns: cannot listen on ${isIPv6(host) ? `[${host}]` : host}:${port} (${protocol})`;
  switch ((cause as NodeJS.ErrnoException).code) {
    case "EADDRINUSE":
      return new DnsServerError(
        "dns_listen_in_use",
        `${where}: another program has it (see: ss -lnptu 'sport = :${port}'); on port 53 that is often systemd-resolved, ` +
          "which listens on 127.0.0.53 only: name this host's own address, or take another port",
        cause,
      );
    case "EACCES":
      return new DnsServerError(
        "dns_listen_denied",
        `${where}: ports below 1024 need a right: AmbientCapabilities=CAP_NET_BIND_SERVICE in the systemd unit, or another port`,
        cause,
      );
    case "EADDRNOTAVAIL":
      return new DnsServerError(
        "dns_listen_address",
        `${where}: this host does not have the address (see: ip addr); correct \`dns\` of this witness`,
        cause,
      );
    default:
      return new DnsServerError("dns_listen", `${where}: ${String(cause)}`, cause);
  }
}

function listenTcp(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) => reject(listenError(error, "TCP", host, port)));
    server.listen({ host, port, ipv6Only: isIPv6(host) }, () => {
      server.removeAllListeners("error");
      const address = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : port);
    });
  });
}

function bindUdp(socket: UdpSocket, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once("error", (error) => reject(listenError(error, "UDP", host, port)));
    socket.bind({ address: host, port, exclusive: true }, () => {
      socket.removeAllListeners("error");
      resolve();
    });
  });
}

/** Sockets and counters of one server. */
class Listener implements DnsServer {
  readonly host: string;
  port = 0;
  readonly #options: DnsServerOptions;
  readonly #tcp = createServer();
  #udp: UdpSocket | null = null;
  readonly #connections = new Set<Socket>();
  readonly #byRcode: Record<string, number> = {};
  #udpQueries = 0;
  #tcpQueries = 0;
  #dropped = 0;
  #tcpRefused = 0;
  #problemAt = Number.NEGATIVE_INFINITY;

  constructor(options: DnsServerOptions) {
    this.#options = options;
    this.host = options.host;
  }

  async open(): Promise<void> {
    const { host } = this.#options;
    for (let trial = 1; ; trial++) {
      this.port = await listenTcp(this.#tcp, host, this.#options.port);
      const udp = createSocket({ type: isIPv6(host) ? "udp6" : "udp4", ipv6Only: isIPv6(host) });
      try {
        await bindUdp(udp, host, this.port);
        this.#udp = udp;
        break;
      } catch (error) {
        udp.close();
        await new Promise((resolve) => this.#tcp.close(resolve));
        // With port 0 the number that TCP got may be taken in UDP: draw another.
        if (this.#options.port !== 0 || trial === FREE_PORT_TRIALS) throw error;
      }
    }
    this.#udp.on("message", (packet, peer) => {
      this.#udpQueries++;
      // Port 0 is legal in UDP, says "no answer, please", and comes in forged packets; Node's send throws for it.
      const reply = peer.port === 0 ? this.#count(null) : this.#answer(packet, "udp");
      if (reply !== null) this.#udp?.send(reply, peer.port, peer.address, () => {});
    });
    this.#udp.on("error", (error) => this.#problem(`dns: UDP socket: ${error.message}`, error));
    this.#tcp.on("error", (error) => this.#problem(`dns: TCP socket: ${error.message}`, error));
    this.#tcp.on("connection", (socket) => this.#onConnection(socket));
  }

  stats(): DnsServerStats {
    return {
      udpQueries: this.#udpQueries,
      tcpQueries: this.#tcpQueries,
      dropped: this.#dropped,
      tcpOpen: this.#connections.size,
      tcpRefused: this.#tcpRefused,
      byRcode: { ...this.#byRcode },
    };
  }

  async close(): Promise<void> {
    const udp = this.#udp;
    this.#udp = null;
    const closed: Promise<void>[] = [];
    if (udp !== null) closed.push(new Promise((resolve) => udp.close(() => resolve())));
    if (this.#tcp.listening) closed.push(new Promise((resolve) => this.#tcp.close(() => resolve())));
    for (const socket of this.#connections) socket.destroy();
    await Promise.all(closed);
  }

  /** A failure here is ours: the asker is told so and asks another server, the process goes on. */
  #answer(packet: Buffer, transport: "udp" | "tcp"): Buffer | null {
    try {
      const reply = answerDns(packet, this.#options.lookup(), transport);
      if (reply !== null && reply.problem !== null)
        this.#problem(`dns: a zone cannot be served: ${reply.problem}`);
      return this.#count(reply);
    } catch (error) {
      this.#problem(`dns: a packet of ${packet.length} bytes could not be answered: ${String(error)}`, error);
      return this.#count(servfailDns(packet));
    }
  }

  #count(reply: DnsReply | null): Buffer | null {
    if (reply === null) {
      this.#dropped++;
      return null;
    }
    const name = rcodeName(reply.rcode);
    this.#byRcode[name] = (this.#byRcode[name] ?? 0) + 1;
    return reply.bytes;
  }

  #problem(message: string, cause?: unknown): void {
    const now = performance.now();
    if (now - this.#problemAt < PROBLEM_INTERVAL_MS) return;
    this.#problemAt = now;
    this.#options.onProblem?.(message, cause);
  }

  #onConnection(socket: Socket): void {
    if (this.#connections.size >= (this.#options.tcpConnectionsMax ?? 128)) {
      this.#tcpRefused++;
      socket.destroy();
      return;
    }
    this.#connections.add(socket);
    const idle = setTimeout(() => socket.destroy(), this.#options.tcpIdleMs ?? 10_000);
    let received: Buffer = Buffer.alloc(0);
    socket.setNoDelay(true);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      clearTimeout(idle);
      this.#connections.delete(socket);
    });
    const take = (): void => {
      for (let taken = 0; received.length >= 2 && !socket.destroyed; taken++) {
        const end = 2 + received.readUInt16BE(0);
        if (received.length < end) break;
        // A peer that asks and does not read must not fill our memory.
        if (socket.writableLength > TCP_UNSENT_MAX_BYTES) return void socket.pause();
        if (taken === TCP_QUESTIONS_A_TURN) {
          socket.pause();
          setImmediate(take);
          return;
        }
        idle.refresh();
        this.#tcpQueries++;
        const reply = this.#answer(received.subarray(2, end), "tcp");
        received = received.subarray(end);
        // What cannot be answered on a connection will not get better on it.
        if (reply === null) socket.destroy();
        else send(socket, reply);
      }
      socket.resume();
    };
    socket.on("drain", take);
    socket.on("data", (chunk: Buffer) => {
      received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
      take();
    });
  }
}

function send(socket: Socket, reply: Buffer): void {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(reply.length, 0);
  socket.write(Buffer.concat([length, reply]));
}

/** Starts the server on UDP and TCP. Throws `DnsServerError`. */
export async function startDnsServer(options: DnsServerOptions): Promise<DnsServer> {
  const listener = new Listener(options);
  await listener.open();
  return listener;
}
