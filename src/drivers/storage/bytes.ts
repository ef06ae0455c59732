/**
 * Big-endian integers in byte arrays. Big-endian because LevelDB orders keys by bytes, and then index 10
 * comes after 9. Numbers are counts below 2^53 in eight bytes; what is larger on disk was not written by us
 * and reads as null.
 */
import { assert } from "../../core/base/assert.js";
import { isCount } from "../../core/base/ids.js";

const TWO_32 = 0x1_0000_0000;

/** Writes the count `value` into eight bytes at `at`. */
export function putCount(view: DataView, at: number, value: number): void {
  assert(isCount(value), () => `not a count: ${value}`);
  view.setUint32(at, Math.floor(value / TWO_32));
  view.setUint32(at + 4, value % TWO_32);
}

/** The count in eight bytes at `at`, or null if it is not below 2^53. */
export function getCount(view: DataView, at: number): number | null {
  const value = view.getUint32(at) * TWO_32 + view.getUint32(at + 4);
  return isCount(value) ? value : null;
}

/** A view of exactly the bytes of `bytes`, which may be a part of a larger buffer. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** True if both hold the same bytes. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
