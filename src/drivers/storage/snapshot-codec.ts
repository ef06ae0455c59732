/**
 * The layout of a snapshot file: a run of framed parts under one hash, written and read part by part.
 *
 *   file      magic:8 frame(header) frame(part)* trailer
 *   frame     length:4 crc:4 bytes:length          CRC-32C of length and bytes
 *   trailer   ffffffff:4 count:8 hash:32 crc:4     count of parts, SHA-256 of all before the trailer
 *
 * The header is JSON: format, cluster, disk, origin, place in the log, configuration. It is framed too, so
 * that a flipped bit in the format number is damage and not "a newer release". A part's CRC says which part
 * rotted; the hash and the count say that the parts are these, all of them, in this order. Nothing may follow
 * the trailer.
 */
import { createHash } from "node:crypto";
import { crc32c } from "../../core/base/crc32c.js";
import {
  isCount,
  type LogIndex,
  logIndex,
  type NodeId,
  nodeId,
  type Term,
  term,
} from "../../core/base/ids.js";
import { decodeUtf8, encodeUtf8 } from "../../core/base/utf8.js";
import type { ConfState } from "../../core/raft/types.js";
import { equalBytes, getCount, putCount, viewOf } from "./bytes.js";

/** What a file says of itself. */
export interface SnapshotHeader {
  readonly cluster: string;
  readonly diskId: string;
  readonly index: LogIndex;
  readonly term: Term;
  readonly confState: ConfState;
  readonly origin: Origin;
}

/** Taken of the log of this disk, which then held all of it, or received from another witness. */
export type Origin = "taken" | "received";

/** A file that is whole (parts are views of its bytes), one of a newer format, or why it is neither. */
export type ReadSnapshot =
  | { readonly kind: "whole"; readonly header: SnapshotHeader; readonly parts: readonly Uint8Array[] }
  | { readonly kind: "newer"; readonly format: number }
  | { readonly kind: "damaged"; readonly problem: string };

/** Layout of the header and of what follows it. A file with a higher number is refused. */
const SNAPSHOT_FORMAT = 1;

const MAGIC = encodeUtf8("PMSNAP\r\n");
const FRAME_HEAD = 8;
const TRAILER_MARK = 0xffff_ffff;
const HASH_AT = 12;
const TRAILER_LENGTH = HASH_AT + 32 + 4;

/** Makes the bytes of one file, chunk by chunk; what is hashed is what was handed out. */
export class SnapshotEncoder {
  readonly #hash = createHash("sha256");
  #count = 0;

  /** The beginning of the file. */
  header(header: SnapshotHeader): Uint8Array {
    const { cluster, diskId, index, term: inTerm, confState, origin } = header;
    const fields = { format: SNAPSHOT_FORMAT, cluster, diskId, origin, index, term: inTerm, confState };
    const frame = frameOf(encodeUtf8(JSON.stringify(fields)));
    const bytes = new Uint8Array(MAGIC.length + frame.length);
    bytes.set(MAGIC);
    bytes.set(frame, MAGIC.length);
    this.#hash.update(bytes);
    return bytes;
  }

  /** The next part. */
  part(bytes: Uint8Array): Uint8Array {
    const frame = frameOf(bytes);
    this.#hash.update(frame);
    this.#count++;
    return frame;
  }

