/**
 * The protobuf messages of the wire, read at run time from the package's `proto/` folder (no generated code).
 */
import { fileURLToPath } from "node:url";
import { loadSync, type MessageTypeDefinition } from "@grpc/proto-loader";
import { assert } from "../../core/base/assert.js";
import { FieldError, type Fields } from "./fields.js";

export type WireType = MessageTypeDefinition<object, object>;

// From dist/src/drivers/transport to the root of the package, in the repository as well as when installed.
const DEFINITION = loadSync("pointsman/v1/peer.proto", {
  includeDirs: [fileURLToPath(new URL("../../../../proto", import.meta.url))],
  longs: String,
  enums: String,
  defaults: false,
  oneofs: true,
});
export const FRAME = wireType("PeerFrame");
export const ACK = wireType("PeerAck");
export const SNAPSHOT_META = wireType("SnapshotMeta");

function wireType(name: string): WireType {
  const definition = DEFINITION[`pointsman.v1.${name}`];
  assert(definition !== undefined && "serialize" in definition, () => `the proto file defines no ${name}`);
  return definition as WireType;
}

/** What `bytes` hold as a message of that type, still to be doubted. Throws `FieldError` for what is no protobuf. */
export function unpack(type: WireType, bytes: Uint8Array): Fields {
  try {
    return type.deserialize(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)) as Fields;
  } catch (error) {
    throw new FieldError(`not a message of this protocol: ${String(error)}`);
  }
}
