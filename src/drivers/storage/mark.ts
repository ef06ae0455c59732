/**
 * The durable mark: one fixed-size record that says all that this witness may have acknowledged.
 *
 * The same bytes stand in LevelDB (written in the batch of the entries) and in the mirror (see mirror.ts). It
 * pins the whole log by the hash of its last entry, and its own predecessor by `previousDigest`: whether one
 * mark is the direct successor of another is therefore a fact that can be checked, not a guess from numbers
 * (see judge.ts, which needs it). Layout: magic:4 version:2 flags:2 diskId:16 sequence:8 term:8 vote:8
 * commit:8 base:(8 8 16) last:(8 8 16) recovering:(8 8) previousDigest:16 node:8 zeros crc:4, 256 bytes,
 * big-endian.
 */
import { createHash } from "node:crypto";
import { crc32c } from "../../core/base/crc32c.js";
import { type LogIndex, logIndex, type NodeId, nodeId, type Term, term } from "../../core/base/ids.js";
import type { HardState } from "../../core/raft/types.js";
import { getCount, putCount, viewOf } from "./bytes.js";
import { HASH_LENGTH } from "./entry-codec.js";

/**
 * Where in the log: two logs that both have an entry here are equal up to here. Index 0 is before the first.
 */
export interface Place {
  readonly index: LogIndex;
  readonly term: Term;
}

/**
 * An entry named without its data. Index 0 with term 0 and a zero hash is the place before the first entry.
 */
export interface Position extends Place {
  readonly hash: Uint8Array;
}

/** What was lost and is not yet won back: see `Restored.recovering`. */
export interface Recovering {
  readonly ackedIndex: LogIndex;
  readonly term: Term;
}

/** One mark. Invariant: written only after everything that it names is written. */
export interface Mark {
  /** The UUID that was made for this disk on the first start. */
  readonly diskId: string;
  /** Grows by one with each write; 0 is the mark of the creation. */
  readonly sequence: number;
  readonly hardState: HardState;
  /**
   * The place before the first entry of the log: index 0 until a snapshot stands for its beginning.
   * Invariant: `base.index <= hardState.commit`.
   */
  readonly base: Position;
  readonly last: Position;
  readonly recovering: Recovering | null;
  /** `digestOf` the mark with the sequence before this one. */
  readonly previousDigest: Uint8Array;
  /** The node id that the identity file must say, or a later one; `NO_NODE` before any was adopted. */
  readonly node: NodeId;
}

/** Length of an encoded mark. Unit: bytes. Half a sector: a disk writes it whole or not at all. */
export const MARK_LENGTH = 256;

const MAGIC = 0x504d524b;
const VERSION = 1;
const FLAG_RECOVERING = 1;
const AT = {
  diskId: 8,
  sequence: 24,
  hardState: 32,
  base: 56,
  last: 88,
  recovering: 120,
  previous: 136,
  node: 152,
};
const CRC_AT = MARK_LENGTH - 4;

/** The bytes of `mark`. */
export function encodeMark(mark: Mark): Uint8Array {
  const bytes = new Uint8Array(MARK_LENGTH);
  const view = viewOf(bytes);
  view.setUint32(0, MAGIC);
  view.setUint16(4, VERSION);
  view.setUint16(6, mark.recovering === null ? 0 : FLAG_RECOVERING);
  bytes.set(Buffer.from(mark.diskId.replaceAll("-", ""), "hex"), AT.diskId);
  putCount(view, AT.sequence, mark.sequence);
  putCount(view, AT.hardState, mark.hardState.term);
  putCount(view, AT.hardState + 8, mark.hardState.vote);
  putCount(view, AT.hardState + 16, mark.hardState.commit);
  putPosition(bytes, AT.base, mark.base);
  putPosition(bytes, AT.last, mark.last);
  putCount(view, AT.recovering, mark.recovering?.ackedIndex ?? 0);
  putCount(view, AT.recovering + 8, mark.recovering?.term ?? 0);
  bytes.set(mark.previousDigest, AT.previous);
  putCount(view, AT.node, mark.node);
  view.setUint32(CRC_AT, crc32c(bytes.subarray(0, CRC_AT)));
  return bytes;
}

/** The mark in `bytes`, or null if they are not a whole mark of this version. */
export function decodeMark(bytes: Uint8Array): Mark | null {
  if (bytes.length !== MARK_LENGTH) return null;
  const view = viewOf(bytes);
  if (view.getUint32(CRC_AT) !== crc32c(bytes.subarray(0, CRC_AT))) return null;
  if (view.getUint32(0) !== MAGIC || view.getUint16(4) !== VERSION) return null;
  const counts = [AT.sequence, AT.hardState, AT.hardState + 8, AT.hardState + 16, AT.recovering, AT.node];
  const [sequence, hardTerm, vote, commit, ackedIndex, node] = counts.map((at) => getCount(view, at));
  const recoveringTerm = getCount(view, AT.recovering + 8);
  const base = getPosition(bytes, AT.base);
  const last = getPosition(bytes, AT.last);
  if (base === null || last === null) return null;
  if (typeof sequence !== "number" || typeof hardTerm !== "number" || typeof vote !== "number") return null;
  if (typeof commit !== "number" || typeof ackedIndex !== "number" || typeof node !== "number") return null;
  if (recoveringTerm === null) return null;
  const recovering =
    view.getUint16(6) === FLAG_RECOVERING
      ? { ackedIndex: logIndex(ackedIndex), term: term(recoveringTerm) }
      : null;
  return {
    diskId: uuidOf(bytes.subarray(AT.diskId, AT.diskId + 16)),
    sequence,
    hardState: { term: term(hardTerm), vote: nodeId(vote), commit: logIndex(commit) },
    base,
    last,
    recovering,
    previousDigest: Uint8Array.from(bytes.subarray(AT.previous, AT.previous + HASH_LENGTH)),
    node: nodeId(node),
  };
}

/** The identity of an encoded mark: SHA-256, cut to 128 bits. */
export function digestOf(markBytes: Uint8Array): Uint8Array {
  return Uint8Array.from(createHash("sha256").update(markBytes).digest().subarray(0, HASH_LENGTH));
}

function putPosition(bytes: Uint8Array, at: number, position: Position): void {
  putCount(viewOf(bytes), at, position.index);
  putCount(viewOf(bytes), at + 8, position.term);
  bytes.set(position.hash, at + 16);
}

function getPosition(bytes: Uint8Array, at: number): Position | null {
  const index = getCount(viewOf(bytes), at);
  const positionTerm = getCount(viewOf(bytes), at + 8);
  if (index === null || positionTerm === null) return null;
  const hash = Uint8Array.from(bytes.subarray(at + 16, at + 16 + HASH_LENGTH));
  return { index: logIndex(index), term: term(positionTerm), hash };
}

function uuidOf(bytes: Uint8Array): string {
  const hex = Buffer.from(bytes).toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
