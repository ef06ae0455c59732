/**
 * Everything that goes out to one peer: its slots, its queue, and the choice of connection.
 *
 * One connection is not enough on a bad line: TCP's own back-off silences it for seconds. A peer with one
 * address gets two connections; one with several gets one on each, and one more that goes wherever it works
 * best, so that two are up while any address works at all. Addresses may change while the link lives: what
 * goes to the others is not touched. Small frames go over all connections (duplicates are recognised by their
 * number), large ones over one, which is kept as long as it moves, because appends that overtake each other are
 * rejected and sent again. The chunks of a snapshot are large frames that are made when they can be written: they
 * take turns with the bulk that waits, come after everything urgent, and leave room for it on their connection.
 */
import type { LogIndex, WitnessId } from "../../core/base/ids.js";
import type { PeerMessage } from "../../core/witness/contract.js";
import { addressText, type HostPort } from "./address.js";
import { CommitNews } from "./commit-news.js";
import { Connection, type ConnectionEnd, type ConnectionOptions } from "./connection.js";
import { type RefusalReason, refusalReason, type SnapshotFailure } from "./errors.js";
import type { QuietLog, TransportLog } from "./log.js";
import { type Outgoing, PeerQueue, type QueueLimits, supersedingKey } from "./queue.js";
import { GONE, type Path, Slot, type SlotHost } from "./slot.js";
import { OutgoingSnapshot, type SnapshotProgress } from "./snapshot-out.js";
import { RoundTrips } from "./statistics.js";
import type { TransportTiming } from "./timing.js";
import { encodeFrame, type FrameBody } from "./wire.js";
import type { OfferMessage, SnapshotStatus } from "./wire-snapshot.js";

/** A frame of at most so many bytes goes over every connection. */
const SMALL_BYTES = 4096;
/**
 * Small frames a second that are copied; a few more may come at once. Copies mask a packet that is lost when
 * nothing follows it, for which TCP waits a fifth of a second; where frames follow one another so closely, TCP sees
 * the gap at once, and a copy would only double the work of both sides.
 */
const COPIES_A_SECOND = 100;
/** On a line that loses more than this, copies are worth it at any rate. */
const LOSS_WORTH_COPIES = 0.01;
/** A large frame moves to another connection when its own has brought no acknowledgement for so long. Unit: ms. */
const BULK_PATIENCE_MS = 150;
/** What a chunk leaves free on its connection, for urgent frames. Unit: bytes. */
const CHUNK_MARGIN = 32 * 1024;
/** What a chunk's frame has besides the data, at most. Unit: bytes. */
const CHUNK_OVERHEAD = 128;

export interface PeerLinkOptions {
  readonly peer: WitnessId;
  readonly addresses: readonly HostPort[];
  /** The number of the first message: numbers of one life are never used twice for one peer. */
  readonly firstSeq: number;
  readonly hello: ConnectionOptions["hello"];
  readonly lookup: ConnectionOptions["lookup"];
  readonly timing: TransportTiming;
  readonly limits: QueueLimits & { readonly frameBytes: number };
  readonly secure: ConnectionOptions["secure"];
  readonly nowMs: () => number;
  readonly log: TransportLog;
  readonly quiet: QuietLog;
  readonly snapshots: SnapshotSending;
}

/** How snapshots are sent. */
export interface SnapshotSending {
  /** Data in one chunk, at most. */
  readonly chunkBytes: number;
  /** An offer without an answer is repeated after so long. */
  readonly retryMs: number;
  /** A snapshot without progress is given up after so long. */
  readonly patienceMs: number;
  /** The number of the next transfer of this life. */
  readonly nextTransfer: () => number;
  readonly onSent: (to: WitnessId, index: LogIndex, ok: boolean) => void;
}

/** What was counted on the way out. Growing only. */
export interface SentCounters {
  /** Messages that at least one connection took. */
  messages: number;
  /** Messages too large for a frame. */
  tooLarge: number;
  /** Connections dialled, and those that were lost or replaced after they had worked. */
  dials: number;
  replaced: number;
  /** Streams that the peer refused, by its reason. */
  refused: Partial<Record<RefusalReason | "other", number>>;
}

