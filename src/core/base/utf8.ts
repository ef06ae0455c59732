/**
 * UTF-8 (RFC 3629) without the platform: the core has no TextEncoder, and commands are bytes in the Raft log.
 * Lone surrogates become U+FFFD, as in the WHATWG encoding standard. Decoding is strict: malformed input is null.
 */

/** The bytes of `text`. */
export function encodeUtf8(text: string): Uint8Array {
  // A UTF-16 unit takes three bytes at most: written in place, a state of 50 MB is no matter of seconds.
  const out = new Uint8Array(text.length * 3);
  let at = 0;
  for (let i = 0; i < text.length; i++) {
    let c = text.charCodeAt(i);
    if (c < 0x80) {
      out[at++] = c;
      continue;
    }
    if (c >= 0xd800 && c <= 0xdfff) {
      c = text.codePointAt(i) ?? 0;
      if (c > 0xffff) i++;
      else c = 0xfffd;
    }
    if (c < 0x800) out[at++] = 0xc0 | (c >> 6);
    else {
      if (c < 0x10000) out[at++] = 0xe0 | (c >> 12);
      else {
        out[at++] = 0xf0 | (c >> 18);
        out[at++] = 0x80 | ((c >> 12) & 63);
      }
      out[at++] = 0x80 | ((c >> 6) & 63);
    }
    out[at++] = 0x80 | (c & 63);
  }
  return out.slice(0, at);
}

/** Bytes of plain ASCII that become text in one call: more would exhaust the stack. */
const RUN = 4096;

/** The text of `bytes`, or null if they are not well-formed UTF-8. */
export function decodeUtf8(bytes: Uint8Array): string | null {
  let text = "";
  let i = 0;
  while (i < bytes.length) {
    const run = asciiEnd(bytes, i);
    if (run > i) {
      // Spread over the arguments of a call, the bytes would go through an iterator, at eight times the cost.
      text += Reflect.apply(String.fromCharCode, null, bytes.subarray(i, run));
      i = run;
      continue;
    }
    const lead = bytes[i] ?? 0;
    if (lead < 0x80) {
      // Runs of ASCII are nearly all that we store: at once, a state of 50 MB is no matter of seconds.
      const end = Math.min(bytes.length, i + RUN);
      let after = i + 1;
      while (after < end && (bytes[after] ?? 0) < 0x80) after++;
      text += String.fromCharCode.apply(null, bytes.subarray(i, after) as unknown as number[]);
      i = after;
      continue;
    }
    const extra =
      lead >= 0xc2 && lead < 0xe0 ? 1 : (lead & 0xf0) === 0xe0 ? 2 : (lead & 0xf8) === 0xf0 ? 3 : -1;
    if (extra < 0 || i + extra >= bytes.length) return null;
    let c = lead & (0x3f >> extra);
    for (let k = 1; k <= extra; k++) {
      const next = bytes[i + k] ?? 0;
      if ((next & 0xc0) !== 0x80) return null;
      c = (c << 6) | (next & 63);
    }
    const least = extra === 2 ? 0x800 : extra === 3 ? 0x10000 : 0;
    if (c < least || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) return null;
    text += String.fromCodePoint(c);
    i += extra + 1;
  }
  return text;
}

/** Where the run of ASCII from `from` on ends; a run is cut where it would be too many arguments for a call. */
function asciiEnd(bytes: Uint8Array, from: number): number {
  const end = Math.min(bytes.length, from + 4096);
  let at = from;
  while (at < end && (bytes[at] ?? 0x80) < 0x80) at++;
  return at;
}
