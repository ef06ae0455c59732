/**
 * Snapshots on their way in: put together from chunks, checked, and handed over whole, once.
 *
 * At most one a peer is being put together. It outlives connections, and it outlives the transfer that began it:
 * when the same snapshot of the same life is offered again, what is here is kept and the sender is told where to
 * go on (a chunk never opens anything by itself). Chunks may come doubled and out of order: those ahead of the gap
 * wait, within bounds, those behind it are passed over. Each is decoded as it comes, so the work is spread and the
 * encoding is never here whole. How a transfer ended is remembered, so that stragglers get the same answer and
 * nothing is handed over twice.
 *
 * Bounds: `limitBytes` of encoding, `EARLY_CHUNKS` waiting chunks, `ageMs` without a chunk; a snapshot of a later
 * term puts an end to those of earlier ones, whose leaders are deposed.
 */
import { crc32c } from "../../core/base/crc32c.js";
import type { WitnessId } from "../../core/base/ids.js";
import type { State } from "../../core/model/state.js";
import type { Message } from "../../core/raft/types.js";
import type { TransportLog } from "./log.js";
import { StateReader } from "./state-stream.js";
import type {
  OfferMessage,
  SnapshotChunk,
  SnapshotOffer,
  SnapshotRefusal,
  SnapshotStatus,
} from "./wire-snapshot.js";

/** Who sent what arrived. */
export interface Origin {
  readonly from: WitnessId;
  readonly life: number;
  /** What it told of its disk. */
  readonly disk: string;
}

export interface IncomingOptions {
  /** Largest encoding that is taken. */
  readonly limitBytes: number;
  /** What brings no chunk for so long is forgotten. */
  readonly ageMs: number;
  readonly nowMs: () => number;
  readonly log: TransportLog;
  readonly answer: (to: WitnessId, status: SnapshotStatus) => void;
  readonly onSnapshot: (message: Message, origin: Origin) => void;
}

/** A snapshot that is being put together. */
interface Assembly {
  readonly life: number;
  transfer: number;
  readonly message: OfferMessage;
  readonly reader: StateReader;
  /** Chunks ahead of the gap, by offset. */
  readonly early: Map<number, SnapshotChunk>;
  touchedMs: number;
}

/** What is known of the snapshots of one peer. */
interface Inbox {
  current: Assembly | null;
  /** The answer that ended the last transfer that ended here. */
  last: SnapshotStatus | null;
}

/** More than any sender has under way. */
const EARLY_CHUNKS = 32;

export class IncomingSnapshots {
  private readonly options: IncomingOptions;
  private readonly inboxes = new Map<WitnessId, Inbox>();

  constructor(options: IncomingOptions) {
    this.options = options;
  }

  /** A snapshot is offered: begins it, or goes on with it, and says where. */
  onOffer(origin: Origin, { transfer, message }: SnapshotOffer): void {
    const inbox = this.inbox(origin.from);
    if (this.answerIfEnded(origin, inbox, transfer)) return;
    const { current } = inbox;
    if (current !== null && isOlder(current, origin.life, transfer, message)) return;
    if (current !== null && isSame(current, origin.life, message)) current.transfer = transfer;
    else inbox.current = this.begin(origin, transfer, message);
    this.answerPosition(origin, inbox.current ?? current);
  }

  /** A chunk came, perhaps again, perhaps too early or too late. */
  onChunk(origin: Origin, chunk: SnapshotChunk): void {
    const inbox = this.inbox(origin.from);
    const { transfer } = chunk;
    if (this.answerIfEnded(origin, inbox, transfer)) return;
    const { current } = inbox;
    if (current === null || current.life !== origin.life || current.transfer < transfer) {
      this.options.answer(origin.from, { life: origin.life, transfer, state: "unknown" });
      return;
    }
    // Of a transfer that a newer one has replaced.
    if (current.transfer > transfer) return;
    current.touchedMs = this.options.nowMs();
    this.take(origin, inbox, current, chunk);
  }

  /** Forgets what has grown old. */
  sweep(nowMs: number): void {
    for (const [from, inbox] of this.inboxes) {
      if (inbox.current !== null && nowMs - inbox.current.touchedMs > this.options.ageMs)
        this.forget(from, inbox, "it brought nothing for long");
    }
  }

  /** Forgets all of those that are peers no longer. */
  updatePeers(peers: readonly WitnessId[]): void {
    for (const from of this.inboxes.keys()) if (!peers.includes(from)) this.inboxes.delete(from);
  }

  private inbox(from: WitnessId): Inbox {
    const inbox = this.inboxes.get(from) ?? { current: null, last: null };
    this.inboxes.set(from, inbox);
    return inbox;
  }

  /** True for stragglers of what ended; those of the very last transfer are answered as it was. */
  private answerIfEnded({ from, life }: Origin, { last }: Inbox, transfer: number): boolean {
    if (last === null || last.life !== life || transfer > last.transfer) return false;
    if (transfer === last.transfer) this.options.answer(from, last);
    return true;
  }

