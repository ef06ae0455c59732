/**
 * Snapshots as wire fields and back: the offer, the chunks, and the receiver's answers.
 *
 * An offer is the MsgSnap with everything but the state; the state follows in chunks (snapshot-out.ts). What is
 * wrong with the bytes of a chunk (its checksum) is for the receiver to judge, because it has to answer.
 */
import { assert } from "../../core/base/assert.js";
import { logIndex, type NodeId, nodeId, term } from "../../core/base/ids.js";
import type { ConfState, Message, Snapshot } from "../../core/raft/types.js";
import type { SnapshotFailure } from "./errors.js";
import {
  FieldError,
  type Fields,
  invert,
  readBytes,
  readChoice,
  readCount,
  readCounts,
  readFlag,
  readText,
  writeCount,
  writeText,
} from "./fields.js";
import { NODE_LIMIT, writeRaft } from "./wire-raft.js";
import { SNAPSHOT_META, unpack } from "./wire-types.js";

/** A snapshot that its sender is ready to stream. */
export interface SnapshotOffer {
  /** Which transfer of the sender's life, from 1. */
  readonly transfer: number;
  /** A MsgSnap; what came over the wire has a `snapshot.data` of null. */
  readonly message: OfferMessage;
}

export type OfferMessage = Message & { readonly snapshot: Snapshot };

/** A run of the encoded state. */
export interface SnapshotChunk {
  readonly transfer: number;
  readonly offset: number;
  /** Not empty. */
  readonly data: Uint8Array;
  /** CRC-32C of `data`. */
  readonly checksum: number;
  /** SHA-256 of the whole, on the last chunk; else null. */
  readonly digest: Uint8Array | null;
}

/** Why a receiver does not take a snapshot. */
export type SnapshotRefusal = Extract<
  SnapshotFailure,
  "snapshot_checksum" | "snapshot_too_large" | "snapshot_undecodable"
>;

/** How far a receiver is with a transfer. */
export type SnapshotStatus = {
  /** The life of the snapshot's sender, and the transfer in it. */
  readonly life: number;
  readonly transfer: number;
} & (
  | { readonly state: "receiving"; readonly offset: number }
  | { readonly state: "unknown" | "done" }
  | { readonly state: "refused"; readonly reason: SnapshotRefusal; readonly message: string }
);

/** Largest `data` of a chunk. Unit: bytes. */
export const CHUNK_LIMIT = 256 * 1024;
/** Most members of one list of a configuration, and the bytes that all of them may take. */
const MEMBER_LIMIT = 1024;
const META_LIMIT = 16 * 1024;
const DIGEST_BYTES = 32;

const STATES: ReadonlyMap<string, SnapshotStatus["state"]> = new Map<string, SnapshotStatus["state"]>([
  ["RECEIVING", "receiving"],
  ["UNKNOWN", "unknown"],
  ["DONE", "done"],
  ["REFUSED", "refused"],
]);
const REASONS: ReadonlyMap<string, SnapshotRefusal> = new Map<string, SnapshotRefusal>([
  ["CHECKSUM", "snapshot_checksum"],
  ["TOO_LARGE", "snapshot_too_large"],
  ["UNDECODABLE", "snapshot_undecodable"],
]);
const STATE_NAMES = invert(STATES);
const REASON_NAMES = invert(REASONS);

/** The message as an offer of what it carries. Asserts that it is a MsgSnap with a snapshot. */
export function offerMessage(message: Message): OfferMessage {
  const { type, snapshot } = message;
  assert(
    type === "MsgSnap" && snapshot !== null,
    () => `${type} with ${snapshot === null ? "no" : "a"} snapshot`,
  );
  return { ...message, snapshot };
}

/** The wire fields of an offer: those of a Raft message, without the state. */
export function writeOffer({ transfer, message }: SnapshotOffer): object {
  const { index, term: at, confState } = message.snapshot;
  const snapshot = SNAPSHOT_META.serialize({
    index: writeCount(index),
    term: writeCount(at),
    voters: confState.voters.map(writeCount),
    learners: confState.learners.map(writeCount),
    votersOutgoing: confState.votersOutgoing.map(writeCount),
    learnersNext: confState.learnersNext.map(writeCount),
    autoLeave: confState.autoLeave,
  });
  return { ...writeRaft({ ...message, snapshot: null }), snapshot, transfer: writeCount(transfer) };
}

