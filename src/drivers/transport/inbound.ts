/**
 * What comes in: streams of peers, judged frame by frame before anything reaches the core.
 *
 * A stream opens with a hello; a wrong one ends it with FAILED_PRECONDITION and a text that opens with a
 * stable reason. After that each frame is decoded, range-checked, looked up among those already seen, checked
 * and for lateness. A frame that fails alone is counted and skipped, because a newer version may send what
 * this one does not know; bytes that are no frame at all end the stream. Each stream acknowledges by count,
 * which is how the sender knows that it moves. Who a witness is to Raft is not known here: the core checks
 * that a message speaks for its sender. Invariant: a message is handed over only while its sender is a peer.
 */
import { Metadata, type ServerDuplexStream, status } from "@grpc/grpc-js";
import type { WitnessId } from "../../core/base/ids.js";
import { REFUSAL_REASONS, type RefusalReason } from "./errors.js";
import { LatenessGauge, SeenWindow } from "./freshness.js";
import type { QuietLog } from "./log.js";
import type { Origin } from "./snapshot-in.js";
import {
  decodeFrame,
  encodeAck,
  type Frame,
  type FrameBody,
  type Hello,
  OLDEST_PROTOCOL,
  PROTOCOL_VERSION,
  peekFrame,
} from "./wire.js";

export type PeerStream = ServerDuplexStream<Buffer, Buffer>;

/** What was counted on the way in from one peer. Growing only. */
export interface ReceivedCounters {
  /** Messages handed on; chunks of snapshots are not counted. */
  messages: number;
  duplicates: number;
  stale: number;
  refused: Partial<Record<RefusalReason, number>>;
}

export interface InboundOptions {
  readonly cluster: string;
  readonly self: WitnessId;
  readonly peers: readonly WitnessId[];
  readonly staleMs: number;
  readonly ackMs: number;
  readonly streamsPerPeer: number;
  readonly nowMs: () => number;
  readonly quiet: QuietLog;
  readonly onArrival: (origin: Origin, body: ArrivedBody, seq: number) => void;
  /** The TCP connection with that remote address carries a peer, and has just brought a frame. */
  readonly onAlive: (remote: string) => void;
}

/** What is handed on: all but what is for the stream itself. */
export type ArrivedBody = Exclude<FrameBody, { kind: "hello" | "ping" }>;

/** Sequence windows are kept for so many lives of a peer: the present one, and stragglers of the last. */
const LIVES = 4;

/** What is known of one peer as a sender. */
class Sender {
  readonly received: ReceivedCounters = { messages: 0, duplicates: 0, stale: 0, refused: {} };
  lastHeardMs: number | null = null;
  readonly id: WitnessId;
  /** Open streams, oldest first. */
  readonly streams: InboundStream[] = [];
  private readonly seen = new Map<number, SeenWindow>();

  constructor(id: WitnessId) {
    this.id = id;
  }

  window(life: number): SeenWindow {
    const window = this.seen.get(life) ?? new SeenWindow();
    this.seen.delete(life);
    this.seen.set(life, window);
    for (const oldest of this.seen.keys()) {
      if (this.seen.size <= LIVES) break;
      this.seen.delete(oldest);
    }
    return window;
  }
}

/** All inbound streams of a transport. */
export class Inbound {
  private readonly known = new Map<string, Sender>();
  /** Streams that were refused before their sender was known, by reason. */
  readonly strangers: Partial<Record<RefusalReason, number>> = {};
  readonly options: InboundOptions;

  constructor(options: InboundOptions) {
    this.options = options;
    this.updatePeers(options.peers);
  }

  /** By witness id: who may send. */
  get senders(): ReadonlyMap<string, Sender> {
    return this.known;
  }

  /** Streams of those that are peers no longer end; what is known of the others stays. */
  updatePeers(peers: readonly WitnessId[]): void {
    for (const id of peers) if (!this.known.has(id)) this.known.set(id, new Sender(id));
    for (const { id, streams } of [...this.known.values()]) {
      if (peers.includes(id)) continue;
      this.known.delete(id);
      for (const stream of [...streams]) stream.refuse("unknown_peer", this.noPeer(id));
    }
  }

  /** Takes a new stream in hand until it ends. */
  accept(call: PeerStream): void {
    new InboundStream(this, call).start();
  }

