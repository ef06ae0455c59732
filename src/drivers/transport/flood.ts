/**
 * A look at a frame's field count before protobuf unpacks it.
 *
 * An empty nested message costs two bytes on the wire and a hundred times that as an object, so a frame of
 * the allowed size could still take a gigabyte. This walks the tags of the frame and of its body (wire
 * format: protobuf.dev, "Encoding") without building anything. It judges only quantity; whether the bytes
 * mean something is the decoder's business.
 */

/** More fields than any honest frame has: a full append has four a entry below the body, one at its level. */
export const FIELD_LIMIT = 20_000;

/** True when the frame or its body has more than `FIELD_LIMIT` fields. Malformed bytes are left to the decoder. */
export function isFieldFlood(bytes: Uint8Array): boolean {
  let budget = FIELD_LIMIT;
  const walk = (from: number, to: number, depth: number): void => {
    let at = from;
    while (at < to && budget > 0) {
      budget -= 1;
      const tag = varint(bytes, at, to);
      if (tag === null) return;
      at = tag.next;
      const wireType = tag.value & 7;
      if (wireType === 0) {
        const value = varint(bytes, at, to);
        if (value === null) return;
        at = value.next;
      } else if (wireType === 1) at += 8;
      else if (wireType === 5) at += 4;
      else if (wireType === 2) {
        const length = varint(bytes, at, to);
        if (length === null || length.next + length.value > to) return;
        if (depth === 0) walk(length.next, length.next + length.value, 1);
        at = length.next + length.value;
      }
      // Groups (3, 4) have no length; each of their tags counts as a field of this level.
    }
  };
  walk(0, bytes.length, 0);
  return budget <= 0;
}

function varint(bytes: Uint8Array, from: number, to: number): { value: number; next: number } | null {
  let value = 0;
  let scale = 1;
  for (let at = from; at < to && at < from + 10; at++) {
    const byte = bytes[at] ?? 0;
    // Past 2^53 only the low bits matter to a tag, and such a length ends the walk.
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return { value, next: at + 1 };
    scale *= 128;
  }
  return null;
}