export class PeerLink {
  readonly peer: WitnessId;
  readonly queue: PeerQueue;
  readonly sent: SentCounters = { messages: 0, tooLarge: 0, dials: 0, replaced: 0, refused: {} };
  /** Text of the last end of a connection that was lost or refused, for people; null while all went well. */
  lastTrouble: string | null = null;
  lastAckMs: number | null = null;
  private readonly options: PeerLinkOptions;
  /** One a path, and the one that goes wherever it works. */
  private readonly slots: { readonly path: Path; readonly slot: Slot }[] = [];
  private readonly roamer: Slot;
  private readonly ping: (nowMs: number) => Buffer;
  private bulk: Connection | null = null;
  private copiesLeft = COPIES_A_SECOND;
  private copiesCountedMs = 0;
  private seq: number;
  private lastDialMs = Number.NEGATIVE_INFINITY;
  /** Null before either was told. */
  private wasUp: boolean | null = null;
  private readonly openedMs: number;
  private closed = false;
  /** The peer refuses this witness as no peer of its own; said once, until it takes it. */
  private toldUnknown = false;
  private readonly news: CommitNews;
  private snapshot: OutgoingSnapshot | null = null;
  /** True when a chunk goes before the bulk that waits. */
  private chunkIsNext = false;

  constructor(options: PeerLinkOptions) {
    this.options = options;
    this.openedMs = options.nowMs();
    this.peer = options.peer;
    this.queue = new PeerQueue(options.limits);
    this.news = new CommitNews(options.timing.newsMs, (message) =>
      this.sendNow({ kind: "raft", message }, true),
    );
    this.ping = (nowMs) => encodeFrame({ seq: 0, sentMs: nowMs, body: { kind: "ping" } });
    this.seq = options.firstSeq;
    this.roamer = new Slot(
      this.slotHost((failures) => this.pickPath(failures)),
      true,
    );
    this.updateAddresses(options.addresses);
  }

  /** Connections to addresses that are gone end, new addresses are dialled, all else goes on. */
  updateAddresses(addresses: readonly HostPort[]): void {
    const wanted = new Map(addresses.map((address) => [addressText(address), address]));
    for (const gone of this.slots.filter(({ path }) => !wanted.has(addressText(path.address)))) {
      this.slots.splice(this.slots.indexOf(gone), 1);
      gone.slot.close(GONE);
      this.roamer.leave(gone.path);
    }
    for (const { path } of this.slots) wanted.delete(addressText(path.address));
    for (const address of wanted.values()) {
      const path = { address, roundTrips: new RoundTrips() };
      this.slots.push({
        path,
        slot: new Slot(
          this.slotHost(() => path),
          false,
        ),
      });
    }
  }

  /** The number that the next message gets. */
  get nextSeq(): number {
    return this.seq;
  }

  /** Sends as soon as a connection can take it, or queues, or drops; the bare news of a commit a moment later. */
  send(message: PeerMessage, urgent: boolean): void {
    if (this.closed || (message.kind === "raft" && this.news.takes(message.message))) return;
    this.sendNow(message, urgent);
  }

  private sendNow(message: PeerMessage, urgent: boolean): void {
    this.sendBody({ kind: "message", message }, urgent, urgent ? supersedingKey(message) : null);
  }

  /** Answers the sender of a snapshot; a newer answer replaces one that still waits. */
  sendStatus(status: SnapshotStatus): void {
    this.sendBody({ kind: "status", status }, true, "status");
  }

