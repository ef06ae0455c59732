/**
 * Frames as bytes and back: the border between what a peer claims and what the core may see.
 *
 * The proto file is read at run time from the package's `proto/` folder (no generated code); only this file
 * knows its names. `decodeFrame` takes any bytes at all and returns either a frame in which each value is in
 * range, or the reason why not; it never throws. `encodeFrame` goes from typed values and asserts. Beyond
 * single fields, a raft message has to make sense as one: an append's entries follow each other, and no entry
 * is from a later term than the message. A frame whose body has too many fields is refused before protobuf
 * unpacks it: two bytes on the wire can cost two hundred in memory.
 */
import { fileURLToPath } from "node:url";
import { loadSync, type MessageTypeDefinition } from "@grpc/proto-loader";
import { assert } from "../../core/base/assert.js";
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

/** The oldest reader that understands what this version writes. 2: node ids are no places in a list any more. */
export const PROTOCOL_VERSION = 2;
/** Writers before this one are not understood. */
export const OLDEST_PROTOCOL = 2;
/** Full name of the stream method. */
export const STREAM_PATH = "/pointsman.v1.PeerTransport/Stream";

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
  | { readonly kind: "message"; readonly message: PeerMessage };

export interface Frame {
  /** Number of the message in the sender's life, from 1; 0 on hello and ping. */
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

// From dist/src/drivers/transport to the root of the package, in the repository as well as when installed.
const DEFINITION = loadSync("pointsman/v1/peer.proto", {
  includeDirs: [fileURLToPath(new URL("../../../../proto", import.meta.url))],
  longs: String,
  enums: String,
  defaults: false,
  oneofs: true,
});
const FRAME = messageType("pointsman.v1.PeerFrame");
const ACK = messageType("pointsman.v1.PeerAck");

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
    if ((seq === 0) === (body.kind === "message")) throw new FieldError("field seq does not fit the body");
    return { seq, sentMs: readNumber(fields, "sentMs", 0, Number.MAX_SAFE_INTEGER), body };
  });
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
    case "raft":
      return { kind: "message", message: { kind: "raft", message: readRaft(readMessage(fields, "raft")) } };
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

function decode<T>(
  type: MessageTypeDefinition<object, object>,
  bytes: Uint8Array,
  read: (fields: Fields) => T,
): Decoded<T> {
  let fields: Fields;
  try {
    fields = type.deserialize(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)) as Fields;
  } catch (error) {
    return { kind: "refused", unreadable: true, reason: `not a message of this protocol: ${String(error)}` };
  }
  try {
    return { kind: "ok", value: read(fields) };
  } catch (error) {
    if (error instanceof FieldError) return { kind: "refused", unreadable: false, reason: error.message };
    throw error;
  }
}

function messageType(name: string): MessageTypeDefinition<object, object> {
  const definition = DEFINITION[name];
  assert(definition !== undefined && "serialize" in definition, () => `the proto file defines no ${name}`);
  return definition as MessageTypeDefinition<object, object>;
}
