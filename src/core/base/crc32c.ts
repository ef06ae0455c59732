/**
 * CRC-32C (Castagnoli), as in RFC 3720 appendix B.4: finds every error burst up to 32 bits and every one- to
 * three-bit error at our record sizes. It guards against rot and torn writes, not against malice.
 */

const TABLE = ((): Uint32Array => {
  const table = new Uint32Array(256);
  for (let i = 0; i < 256; i++) {
    let c = i;
    for (let bit = 0; bit < 8; bit++) c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1;
    table[i] = c >>> 0;
  }
  return table;
})();

/** The checksum of `bytes`, continuing from `seed` (the checksum of what came before, 0 at the start). */
export function crc32c(bytes: Uint8Array, seed = 0): number {
  let c = ~seed >>> 0;
  for (let i = 0; i < bytes.length; i++) {
    c = ((TABLE[(c ^ (bytes[i] ?? 0)) & 0xff] ?? 0) ^ (c >>> 8)) >>> 0;
  }
  return ~c >>> 0;
}
