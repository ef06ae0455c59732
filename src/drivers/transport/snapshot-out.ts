/**
 * One snapshot on its way to one peer, as its sender sees it.
 *
 * The MsgSnap goes ahead as an offer; the receiver's answer says where to begin. From there chunks are made as
 * they can be written, at most a window beyond what the receiver has confirmed, and are held until it has: so
 * memory is bounded, and whatever a lost connection has swallowed can be written again. When the receiver is
 * elsewhere than the window (it restarted, or it kept what an earlier transfer brought), the run is made anew
 * from the start, and what it has is passed over without being sent. An offer is repeated while no answer comes.
 *
 * Life: offered -> (answered) streaming -> over, with exactly one `onEnd` unless it is abandoned. Invariants: the
 * held chunks follow each other without a gap up to where the writer stands; nothing is written before the
 * receiver has said where it is.
 */
import { assert } from "../../core/base/assert.js";
import { isCount, type LogIndex } from "../../core/base/ids.js";
import type { State } from "../../core/model/state.js";
import type { SnapshotFailure } from "./errors.js";
import { type StateChunk, StateWriter } from "./state-stream.js";
import type { OfferMessage, SnapshotStatus } from "./wire-snapshot.js";

/** How far a snapshot is, for people. */
export interface SnapshotProgress {
  readonly index: LogIndex;
  /** Bytes of the state that were written, repeated ones too. */
  readonly sentBytes: number;
  /** The first bytes, so many, have arrived. */
  readonly confirmedBytes: number;
  /** Null until all of it is encoded. */
  readonly totalBytes: number | null;
}

export interface OutgoingOptions {
  readonly message: OfferMessage;
  readonly transfer: number;
  readonly chunkBytes: number;
  /** Without an answer for so long the offer is repeated. */
  readonly retryMs: number;
  /** Without progress for so long it is given up. */
  readonly patienceMs: number;
  readonly nowMs: () => number;
  readonly offer: () => void;
  /** There may be a chunk to write now. */
  readonly onWritable: () => void;
  /** `failure`: null when the receiver has all of it. */
  readonly onEnd: (failure: SnapshotFailure | null, words: string) => void;
}

/** A chunk that the receiver has not confirmed. */
interface Held {
  readonly chunk: StateChunk;
  /** The frame that carries it; null: to be written, for the first time or again. */
  frame: Buffer | null;
}

/** Most chunks that are held. */
const WINDOW_CHUNKS = 8;
/** Chunks that are made in one go when they are only passed over. */
const SKIP_CHUNKS = 4;

export class OutgoingSnapshot {
  readonly message: OfferMessage;
  readonly transfer: number;
  private readonly options: OutgoingOptions;
  private readonly state: State;
  private writer: StateWriter;
  private held: Held[] = [];
  /** Chunks that end at or before this are not sent. */
  private skipTo = 0;
  private skipping = false;
  private sentBytes = 0;
  private confirmedBytes = 0;
  private totalBytes: number | null = null;
  /** Whose status came last, and its number in that life; null: the offer is not answered. */
  private receiver: { readonly life: number; readonly seq: number } | null = null;
  private mayWrite = false;
  private heardMs: number;
  private progressMs: number;
  private over = false;

  constructor(options: OutgoingOptions) {
    const state = options.message.snapshot.data as State;
    assert(isCount(state?.appliedIndex), "a MsgSnap without a state");
    this.options = options;
    this.message = options.message;
    this.transfer = options.transfer;
    this.state = state;
    this.writer = new StateWriter(state, options.chunkBytes);
    this.heardMs = options.nowMs();
    this.progressMs = this.heardMs;
    options.offer();
  }

  get progress(): SnapshotProgress {
    const { sentBytes, confirmedBytes, totalBytes } = this;
    return { index: this.message.snapshot.index, sentBytes, confirmedBytes, totalBytes };
  }

  /** The chunk to be written next; null when none is due. */
  peek(): StateChunk | null {
    if (this.over || !this.mayWrite) return null;
    const due = this.held.find(({ frame }) => frame === null) ?? this.make();
    return due?.chunk ?? null;
  }