  /**
   * Streams the snapshot of a MsgSnap. One that is under way goes on, unless the new one is of a later index or
   * speaks for a later term: then it takes its place, and only its own end is reported.
   */
  sendSnapshot(message: OfferMessage): void {
    const { onSent, nextTransfer, ...rest } = this.options.snapshots;
    const { index } = message.snapshot;
    if (this.closed) return;
    if (this.snapshot !== null) {
      const before = this.snapshot.message;
      if (index <= before.snapshot.index && message.term <= before.term) return;
      this.snapshot.abandon();
    }
    const transfer = nextTransfer();
    this.options.log.info({ peer: this.peer, index }, `sending a snapshot at index ${index}`);
    this.snapshot = new OutgoingSnapshot({
      ...rest,
      message,
      transfer,
      nowMs: this.options.nowMs,
      offer: () => this.sendBody({ kind: "offer", offer: { transfer, message } }, true, "offer"),
      onWritable: () => this.flush(),
      onEnd: (failure, words) => this.onSnapshotEnd(message, failure, words),
    });
  }

  /** What the peer says of a snapshot that it is sent. */
  onStatus(life: number, seq: number, status: SnapshotStatus): void {
    this.snapshot?.onStatus(life, seq, status);
  }

  /** How far the snapshot is that is under way; null: none is. */
  get snapshotProgress(): SnapshotProgress | null {
    return this.snapshot?.progress ?? null;
  }

  /** Stops a snapshot that is under way, without a word to its receiver. */
  abandonSnapshot(why: string): void {
    if (this.snapshot === null) return;
    const { index } = this.snapshot.message.snapshot;
    this.snapshot.abandon();
    this.snapshot = null;
    this.options.log.info({ peer: this.peer, index }, `the snapshot at index ${index} is abandoned: ${why}`);
  }

  private onSnapshotEnd(message: OfferMessage, failure: SnapshotFailure | null, words: string): void {
    const { peer } = this;
    const { index } = message.snapshot;
    this.snapshot = null;
    if (failure === null) this.options.log.info({ peer, index }, `sent the snapshot at index ${index}`);
    else
      this.options.log.warn(
        { peer, index, code: failure },
        `the snapshot at index ${index} is given up: ${words}`,
      );
    this.options.snapshots.onSent(peer, index, failure === null);
  }

  private sendBody(body: FrameBody, urgent: boolean, key: string | null): void {
    if (this.closed) return;
    const madeMs = this.options.nowMs();
    const seq = this.seq;
    const bytes = encodeFrame({ seq, sentMs: madeMs, body });
    if (bytes.length > this.options.limits.frameBytes) {
      this.sent.tooLarge += 1;
      const fields = { peer: this.peer, bytes: bytes.length, limit: this.options.limits.frameBytes };
      this.options.quiet.warn(
        `large ${this.peer}`,
        fields,
        "a message is larger than a frame may be; not sent",
      );
      return;
    }
    this.seq += 1;
    this.queue.push({ seq, bytes, urgent, key, madeMs });
    this.flush();
  }

  /** Replaces what stalls, dials what is missing, pings what is quiet. */
  sweep(nowMs: number): void {
    for (const slot of this.allSlots()) slot.sweep(nowMs);
    this.snapshot?.sweep(nowMs);
    for (const connection of this.connections()) {
      const isQuiet = nowMs - connection.lastWriteMs >= this.options.timing.pingMs;
      if (isQuiet && connection.canTake(16)) connection.write(this.ping(nowMs), null);
    }
    this.flush();
    this.tellChange(nowMs);
  }

  /** How many slots have a working connection, and how many there are. */
  connectionsUp(nowMs: number): number {
    return this.allSlots().filter((slot) => slot.isHealthy(nowMs)).length;
  }

  get connectionsWanted(): number {
    return this.allSlots().length;
  }

  /** The best path's figures: its smoothed round trip in ms and its loss. */
  roundTrips(): { rttMs: number | null; lossEstimate: number } {
    const known = this.slots.map(({ path }) => path.roundTrips).filter((trips) => trips.rttMs !== null);
    const best = known.sort((a, b) => (a.rttMs ?? 0) - (b.rttMs ?? 0))[0];
    return { rttMs: best?.rttMs ?? null, lossEstimate: best?.lossEstimate ?? 0 };
  }

  /** The peer is none any more: as `close`, and a snapshot under way has failed. */
  remove(): void {
    this.snapshot?.fail("snapshot_peer_removed", "the peer was removed");
    this.close();
  }