/** The offer in `fields`, of which `message` was read already, or a `FieldError`. */
export function readOffer(fields: Fields, message: Message): SnapshotOffer {
  const transfer = readCount(fields, "transfer");
  if (transfer === 0) throw new FieldError("a snapshot without the number of its transfer");
  const meta = unpack(SNAPSHOT_META, readBytes(fields, "snapshot", META_LIMIT));
  const index = logIndex(readCount(meta, "index"));
  const at = term(readCount(meta, "term"));
  if (index === 0 || at === 0 || at > message.term)
    throw new FieldError(`a snapshot at index ${index} of term ${at}, in a message of term ${message.term}`);
  const confState: ConfState = {
    voters: readMembers(meta, "voters"),
    learners: readMembers(meta, "learners"),
    votersOutgoing: readMembers(meta, "votersOutgoing"),
    learnersNext: readMembers(meta, "learnersNext"),
    autoLeave: readFlag(meta, "autoLeave"),
  };
  if (confState.voters.length === 0) throw new FieldError("a snapshot of a configuration without voters");
  return { transfer, message: { ...message, snapshot: { index, term: at, confState, data: null } } };
}

function readMembers(fields: Fields, name: string): NodeId[] {
  const members = readCounts(fields, name, MEMBER_LIMIT, NODE_LIMIT);
  const isSorted = members.every((member, at) => member > (members[at - 1] ?? 0));
  if (!isSorted) throw new FieldError(`field ${name} is not sorted, or names nobody`);
  return members.map(nodeId);
}

/** The wire fields of a chunk. */
export function writeChunk({ transfer, offset, data, checksum, digest }: SnapshotChunk): object {
  assert(data.length > 0 && data.length <= CHUNK_LIMIT, () => `a chunk of ${data.length} bytes`);
  return { transfer: writeCount(transfer), offset: writeCount(offset), data, checksum, digest };
}

/** The chunk in `fields`, its checksum not yet compared, or a `FieldError`. */
export function readChunk(fields: Fields): SnapshotChunk {
  const data = readBytes(fields, "data", CHUNK_LIMIT);
  const digest = readBytes(fields, "digest", DIGEST_BYTES);
  if (data.length === 0) throw new FieldError("an empty chunk");
  if (digest.length !== 0 && digest.length !== DIGEST_BYTES)
    throw new FieldError(`a digest of ${digest.length} bytes`);
  return {
    transfer: readCount(fields, "transfer"),
    offset: readCount(fields, "offset", Number.MAX_SAFE_INTEGER - CHUNK_LIMIT),
    data,
    checksum: readCount(fields, "checksum", 0xffff_ffff),
    digest: digest.length === 0 ? null : digest,
  };
}

/** The wire fields of a status. */
export function writeStatus(status: SnapshotStatus): object {
  const head = {
    life: writeCount(status.life),
    transfer: writeCount(status.transfer),
    state: STATE_NAMES.get(status.state),
  };
  if (status.state === "receiving") return { ...head, offset: writeCount(status.offset) };
  if (status.state !== "refused") return head;
  return { ...head, reason: REASON_NAMES.get(status.reason), message: writeText(status.message) };
}

/** The status in `fields`, or a `FieldError`. */
export function readStatus(fields: Fields): SnapshotStatus {
  const head = { life: readCount(fields, "life"), transfer: readCount(fields, "transfer") };
  const state = readChoice(fields, "state", STATES);
  switch (state) {
    case "receiving":
      return { ...head, state, offset: readCount(fields, "offset") };
    case "refused":
      return {
        ...head,
        state,
        reason: readChoice(fields, "reason", REASONS),
        message: readText(fields, "message"),
      };
    default:
      return { ...head, state };
  }
}