  /** The chunk that `peek` gave was written as that frame. */
  written(chunk: StateChunk, frame: Buffer): void {
    const held = this.held.find((one) => one.chunk === chunk);
    if (held !== undefined) held.frame = frame;
    this.sentBytes += chunk.data.length;
  }

  /** A connection was lost with these frames not acknowledged. */
  onLost(frames: ReadonlySet<Buffer>): void {
    for (const held of this.held) if (held.frame !== null && frames.has(held.frame)) held.frame = null;
  }

  /** A status of the receiver in its given life; `seq`: its number in that life. */
  onStatus(life: number, seq: number, status: SnapshotStatus): void {
    if (this.over || status.transfer !== this.transfer) return;
    const isSameLife = this.receiver?.life === life;
    if (isSameLife && seq < (this.receiver?.seq ?? 0)) return;
    this.receiver = { life, seq };
    this.heardMs = this.options.nowMs();
    switch (status.state) {
      case "done":
        return this.end(null, "the peer has it");
      case "refused":
        return this.end(status.reason, status.message);
      case "unknown":
        this.writeAllAgain();
        this.mayWrite = false;
        return this.options.offer();
      case "receiving":
        // What was delivered to the receiver's former life is gone with it.
        if (!isSameLife) this.writeAllAgain();
        this.mayWrite = true;
        this.confirm(status.offset);
        this.options.onWritable();
    }
  }

  /** Repeats the offer, or gives up, when it is time. */
  sweep(nowMs: number): void {
    if (this.over) return;
    const stuckMs = Math.round(nowMs - this.progressMs);
    if (stuckMs > this.options.patienceMs) {
      return this.end("snapshot_stuck", `nothing confirmed for ${stuckMs} ms`);
    }
    if (nowMs - this.heardMs <= this.options.retryMs) return;
    this.heardMs = nowMs;
    this.options.offer();
  }

  /** Ends it as failed. */
  fail(failure: SnapshotFailure, words: string): void {
    this.end(failure, words);
  }

  /** Ends it without a word: another one takes its place. */
  abandon(): void {
    this.over = true;
    this.held = [];
  }

  private end(failure: SnapshotFailure | null, words: string): void {
    if (this.over) return;
    this.abandon();
    this.options.onEnd(failure, words);
  }

  /** The receiver has the first `offset` bytes. */
  private confirm(offset: number): void {
    if (offset !== this.confirmedBytes) this.progressMs = this.options.nowMs();
    this.confirmedBytes = offset;
    const base = this.held[0]?.chunk.offset ?? this.writer.position;
    if (offset < base) {
      // It lost what it had confirmed: the run is made again, from the start.
      this.writer = new StateWriter(this.state, this.options.chunkBytes);
      this.held = [];
    }
    while (this.held[0] !== undefined && endOf(this.held[0].chunk) <= offset) this.held.shift();
    this.skipTo = offset;
    if (this.writer.ended && offset > this.writer.position)
      this.end("snapshot_stuck", `the peer says that it has ${offset} of ${this.writer.position} bytes`);
  }

  /** Makes the next chunk that has to be written; null when there is none, or none yet. */
  private make(): Held | null {
    if (this.held.length >= WINDOW_CHUNKS) return null;
    for (let skipped = 0; skipped <= SKIP_CHUNKS; skipped++) {
      const chunk = this.writer.next();
      if (this.writer.ended) this.totalBytes = this.writer.position;
      if (chunk === null) return null;
      if (endOf(chunk) > this.skipTo || chunk.digest !== null) {
        const held: Held = { chunk, frame: null };
        this.held.push(held);
        return held;
      }
    }
    this.skipLater();
    return null;
  }

  /** Passing over much of a run takes time, which others must have in between; it is progress, too. */
  private skipLater(): void {
    if (this.skipping) return;
    this.skipping = true;
    setImmediate(() => {
      this.skipping = false;
      this.progressMs = this.options.nowMs();
      if (!this.over) this.options.onWritable();
    });
  }

  private writeAllAgain(): void {
    for (const held of this.held) held.frame = null;
  }
}

function endOf({ offset, data }: StateChunk): number {
  return offset + data.length;
}