  /** Why a hello is refused, or the sender that it names. */
  judge(hello: Hello): { reason: RefusalReason; what: string } | Sender {
    const { cluster, self } = this.options;
    if (hello.protocol > PROTOCOL_VERSION) {
      const what = `the stream needs protocol ${hello.protocol}, this witness knows up to ${PROTOCOL_VERSION}`;
      return { reason: "newer_protocol", what };
    }
    if (hello.protocol < OLDEST_PROTOCOL) {
      const what = `the stream is of protocol ${hello.protocol}, this witness knows ${OLDEST_PROTOCOL} and later`;
      return { reason: "older_protocol", what };
    }
    if (hello.cluster !== cluster) {
      const what = `this is cluster ${quoted(cluster)}, the stream is of cluster ${quoted(hello.cluster)}`;
      return { reason: "foreign_cluster", what };
    }
    if (hello.to !== self) {
      const what = `this is witness ${quoted(self)}, the stream is for ${quoted(hello.to)}`;
      return { reason: "wrong_witness", what };
    }
    return this.known.get(hello.from) ?? { reason: "unknown_peer", what: this.noPeer(hello.from) };
  }

  private noPeer(id: string): string {
    return `${quoted(id)} is no peer of ${quoted(this.options.self)}`;
  }
}

class InboundStream {
  private readonly inbound: Inbound;
  private readonly call: PeerStream;
  private readonly remote: string;
  private readonly gauge = new LatenessGauge();
  private sender: Sender | null = null;
  private origin: Origin | null = null;
  private window: SeenWindow | null = null;
  private frames = 0;
  private lastFrameMs = 0;
  private lastAckMs = Number.NEGATIVE_INFINITY;
  private ackTimer: NodeJS.Timeout | null = null;
  /** Since when every message on this stream was stale; null while some are fresh. */
  private staleSinceMs: number | null = null;
  private ended = false;

  constructor(inbound: Inbound, call: PeerStream) {
    this.inbound = inbound;
    this.call = call;
    this.remote = call.getPeer();
  }

  start(): void {
    this.call.on("data", (bytes: Buffer) => this.onFrame(bytes));
    this.call.on("end", () => this.end());
    this.call.on("cancelled", () => this.end());
    this.call.on("close", () => this.end());
    this.call.on("error", () => this.end());
  }

  /** Ends the stream and tells the peer why. */
  refuse(reason: RefusalReason, what: string): void {
    if (this.ended) return;
    const { quiet } = this.inbound.options;
    this.count(reason);
    const remedy = REFUSAL_REASONS[reason];
    const from = this.sender?.id ?? "a stranger";
    quiet.warn(
      `refuse ${from} ${reason}`,
      { peer: this.sender?.id, remote: this.remote, reason },
      `${what}: ${remedy}`,
    );
    const code =
      reason === "bad_hello" || reason === "malformed" ? status.INVALID_ARGUMENT : status.FAILED_PRECONDITION;
    const call = this.call;
    this.end(false);
    call.emit("error", { code, details: `${reason}: ${what}; ${remedy}`, metadata: new Metadata() });
  }

  private onFrame(bytes: Buffer): void {
    if (this.ended) return;
    const { nowMs, onAlive } = this.inbound.options;
    this.lastFrameMs = nowMs();
    this.frames += 1;
    if (this.sender !== null && this.isCopy(this.sender, bytes)) return this.acknowledge();
    const frame = decodeFrame(bytes);
    if (this.sender === null) {
      if (frame.kind === "ok" && frame.value.body.kind === "hello")
        this.onHello(frame.value.body.hello, frame.value);
      else this.refuse("bad_hello", frame.kind === "refused" ? frame.reason : "the first frame is no hello");
      return;
    }
    onAlive(this.remote);
    this.sender.lastHeardMs = this.lastFrameMs;
    if (frame.kind === "ok") this.onBody(this.sender, frame.value);
    else if (frame.unreadable) this.refuse("malformed", frame.reason);
    else this.skip("malformed", frame.reason);
    this.acknowledge();
  }