  /** For good: every connection ends, and what waits is dropped. */
  close(): void {
    this.snapshot?.abandon();
    this.news.close();
    this.closed = true;
    for (const slot of this.allSlots()) slot.close("the link to this peer is closed");
  }

  private allSlots(): Slot[] {
    return [...this.slots.map(({ slot }) => slot), this.roamer];
  }

  private flush(): void {
    while (this.flushOne("urgent"));
    for (;;) {
      const isBulkDue = this.queue.peek("bulk", this.options.nowMs()) !== undefined;
      // Whose turn it is waits for it, though the other might be small enough to slip through: a large message
      // needs its connection empty.
      const wrote = isBulkDue && !this.chunkIsNext ? this.flushOne("bulk") : this.writeChunk(isBulkDue);
      if (!wrote) return;
    }
  }

  /** Writes the next message of a lane; false when there is none or no connection takes it. */
  private flushOne(kind: "urgent" | "bulk"): boolean {
    const next = this.queue.peek(kind, this.options.nowMs());
    if (next === undefined || !this.write(next)) return false;
    this.queue.take(kind);
    this.sent.messages += 1;
    if (kind === "bulk") this.chunkIsNext = this.snapshot !== null;
    return true;
  }

  /** Writes a chunk of the snapshot, if one is due; if none is, it is the turn of bulk. */
  private writeChunk(isBulkDue: boolean): boolean {
    const { snapshot } = this;
    const chunk = snapshot?.peek() ?? null;
    this.chunkIsNext = chunk !== null;
    if (snapshot === null || chunk === null) return isBulkDue;
    const room = chunk.data.length + CHUNK_OVERHEAD + CHUNK_MARGIN;
    const [connection] = this.chooseBulk(this.connections().filter((one) => one.canTake(room)));
    if (connection === undefined) return false;
    const body: FrameBody = { kind: "chunk", chunk: { ...chunk, transfer: snapshot.transfer } };
    const frame = encodeFrame({ seq: 0, sentMs: this.options.nowMs(), body });
    connection.write(frame, null);
    snapshot.written(chunk, frame);
    this.chunkIsNext = false;
    return true;
  }

  /** True when at least one connection took it. */
  private write(item: Outgoing): boolean {
    const ready = this.connections().filter((connection) => connection.canTake(item.bytes.length));
    const small = item.bytes.length <= SMALL_BYTES;
    const one = small && this.mayCopy() ? [] : this.chooseBulk(ready);
    const chosen = small && one.length === 0 ? ready : one;
    for (const connection of chosen) connection.write(item.bytes, item);
    return chosen.length > 0;
  }

  /** True while copies of small frames are affordable, or needed. */
  private mayCopy(): boolean {
    const nowMs = this.options.nowMs();
    const earned = ((nowMs - this.copiesCountedMs) / 1000) * COPIES_A_SECOND;
    this.copiesLeft = Math.min(COPIES_A_SECOND, this.copiesLeft + earned);
    this.copiesCountedMs = nowMs;
    if (this.copiesLeft < 1) return this.roundTrips().lossEstimate > LOSS_WORTH_COPIES;
    this.copiesLeft -= 1;
    return true;
  }

  private chooseBulk(ready: readonly Connection[]): Connection[] {
    const nowMs = this.options.nowMs();
    const current = this.bulk;
    if (current !== null && current.state === "proven" && current.waitedMs(nowMs) <= BULK_PATIENCE_MS) {
      // It moves; when it is only full, waiting for it keeps the order.
      return ready.includes(current) ? [current] : [];
    }
    const lastAck = (connection: Connection): number => connection.lastAckMs ?? Number.NEGATIVE_INFINITY;
    const best = ready
      .filter((connection) => connection.state === "proven")
      .sort((a, b) => a.waitedMs(nowMs) - b.waitedMs(nowMs) || lastAck(b) - lastAck(a))[0];
    this.bulk = best ?? null;
    return best === undefined ? [] : [best];
  }

