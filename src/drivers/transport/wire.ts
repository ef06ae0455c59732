/**
 * Frames as bytes and back: the border between what a peer claims and what the core may see.
 *
 * Only this file and its parts (wire-*.ts) know the names of the proto file. `decodeFrame` takes any bytes at
 * all and returns either a frame in which each value is in range, or the reason why not; it never throws.
 * `encodeFrame` goes from typed values and asserts. Beyond single fields, a raft message has to make sense as
 * one: an append's entries follow each other, and no entry is from a later term than the message. A frame whose
 * body has too many fields is refused before protobuf unpacks it: two bytes on the wire can cost two hundred in
 * memory.
 */
import type { PeerMessage } from "../../core/witness/contract.js";
import {
  FieldError,
  type Fields,
  readCount,
  readMessage,
  readName,
  readNumber,
  writeCount,
  writeName,
} from "./fields.js";
import { isFieldFlood } from "./flood.js";
import {
  readForward,
  readForwarded,
  readRefusal,
  readView,
  writeForward,
  writeForwarded,
  writeRefusal,
  writeView,
} from "./wire-model.js";
import { readRaft, writeRaft } from "./wire-raft.js";
import {
  readChunk,
  readOffer,
  readStatus,
  type SnapshotChunk,
  type SnapshotOffer,
  type SnapshotStatus,
  writeChunk,
  writeOffer,
  writeStatus,
} from "./wire-snapshot.js";
import { ACK, FRAME, unpack, type WireType } from "./wire-types.js";

/** The oldest reader that understands what this version writes. 2: node ids are no places in a list any more. */
export const PROTOCOL_VERSION = 2;
/** Writers before this one are not understood. */
export const OLDEST_PROTOCOL = 2;
/** Full name of the stream method. */
export const STREAM_PATH = "/pointsman.v1.PeerTransport/Stream";

/** How the first two fields of a frame begin: seq, a varint, and sent_ms, a double. */
const SEQ_TAG = (1 << 3) | 0;
const SENT_TAG = (2 << 3) | 1;
/** The tag and seven bytes of seven bits: below 2^49, which no life reaches. */
const SEQ_BYTES = 8;

/** Who speaks to whom: the first frame of each stream. */
export interface Hello {
  readonly protocol: number;
  readonly cluster: string;
  readonly from: string;
  readonly to: string;
  readonly life: number;
  /** The sender's disk, a UUID. */
  readonly disk: string;
}

export type FrameBody =
  | { readonly kind: "hello"; readonly hello: Hello }
  | { readonly kind: "ping" }
  | { readonly kind: "message"; readonly message: PeerMessage }
  | { readonly kind: "offer"; readonly offer: SnapshotOffer }
  | { readonly kind: "chunk"; readonly chunk: SnapshotChunk }
  | { readonly kind: "status"; readonly status: SnapshotStatus };

export interface Frame {
  /** Number of the message in the sender's life, from 1; 0 on hello, ping and chunk. */
  readonly seq: number;
  /** The sender's monotonic clock. Unit: ms. */
  readonly sentMs: number;
  readonly body: FrameBody;
}

export interface Ack {
  readonly frames: number;
  readonly heldMs: number;
}

/** A value, or why the bytes do not hold one. `unreadable`: not protobuf at all; else some field is out of range. */
export type Decoded<T> =
  | { readonly kind: "ok"; readonly value: T }
  | { readonly kind: "refused"; readonly unreadable: boolean; readonly reason: string };

/** The bytes of a frame. Asserts on values that have no place on the wire: they would be a bug of this program. */
export function encodeFrame(frame: Frame): Buffer {
  return FRAME.serialize({ seq: writeCount(frame.seq), sentMs: frame.sentMs, ...writeBody(frame.body) });
}

/** The frame in `bytes`. Never throws. */
export function decodeFrame(bytes: Uint8Array): Decoded<Frame> {
  if (isFieldFlood(bytes))
    return { kind: "refused", unreadable: true, reason: "too many fields in one message" };
  return decode(FRAME, bytes, (fields) => {
    const body = readBody(fields);
    const seq = readCount(fields, "seq");
    if (seq > 0 !== isNumbered(body)) throw new FieldError("field seq does not fit the body");
    return { seq, sentMs: readNumber(fields, "sentMs", 0, Number.MAX_SAFE_INTEGER), body };
  });
}