  private begin({ from, life }: Origin, transfer: number, message: OfferMessage): Assembly {
    for (const [other, inbox] of this.inboxes) {
      if (inbox.current === null || (other !== from && inbox.current.message.term >= message.term)) continue;
      this.forget(other, inbox, "another one takes its place");
    }
    const { index } = message.snapshot;
    this.options.log.info({ peer: from, index }, `receiving a snapshot at index ${index}`);
    return {
      life,
      transfer,
      message,
      reader: new StateReader(),
      early: new Map(),
      touchedMs: this.options.nowMs(),
    };
  }

  private forget(from: WitnessId, inbox: Inbox, why: string): void {
    const fields = { peer: from, index: inbox.current?.message.snapshot.index };
    this.options.log.info(fields, `a snapshot that was partly here is dropped: ${why}`);
    inbox.current = null;
  }

  private take(origin: Origin, inbox: Inbox, current: Assembly, chunk: SnapshotChunk): void {
    const { limitBytes } = this.options;
    const { offset, data, checksum } = chunk;
    if (crc32c(data) !== checksum)
      return this.refuse(origin, inbox, "snapshot_checksum", `the chunk at ${offset} has another checksum`);
    if (offset + data.length > limitBytes)
      return this.refuse(
        origin,
        inbox,
        "snapshot_too_large",
        `more than the ${limitBytes} bytes that are taken`,
      );
    if (offset > current.reader.position) {
      if (current.early.size < EARLY_CHUNKS) current.early.set(offset, chunk);
      return;
    }
    for (let next: SnapshotChunk | undefined = chunk; next !== undefined; next = dueOf(current)) {
      const error = current.reader.push(next.data.subarray(current.reader.position - next.offset));
      if (error !== null) return this.refuse(origin, inbox, "snapshot_undecodable", error);
      if (next.digest !== null) return this.finish(origin, inbox, current, next);
    }
    this.answerPosition(origin, current);
  }

  private finish(origin: Origin, inbox: Inbox, current: Assembly, last: SnapshotChunk): void {
    const { reader, message, life, transfer } = current;
    const digest = reader.digest();
    if (
      reader.position !== last.offset + last.data.length ||
      !last.digest?.every((byte, at) => byte === digest[at])
    )
      return this.refuse(origin, inbox, "snapshot_checksum", "the whole has another digest");
    const state = reader.finish();
    if ("error" in state) return this.refuse(origin, inbox, "snapshot_undecodable", state.error);
    const words = misplaced(state, message);
    if (words !== null) return this.refuse(origin, inbox, "snapshot_undecodable", words);
    inbox.current = null;
    inbox.last = { life, transfer, state: "done" };
    const { index } = message.snapshot;
    this.options.log.info(
      { peer: origin.from, index, bytes: reader.position },
      `received the snapshot at index ${index}`,
    );
    this.options.onSnapshot({ ...message, snapshot: { ...message.snapshot, data: state } }, origin);
    this.options.answer(origin.from, inbox.last);
  }

  private refuse(origin: Origin, inbox: Inbox, reason: SnapshotRefusal, message: string): void {
    const { current } = inbox;
    if (current === null) return;
    const { life, transfer } = current;
    inbox.current = null;
    inbox.last = { life, transfer, state: "refused", reason, message };
    this.options.log.warn(
      { peer: origin.from, code: reason, index: current.message.snapshot.index },
      `snapshot refused: ${message}`,
    );
    this.options.answer(origin.from, inbox.last);
  }

  private answerPosition({ from, life }: Origin, current: Assembly | null): void {
    if (current === null) return;
    const { transfer, reader } = current;
    this.options.answer(from, { life, transfer, state: "receiving", offset: reader.position });
  }
}

/** True for the same snapshot in the same life, whose run of bytes is the same. */
function isSame({ life, message }: Assembly, offeredLife: number, offered: OfferMessage): boolean {
  const { snapshot, term } = message;
  return (
    life === offeredLife &&
    term === offered.term &&
    snapshot.index === offered.snapshot.index &&
    snapshot.term === offered.snapshot.term
  );
}

/** True for an offer that was overtaken by the one that is being taken. A new life leads in a later term. */
function isOlder(current: Assembly, life: number, transfer: number, offered: OfferMessage): boolean {
  return current.life === life ? transfer < current.transfer : offered.term < current.message.term;
}

/** The waiting chunk that goes on where the reader stands, if there is one. */
function dueOf({ early, reader }: Assembly): SnapshotChunk | undefined {
  for (const [offset, chunk] of early) {
    if (offset > reader.position) continue;
    early.delete(offset);
    if (offset + chunk.data.length > reader.position) return chunk;
  }
  return undefined;
}

/** Why the state is not the one that the message speaks of, or null. */
function misplaced({ appliedIndex, appliedTerm }: State, { snapshot }: OfferMessage): string | null {
  if (appliedIndex === snapshot.index && appliedTerm === snapshot.term) return null;
  return `the state is of index ${appliedIndex} and term ${appliedTerm}, announced were ${snapshot.index} and ${snapshot.term}`;
}
