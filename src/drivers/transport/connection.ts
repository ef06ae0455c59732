/**
 * One outgoing connection: a TCP connection, on it one HTTP/2 session, on it one gRPC stream to a peer.
 *
 * It speaks gRPC (HTTP/2 framing by node:http2, the five-byte message prefix and the trailers by us) instead
 * of using grpc-js's client, because that client cannot give up: it has no connect timeout, and closing it
 * leaves the socket of a connection attempt open, for two minutes when the SYN gets no answer and for ever
 * when the peer accepts and stays silent (measured with 1.14.7: after 40 and 20 dials, 40 and 20 sockets were
 * open). Here the socket is ours, and `close` frees it at once.
 *
 * Frames may be written as soon as TCP is up; the connection counts as proven with the first acknowledgement.
 * Nothing is buffered: `write` is refused when the socket pushes back or when too much is unacknowledged, and
 * the caller's bounded queue decides what to drop. Life: connecting -> open (TCP is up) -> proven (first ack)
 * -> closed, with exactly one `onClosed`.
 */
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect as connectHttp2,
  constants,
} from "node:http2";
import { connect as connectTcp, type LookupFunction, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { addressText, type HostPort } from "./address.js";
import type { Outgoing } from "./queue.js";
import type { RoundTrips } from "./statistics.js";
import { decodeAck, STREAM_PATH } from "./wire.js";

/** How a connection ended. `refused`: the peer said why, in its gRPC status. `spared`: a better one took its place. */
export type ConnectionEnd =
  | { readonly kind: "lost" | "spared"; readonly reason: string }
  | { readonly kind: "refused"; readonly details: string };

export interface ConnectionOptions {
  readonly address: HostPort;
  readonly lookup: LookupFunction;
  /** The first frame, made when TCP is up. */
  readonly hello: () => Buffer;
  /** Wraps the TCP socket, for TLS; null leaves it plain. */
  readonly secure: ((socket: Socket) => Duplex) | null;
  /** Lives longer than the connection: one a peer and address. */
  readonly roundTrips: RoundTrips;
  readonly nowMs: () => number;
  readonly onAck: () => void;
  readonly onWritable: () => void;
  readonly onClosed: (end: ConnectionEnd) => void;
}

/** A written frame that the peer has not acknowledged. */
export interface InFlight {
  readonly frame: Buffer;
  /** The message in it; null for hello and ping. */
  readonly item: Outgoing | null;
  readonly writtenMs: number;
}

/** Unacknowledged frames and bytes at which a connection takes no more. */
const WINDOW_FRAMES = 256;
const WINDOW_BYTES = 256 * 1024;
/** An acknowledgement has some twenty bytes. */
const ACK_LIMIT = 256;
/** What a line must carry at least, so that a large frame is given time to get through. Unit: bytes per ms. */
const SLOWEST_LINE = 125;
const PREFIX = 5;

export class Connection {
  readonly dialledAtMs: number;
  readonly address: HostPort;
  state: "connecting" | "open" | "proven" | "closed" = "connecting";
  closedAtMs = 0;
  lastAckMs: number | null = null;
  lastWriteMs: number;
  private readonly options: ConnectionOptions;
  private readonly socket: Socket;
  private session: ClientHttp2Session | null = null;
  private stream: ClientHttp2Stream | null = null;
  private blocked = false;
  private inFlight: InFlight[] = [];
  private inFlightBytes = 0;
  private ackedFrames = 0;
  private received: Buffer = Buffer.alloc(0);

  constructor(options: ConnectionOptions) {
    this.options = options;
    this.address = options.address;
    this.dialledAtMs = options.nowMs();
    this.lastWriteMs = this.dialledAtMs;
    const { host, port } = options.address;
    this.socket = connectTcp({ host, port, noDelay: true, lookup: options.lookup });
    this.socket.once("connect", () => this.onTcp());
    this.socket.on("error", (error) => this.lose(errorText(error)));
    this.socket.on("close", () => this.lose("connection closed"));
  }

  /**
   * True when a frame of that size would be taken now. A frame larger than the window is taken when nothing
   * is in flight.
   */
  canTake(bytes: number): boolean {
    if (this.stream === null || this.state === "closed" || this.blocked) return false;
    if (this.inFlight.length === 0) return true;
    return this.inFlight.length < WINDOW_FRAMES && this.inFlightBytes + bytes <= WINDOW_BYTES;
  }

  /** Writes one frame; only after `canTake`. */
  write(frame: Buffer, item: Outgoing | null): void {
    if (this.stream === null || this.state === "closed") return;
    const nowMs = this.options.nowMs();
    const prefixed = Buffer.allocUnsafe(PREFIX + frame.length);
    prefixed.writeUInt8(0, 0);
    prefixed.writeUInt32BE(frame.length, 1);
    frame.copy(prefixed, PREFIX);
    this.inFlight.push({ frame, item, writtenMs: nowMs });
    this.inFlightBytes += frame.length;
    this.lastWriteMs = nowMs;
    this.blocked = !this.stream.write(prefixed);
  }

  /**
   * How long the oldest unacknowledged frame has waited beyond what its size excuses; 0 when all is
   * acknowledged. Unit: ms.
   */
  waitedMs(nowMs: number): number {
    const oldest = this.inFlight[0];
    if (oldest === undefined) return 0;
    return Math.max(0, nowMs - oldest.writtenMs - this.inFlightBytes / SLOWEST_LINE);
  }

  /** What was written and never acknowledged, oldest first. */
  unacknowledged(): readonly InFlight[] {
    return this.inFlight;
  }

  /**
   * Ends the connection and frees the socket at once; reports `reason` to `onClosed`. Does nothing when
   * closed already.
   */
  close(reason: string, kind: "lost" | "spared" = "lost"): void {
    this.end({ kind, reason });
  }

  private onTcp(): void {
    if (this.state === "closed") return;
    const carrier = this.options.secure === null ? this.socket : this.options.secure(this.socket);
    if (carrier !== this.socket) carrier.on("error", (error) => this.lose(error.message));
    const session = connectHttp2(`http://${addressText(this.options.address)}`, {
      createConnection: () => carrier,
      settings: { enablePush: false },
    });
    session.on("error", (error) => this.lose(error.message));
    session.on("close", () => this.lose("session closed"));
    session.on("goaway", () => this.lose("the peer closes the connection"));
    const stream = session.request({
      ":method": "POST",
      ":path": STREAM_PATH,
      "content-type": "application/grpc+proto",
      te: "trailers",
      "user-agent": "pointsman",
    });
    stream.on("response", (headers) => {
      if (headers[":status"] !== 200) this.lose(`HTTP status ${String(headers[":status"])}: not a witness`);
      // An answer without a body carries its status in the headers.
      else this.onStatus(headers["grpc-status"], headers["grpc-message"]);
    });
    stream.on("trailers", (headers) => this.onStatus(headers["grpc-status"], headers["grpc-message"]));
    stream.on("data", (chunk: Buffer) => this.onData(chunk));
    stream.on("drain", () => this.onDrain());
    stream.on("error", (error) => this.lose(error.message));
    stream.on("close", () => this.lose("stream closed"));
    this.session = session;
    this.stream = stream;
    this.state = "open";
    this.write(this.options.hello(), null);
    if (!this.blocked) this.options.onWritable();
  }

  private onDrain(): void {
    this.blocked = false;
    if (this.state !== "closed") this.options.onWritable();
  }

  /** The peer's last word. It comes while our half of the stream is still open, so nothing else would end it. */
  private onStatus(code: unknown, message: unknown): void {
    if (code === undefined) return;
    const details = percentDecoded(typeof message === "string" ? message : "");
    if (Number(code) === GRPC_OK || Number(code) === GRPC_UNAVAILABLE)
      this.lose(`the peer ends the stream: ${details}`);
    else this.end({ kind: "refused", details: details === "" ? `gRPC status ${String(code)}` : details });
  }

  private onData(chunk: Buffer): void {
    this.received = this.received.length === 0 ? chunk : Buffer.concat([this.received, chunk]);
    while (this.state !== "closed" && this.received.length >= PREFIX) {
      const length = this.received.readUInt32BE(1);
      if (this.received.readUInt8(0) !== 0 || length > ACK_LIMIT) {
        this.lose("not an acknowledgement");
        return;
      }
      if (this.received.length < PREFIX + length) return;
      const ack = decodeAck(this.received.subarray(PREFIX, PREFIX + length));
      this.received = this.received.subarray(PREFIX + length);
      if (ack.kind === "ok") this.onAck(ack.value.frames, ack.value.heldMs);
      else this.lose(`not an acknowledgement: ${ack.reason}`);
    }
  }

  private onAck(frames: number, heldMs: number): void {
    const count = frames - this.ackedFrames;
    // A peer may only acknowledge what was written to it.
    if (count < 0 || count > this.inFlight.length) {
      this.lose("acknowledgement of frames never sent");
      return;
    }
    const nowMs = this.options.nowMs();
    for (const { frame, writtenMs } of this.inFlight.splice(0, count)) {
      this.inFlightBytes -= frame.length;
      this.options.roundTrips.add(Math.max(0, nowMs - writtenMs - heldMs));
    }
    this.ackedFrames = frames;
    this.lastAckMs = nowMs;
    this.state = "proven";
    this.options.onAck();
    this.options.onWritable();
  }

  private lose(reason: string): void {
    this.end({ kind: "lost", reason });
  }

  private end(end: ConnectionEnd): void {
    if (this.state === "closed") return;
    this.state = "closed";
    this.closedAtMs = this.options.nowMs();
    // The error listeners stay: what dies may still speak.
    this.stream?.close(constants.NGHTTP2_CANCEL);
    this.session?.destroy();
    this.socket.destroy();
    this.options.onClosed(end);
  }
}

/** Statuses of a peer that is going away: nothing to mend. */
const GRPC_OK = 0;
const GRPC_UNAVAILABLE = 14;

/** Several refused addresses of one name come as one error without a message. */
function errorText(error: NodeJS.ErrnoException): string {
  return error.message || error.code || error.name;
}

function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