/** The number and the time of a frame, without a look at the rest. Null: they do not stand first, as we write them. */
export function peekFrame(bytes: Uint8Array): Pick<Frame, "seq" | "sentMs"> | null {
  if (bytes[0] !== SEQ_TAG) return null;
  let seq = 0;
  let at = 1;
  for (let unit = 1; ; unit *= 128) {
    const byte = bytes[at++];
    if (byte === undefined || at > SEQ_BYTES) return null;
    seq += (byte & 0x7f) * unit;
    if (byte < 0x80) break;
  }
  if (bytes[at] !== SENT_TAG || bytes.length < at + 9) return null;
  const sentMs = new DataView(bytes.buffer, bytes.byteOffset + at + 1, 8).getFloat64(0, true);
  return sentMs >= 0 && sentMs <= Number.MAX_SAFE_INTEGER ? { seq, sentMs } : null;
}

/** True for what counts once, however often it arrives. A chunk names its place, and needs no number for that. */
function isNumbered({ kind }: FrameBody): boolean {
  return kind === "message" || kind === "offer" || kind === "status";
}

/** The bytes of an acknowledgement. */
export function encodeAck(ack: Ack): Buffer {
  return ACK.serialize({ frames: ack.frames, heldMs: ack.heldMs });
}

/** The acknowledgement in `bytes`. Never throws. */
export function decodeAck(bytes: Uint8Array): Decoded<Ack> {
  return decode(ACK, bytes, (fields) => ({
    frames: readCount(fields, "frames"),
    heldMs: readNumber(fields, "heldMs", 0, Number.MAX_SAFE_INTEGER),
  }));
}

function writeBody(body: FrameBody): object {
  switch (body.kind) {
    case "hello": {
      const { protocol, cluster, from, to, life, disk } = body.hello;
      return {
        hello: {
          protocol,
          cluster: writeName(cluster),
          from: writeName(from),
          to: writeName(to),
          life: writeCount(life),
          disk: writeName(disk),
        },
      };
    }
    case "ping":
      return { ping: {} };
    case "message":
      return writePeerMessage(body.message);
    case "offer":
      return { raft: writeOffer(body.offer) };
    case "chunk":
      return { chunk: writeChunk(body.chunk) };
    case "status":
      return { status: writeStatus(body.status) };
  }
}

function writePeerMessage(message: PeerMessage): object {
  switch (message.kind) {
    case "raft":
      return { raft: writeRaft(message.message) };
    case "view":
      return { view: writeView(message.view) };
    case "forward":
      return { forward: writeForward(message) };
    case "forwarded":
      return { forwarded: writeForwarded(message.request, message.response) };
    case "refused":
      return { refusal: writeRefusal(message) };
  }
}

function readBody(fields: Fields): FrameBody {
  switch (fields["body"]) {
    case "hello":
      return { kind: "hello", hello: readHello(readMessage(fields, "hello")) };
    case "ping":
      return { kind: "ping" };
    case "raft": {
      const raft = readMessage(fields, "raft");
      const message = readRaft(raft);
      if (message.type === "MsgSnap") return { kind: "offer", offer: readOffer(raft, message) };
      return { kind: "message", message: { kind: "raft", message } };
    }
    case "chunk":
      return { kind: "chunk", chunk: readChunk(readMessage(fields, "chunk")) };
    case "status":
      return { kind: "status", status: readStatus(readMessage(fields, "status")) };
    case "view":
      return { kind: "message", message: { kind: "view", view: readView(readMessage(fields, "view")) } };
    case "forward":
      return { kind: "message", message: readForward(readMessage(fields, "forward")) };
    case "forwarded":
      return { kind: "message", message: readForwarded(readMessage(fields, "forwarded")) };
    case "refusal":
      return { kind: "message", message: readRefusal(readMessage(fields, "refusal")) };
    default:
      throw new FieldError("the body is of a kind that this version does not know");
  }
}

/** Protocol 1 knew no disks; its hello is read all the same, so that it can be refused for what it is. */
function readHello(fields: Fields): Hello {
  const protocol = readCount(fields, "protocol");
  const disk = protocol < OLDEST_PROTOCOL ? "" : readName(fields, "disk");
  return {
    protocol,
    cluster: readName(fields, "cluster"),
    from: readName(fields, "from"),
    to: readName(fields, "to"),
    life: readCount(fields, "life"),
    disk,
  };
}

function decode<T>(type: WireType, bytes: Uint8Array, read: (fields: Fields) => T): Decoded<T> {
  let fields: Fields;
  try {
    fields = unpack(type, bytes);
  } catch (error) {
    if (error instanceof FieldError) return { kind: "refused", unreadable: true, reason: error.message };
    throw error;
  }
  try {
    return { kind: "ok", value: read(fields) };
  } catch (error) {
    if (error instanceof FieldError) return { kind: "refused", unreadable: false, reason: error.message };
    throw error;
  }
}
