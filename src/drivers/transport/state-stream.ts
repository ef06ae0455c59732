/**
 * A state as a run of bytes in chunks, and back: made and read bit by bit, so that neither side ever holds the
 * whole encoding or stops for long.
 *
 * The run is the parts of the state (core/model/snapshot.ts), each behind its length. Equal states give equal
 * runs, so a run may be made again from the start to go on in its middle. Each chunk has a checksum (CRC-32C),
 * the whole a digest (SHA-256) in the last chunk.
 */
import { createHash } from "node:crypto";
import { crc32c } from "../../core/base/crc32c.js";
import { encodeState, StateDecoder } from "../../core/model/snapshot.js";
import type { State } from "../../core/model/state.js";
import type { SnapshotChunk } from "./wire-snapshot.js";

/** The length before each part. Unit: bytes. */
const PREFIX = 4;

/** A chunk, of which transfer is for others to say. */
export type StateChunk = Omit<SnapshotChunk, "transfer">;

/** Makes the chunks of one state, in order. */
export class StateWriter {
  private readonly parts: Iterator<Uint8Array>;
  private readonly chunkBytes: number;
  private readonly hash = createHash("sha256");
  private readonly pending = new ByteQueue();
  private offset = 0;
  private hasParts = true;
  private isOver = false;

  constructor(state: State, chunkBytes: number) {
    this.parts = encodeState(state);
    this.chunkBytes = chunkBytes;
  }

  /** Where the next chunk stands; the length of the whole when `ended`. */
  get position(): number {
    return this.offset;
  }

  /** True when the last chunk was made. */
  get ended(): boolean {
    return this.isOver;
  }

  /** The next chunk; null after the last one. */
  next(): StateChunk | null {
    if (this.isOver) return null;
    // One byte more than a chunk tells that this chunk is not the last one.
    while (this.hasParts && this.pending.length <= this.chunkBytes) this.pull();
    const data = this.pending.take(Math.min(this.chunkBytes, this.pending.length));
    this.hash.update(data);
    this.isOver = this.pending.length === 0;
    const { offset } = this;
    this.offset += data.length;
    const digest = this.isOver ? new Uint8Array(this.hash.digest()) : null;
    return { offset, data, checksum: crc32c(data), digest };
  }

  private pull(): void {
    const { value, done } = this.parts.next();
    if (done === true) {
      this.hasParts = false;
      return;
    }
    const prefix = Buffer.alloc(PREFIX);
    prefix.writeUInt32BE(value.length);
    this.pending.push(prefix);
    this.pending.push(value);
  }
}

/** Reads a run of chunks whose checksums were found right. */
export class StateReader {
  private readonly decoder = new StateDecoder();
  private readonly hash = createHash("sha256");
  private readonly pending = new ByteQueue();
  private partBytes: number | null = null;
  private received = 0;

  /** Bytes that were read so far. */
  get position(): number {
    return this.received;
  }

  /** Takes the next bytes of the run; null, or what is wrong with them. */
  push(data: Uint8Array): string | null {
    this.hash.update(data);
    this.received += data.length;
    this.pending.push(data);
    for (;;) {
      if (this.partBytes === null) {
        if (this.pending.length < PREFIX) return null;
        this.partBytes = Buffer.from(this.pending.take(PREFIX)).readUInt32BE();
      }
      if (this.pending.length < this.partBytes) return null;
      const error = this.decoder.push(this.pending.take(this.partBytes));
      if (error !== null) return error;
      this.partBytes = null;
    }
  }

  /** SHA-256 of all that was read. Once, at the end. */
  digest(): Uint8Array {
    return this.hash.digest();
  }

  /** The state, after the last bytes. */
  finish(): State | { readonly error: string } {
    if (this.partBytes !== null || this.pending.length > 0)
      return { error: "the run ends in the middle of a part" };
    return this.decoder.finish();
  }
}

/** Bytes in the order in which they came, taken in other lengths. */
class ByteQueue {
  private items: Uint8Array[] = [];
  private bytes = 0;

  get length(): number {
    return this.bytes;
  }

  push(bytes: Uint8Array): void {
    if (bytes.length > 0) this.items.push(bytes);
    this.bytes += bytes.length;
  }

  /** The first `length` bytes, of which there must be as many. */
  take(length: number): Uint8Array {
    const taken = new Uint8Array(length);
    let filled = 0;
    let whole = 0;
    for (const item of this.items) {
      if (filled === length) break;
      const part = item.subarray(0, length - filled);
      taken.set(part, filled);
      filled += part.length;
      if (part.length < item.length) this.items[whole] = item.subarray(part.length);
      else whole += 1;
    }
    this.items.splice(0, whole);
    this.bytes -= length;
    return taken;
  }
}