  /** The end of the file. */
  trailer(): Uint8Array {
    const bytes = new Uint8Array(TRAILER_LENGTH);
    const view = viewOf(bytes);
    view.setUint32(0, TRAILER_MARK);
    putCount(view, 4, this.#count);
    bytes.set(this.#hash.digest(), HASH_AT);
    view.setUint32(TRAILER_LENGTH - 4, crc32c(bytes.subarray(0, TRAILER_LENGTH - 4)));
    return bytes;
  }
}

/** Takes a file apart and verifies every byte of it. */
export function readSnapshotBytes(file: Uint8Array): ReadSnapshot {
  const damaged = (problem: string): ReadSnapshot => ({ kind: "damaged", problem });
  const trailerAt = file.length - TRAILER_LENGTH;
  if (trailerAt < MAGIC.length || !equalBytes(file.subarray(0, MAGIC.length), MAGIC)) {
    return damaged("it does not begin as a snapshot does, or is cut short");
  }
  const trailer = file.subarray(trailerAt);
  const view = viewOf(trailer);
  if (
    view.getUint32(0) !== TRAILER_MARK ||
    view.getUint32(TRAILER_LENGTH - 4) !== crc32c(trailer.subarray(0, TRAILER_LENGTH - 4))
  ) {
    return damaged("it does not end as a snapshot does");
  }
  const frames: Uint8Array[] = [];
  for (let at = MAGIC.length; at < trailerAt; ) {
    const frame = frameAt(file.subarray(at, trailerAt));
    if (frame === null) return damaged(`part ${frames.length} is damaged`);
    frames.push(frame);
    at += FRAME_HEAD + frame.length;
  }
  const hash = createHash("sha256").update(file.subarray(0, trailerAt)).digest();
  if (getCount(view, 4) !== frames.length - 1) return damaged("parts are missing");
  if (!equalBytes(hash, trailer.subarray(HASH_AT, HASH_AT + 32))) return damaged("its hash is wrong");
  const [head, ...parts] = frames;
  const header = head === undefined ? null : decodeHeader(head);
  if (header === null) return damaged("its header says nothing that is known");
  if (typeof header === "number") return { kind: "newer", format: header };
  return { kind: "whole", header, parts };
}

function frameOf(bytes: Uint8Array): Uint8Array {
  const frame = new Uint8Array(FRAME_HEAD + bytes.length);
  const view = viewOf(frame);
  view.setUint32(0, bytes.length);
  view.setUint32(4, crc32c(bytes, crc32c(frame.subarray(0, 4))));
  frame.set(bytes, FRAME_HEAD);
  return frame;
}

/** The bytes of the frame that `from` begins with, or null if it is not whole. */
function frameAt(from: Uint8Array): Uint8Array | null {
  if (from.length < FRAME_HEAD) return null;
  const view = viewOf(from);
  const length = view.getUint32(0);
  if (length > from.length - FRAME_HEAD) return null;
  const bytes = from.subarray(FRAME_HEAD, FRAME_HEAD + length);
  return view.getUint32(4) === crc32c(bytes, crc32c(from.subarray(0, 4))) ? bytes : null;
}

function decodeHeader(bytes: Uint8Array): SnapshotHeader | number | null {
  const text = decodeUtf8(bytes);
  if (text === null) return null;
  let value: Record<string, unknown> | null;
  try {
    value = JSON.parse(text) as Record<string, unknown> | null;
  } catch {
    return null;
  }
  if (typeof value !== "object" || value === null) return null;
  const { format, cluster, diskId, origin, index, term: inTerm } = value as { [name: string]: unknown };
  if (isCount(format) && format > SNAPSHOT_FORMAT) return format;
  const confState = confStateOf(value["confState"]);
  if (format !== SNAPSHOT_FORMAT || typeof cluster !== "string" || typeof diskId !== "string") return null;
  if (origin !== "taken" && origin !== "received") return null;
  if (!isCount(index) || index === 0 || !isCount(inTerm) || confState === null) return null;
  return { cluster, diskId, origin, index: logIndex(index), term: term(inTerm), confState };
}

function confStateOf(value: unknown): ConfState | null {
  if (typeof value !== "object" || value === null) return null;
  const { voters, learners, votersOutgoing, learnersNext, autoLeave } = value as { [name: string]: unknown };
  const [a, b, c, d] = [voters, learners, votersOutgoing, learnersNext].map(nodesOf);
  if (!a || !b || !c || !d || typeof autoLeave !== "boolean") return null;
  return { voters: a, learners: b, votersOutgoing: c, learnersNext: d, autoLeave };
}

function nodesOf(value: unknown): readonly NodeId[] | null {
  return Array.isArray(value) && value.every(isCount) ? value.map(nodeId) : null;
}