  /** True for the copy of a frame that came before: half of all frames on a quiet line, and not worth decoding. */
  private isCopy(sender: Sender, bytes: Buffer): boolean {
    const head = peekFrame(bytes);
    if (head === null || head.seq === 0 || this.window?.knows(head.seq) !== true) return false;
    this.inbound.options.onAlive(this.remote);
    sender.lastHeardMs = this.lastFrameMs;
    this.gauge.latenessMs(head.sentMs, this.lastFrameMs);
    sender.received.duplicates += 1;
    return true;
  }

  private onHello(hello: Hello, frame: Frame): void {
    const { streamsPerPeer, onAlive } = this.inbound.options;
    const verdict = this.inbound.judge(hello);
    if (!(verdict instanceof Sender)) {
      this.refuse(verdict.reason, verdict.what);
      return;
    }
    this.sender = verdict;
    this.origin = { from: verdict.id, life: hello.life, disk: hello.disk };
    this.window = verdict.window(hello.life);
    verdict.streams.push(this);
    verdict.lastHeardMs = this.lastFrameMs;
    this.gauge.latenessMs(frame.sentMs, this.lastFrameMs);
    onAlive(this.remote);
    // The newest are the ones that the peer believes in; the oldest hang on a connection that it gave up.
    while (verdict.streams.length > streamsPerPeer) {
      verdict.streams[0]?.refuse(
        "too_many_streams",
        `more than ${streamsPerPeer} streams from ${quoted(verdict.id)}`,
      );
    }
    this.acknowledge();
  }

  private onBody(sender: Sender, frame: Frame): void {
    const latenessMs = this.gauge.latenessMs(frame.sentMs, this.lastFrameMs);
    const { body, seq } = frame;
    if (body.kind === "hello") this.skip("malformed", "a second hello");
    if (body.kind === "hello" || body.kind === "ping" || this.origin === null) return;
    // A chunk is as good late as in time, and knows its place by itself.
    if (body.kind === "chunk") return this.inbound.options.onArrival(this.origin, body, seq);
    if (this.window?.admit(seq) !== true) {
      sender.received.duplicates += 1;
      return;
    }
    if (latenessMs > this.inbound.options.staleMs) {
      this.onStale(sender, latenessMs);
      return;
    }
    this.staleSinceMs = null;
    sender.received.messages += 1;
    this.inbound.options.onArrival(this.origin, body, seq);
  }

  private onStale(sender: Sender, latenessMs: number): void {
    sender.received.stale += 1;
    this.staleSinceMs ??= this.lastFrameMs;
    const sinceMs = this.lastFrameMs - this.staleSinceMs;
    if (sinceMs > this.inbound.options.staleMs)
      this.refuse("stale", `${Math.round(latenessMs)} ms late for ${Math.round(sinceMs)} ms`);
  }

  private skip(reason: RefusalReason, what: string): void {
    this.count(reason);
    const fields = { peer: this.sender?.id, remote: this.remote, reason };
    this.inbound.options.quiet.warn(`skip ${this.sender?.id} ${reason}`, fields, `message refused: ${what}`);
  }

  private count(reason: RefusalReason): void {
    const counters = this.sender?.received.refused ?? this.inbound.strangers;
    counters[reason] = (counters[reason] ?? 0) + 1;
  }

  /** Acknowledges now, or a little later when it has only just done so. */
  private acknowledge(): void {
    const { nowMs, ackMs } = this.inbound.options;
    if (this.ended || this.ackTimer !== null) return;
    const waitMs = this.lastAckMs + ackMs - nowMs();
    if (waitMs <= 0) this.writeAck();
    else this.ackTimer = setTimeout(() => this.writeAck(), waitMs);
  }

  private writeAck(): void {
    this.ackTimer = null;
    if (this.ended) return;
    this.lastAckMs = this.inbound.options.nowMs();
    // When the peer does not read, counts are cumulative: skip this one, the next says the same and more.
    if (this.call.writableNeedDrain) return;
    this.call.write(
      encodeAck({ frames: this.frames, heldMs: Math.max(0, this.lastAckMs - this.lastFrameMs) }),
    );
  }

  private end(answer = true): void {
    if (this.ended) return;
    this.ended = true;
    if (this.ackTimer !== null) clearTimeout(this.ackTimer);
    const streams = this.sender?.streams ?? [];
    const at = streams.indexOf(this);
    if (at >= 0) streams.splice(at, 1);
    if (answer) this.call.end();
  }
}

function quoted(text: string): string {
  return JSON.stringify(text);
}
