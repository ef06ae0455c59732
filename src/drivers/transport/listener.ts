/**
 * The listening side: TCP sockets that we own, handed to a gRPC server.
 *
 * grpc-js could bind by itself, but then nobody could say which address is in use, close a connection that
 * never says hello, or limit how many strangers may sit on the port. Invariant: at most `STRANGERS`
 * connections that are no peer's are open, each for at most `helloMs`; a peer's connection that brings
 * nothing for `idleMs` is closed.
 */
import { createServer, type Socket, type Server as TcpServer } from "node:net";
import { Server, type ServerCredentials, type ServiceDefinition } from "@grpc/grpc-js";
import { addressText, type HostPort } from "./address.js";
import { listenError } from "./errors.js";
import type { PeerStream } from "./inbound.js";
import type { TransportTiming } from "./timing.js";
import { STREAM_PATH } from "./wire.js";

const STRANGERS = 64;

interface Incoming {
  readonly socket: Socket;
  readonly openedMs: number;
  /** Null until a peer's hello came over it. */
  lastFrameMs: number | null;
}

export interface ListenerOptions {
  readonly addresses: readonly HostPort[];
  readonly credentials: ServerCredentials;
  readonly frameBytes: number;
  readonly timing: TransportTiming;
  readonly nowMs: () => number;
  readonly onStream: (stream: PeerStream) => void;
}

export class Listener {
  private readonly options: ListenerOptions;
  private readonly grpc: Server;
  private readonly inject: (socket: Socket) => void;
  private readonly incoming = new Map<string, Incoming>();
  private readonly tcp: TcpServer[] = [];

  private constructor(options: ListenerOptions) {
    this.options = options;
    this.grpc = new Server({
      "grpc.max_receive_message_length": options.frameBytes,
      "grpc.max_concurrent_streams": 4,
      "grpc-node.max_session_memory": 16,
      "grpc.enable_channelz": 0,
    });
    this.grpc.addService(SERVICE, { Stream: options.onStream });
    const injector = this.grpc.createConnectionInjector(options.credentials);
    this.inject = (socket) => injector.injectConnection(socket);
  }

  /** Listens on every address or on none. Throws `TransportError`. */
  static async open(options: ListenerOptions): Promise<Listener> {
    const listener = new Listener(options);
    try {
      for (const address of options.addresses) listener.tcp.push(await listener.listen(address));
    } catch (error) {
      await listener.close();
      throw error;
    }
    return listener;
  }

  /** The ports that are listened on, in the order of the addresses. */
  get ports(): readonly number[] {
    return this.tcp.map((server) => {
      const address = server.address();
      return typeof address === "object" && address !== null ? address.port : 0;
    });
  }

  /** A peer's frame came over the connection from that remote address. */
  onAlive(remote: string): void {
    const incoming = this.incoming.get(remote);
    if (incoming !== undefined) incoming.lastFrameMs = this.options.nowMs();
  }

  /** Closes what never said hello and what went silent. */
  sweep(nowMs: number): void {
    const { helloMs, idleMs } = this.options.timing;
    for (const { socket, openedMs, lastFrameMs } of this.incoming.values()) {
      const isOver = lastFrameMs === null ? nowMs - openedMs > helloMs : nowMs - lastFrameMs > idleMs;
      if (isOver) socket.destroy();
    }
  }

  async close(): Promise<void> {
    const closed = this.tcp.map((server) => new Promise((resolve) => server.close(resolve)));
    this.grpc.forceShutdown();
    for (const { socket } of this.incoming.values()) socket.destroy();
    await Promise.all(closed);
  }

  private listen(address: HostPort): Promise<TcpServer> {
    return new Promise((resolve, reject) => {
      const server = createServer({ noDelay: true }, (socket) => this.onConnection(socket));
      const fail = (error: Error): void => reject(listenError(addressText(address), error));
      server.once("error", fail);
      server.listen({ host: address.host, port: address.port, exclusive: true }, () => {
        server.off("error", fail);
        // Running out of file descriptors is no reason to die: the next connection may be taken again.
        server.on("error", () => {});
        resolve(server);
      });
    });
  }

  private onConnection(socket: Socket): void {
    socket.on("error", () => {});
    const remote = `${socket.remoteAddress}:${socket.remotePort}`;
    this.incoming.set(remote, { socket, openedMs: this.options.nowMs(), lastFrameMs: null });
    socket.once("close", () => {
      if (this.incoming.get(remote)?.socket === socket) this.incoming.delete(remote);
    });
    const strangers = [...this.incoming.values()].filter((incoming) => incoming.lastFrameMs === null);
    if (strangers.length > STRANGERS) strangers[0]?.socket.destroy();
    this.inject(socket);
  }
}

const identity = (bytes: Buffer): Buffer => bytes;

/**
 * Frames stay bytes as far as gRPC is concerned: decoding is wire.ts's, which may refuse one frame and keep
 * the stream.
 */
const SERVICE: ServiceDefinition = {
  Stream: {
    path: STREAM_PATH,
    requestStream: true,
    responseStream: true,
    requestSerialize: identity,
    requestDeserialize: identity,
    responseSerialize: identity,
    responseDeserialize: identity,
  },
};