  private connections(): Connection[] {
    return this.allSlots().flatMap((slot) => slot.connections());
  }

  private slotHost(pickPath: SlotHost["pickPath"]): SlotHost {
    const { timing, nowMs } = this.options;
    return {
      timing,
      pickPath,
      mayDial: (now) => now - this.lastDialMs >= timing.dialMs / (this.slots.length + 1),
      open: (path, onAck, onClosed) => {
        this.lastDialMs = nowMs();
        this.sent.dials += 1;
        return new Connection({
          address: path.address,
          hello: this.options.hello,
          lookup: this.options.lookup,
          secure: this.options.secure,
          roundTrips: path.roundTrips,
          nowMs,
          onAck: () => {
            this.lastAckMs = nowMs();
            this.toldUnknown = false;
            onAck();
          },
          onWritable: () => this.flush(),
          onClosed,
        });
      },
      onLost: (connection, path, end) => this.onLost(connection, path, end),
    };
  }

  /** Where the roaming connection goes: where it works best, else round. */
  private pickPath(failures: number): Path | null {
    const nowMs = this.options.nowMs();
    const working = this.slots
      .flatMap(({ path, slot }) => (slot.isHealthy(nowMs) ? [path] : []))
      .sort((a, b) => (a.roundTrips.rttMs ?? 0) - (b.roundTrips.rttMs ?? 0))[0];
    return working ?? this.slots[failures % this.slots.length]?.path ?? null;
  }

  private onLost(connection: Connection, path: Path, end: ConnectionEnd): void {
    if (this.bulk === connection) this.bulk = null;
    if (this.closed) return;
    this.snapshot?.onLost(new Set(connection.unacknowledged().map(({ frame }) => frame)));
    this.sendAgain(connection);
    const address = addressText(path.address);
    if (connection.lastAckMs !== null) this.sent.replaced += 1;
    if (connection.lastAckMs !== null && connection.waitedMs(connection.closedAtMs) > 0)
      path.roundTrips.addLost();
    if (end.kind === "refused") {
      const reason = refusalReason(end.details) ?? "other";
      this.sent.refused[reason] = (this.sent.refused[reason] ?? 0) + 1;
      this.lastTrouble = `${address}: ${end.details}`;
      this.tellRefused(address, reason, end.details);
      return;
    }
    if (end.kind === "lost") this.lastTrouble = `${address}: ${end.reason}`;
    this.options.log.debug({ peer: this.peer, address }, `connection ended: ${end.reason}`);
  }

  /** A peer that knows this witness no longer, or not yet, may say so for days: that is told once. */
  private tellRefused(address: string, reason: RefusalReason | "other", details: string): void {
    if (reason === "unknown_peer" && this.toldUnknown) return;
    this.toldUnknown = reason === "unknown_peer";
    const fields = { peer: this.peer, address, reason };
    this.options.quiet.warn(
      `refused ${this.peer} ${reason}`,
      fields,
      `peer refuses this witness: ${details}`,
    );
  }

  /**
   * What a lost connection may have swallowed and nothing newer replaces, such as a forwarded write, goes out
   * once more. If it had arrived after all, the receiver knows its number.
   */
  private sendAgain(connection: Connection): void {
    for (const { item } of [...connection.unacknowledged()].reverse()) {
      if (item !== null && item.key === null) this.queue.putBack(item);
    }
  }

  /** One line when the peer is silent for long, also when it was never heard, and one when it is back. */
  private tellChange(nowMs: number): void {
    const silentMs = Math.round(nowMs - (this.lastAckMs ?? this.openedMs));
    const isSilent = silentMs > this.options.timing.silentMs;
    const isUp = this.lastAckMs !== null && !isSilent;
    if (isUp === this.wasUp || (!isUp && !isSilent)) return;
    this.wasUp = isUp;
    const { peer } = this;
    if (isUp) this.options.log.info({ peer }, "peer is reachable");
    else this.options.log.warn({ peer, silentMs, trouble: this.lastTrouble }, "peer is out of reach");
  }
}
