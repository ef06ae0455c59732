/**
 * The base: what the core stands on instead of the platform, compared with the platform where Node has the same.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { crc32c } from "../../../src/core/base/crc32c.js";
import { nextBelow, randomState } from "../../../src/core/base/random.js";
import { decodeUtf8, encodeUtf8 } from "../../../src/core/base/utf8.js";

test("CRC-32C agrees with the vectors of RFC 3720", () => {
  assert.equal(crc32c(new Uint8Array(32)), 0x8a9136aa);
  assert.equal(crc32c(new Uint8Array(32).fill(0xff)), 0x62a8ab43);
  assert.equal(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i)), 0x46dd794e);
});

test("UTF-8 agrees with the platform's encoder in both directions", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      assert.deepEqual(encodeUtf8(text), new Uint8Array(new TextEncoder().encode(text)));
    }),
  );
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      let expected: string | null = null;
      try {
        expected = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
      } catch {
        expected = null;
      }
      assert.equal(decodeUtf8(bytes), expected);
    }),
    { numRuns: 2000 },
  );
});

test("UTF-8 of a long text is whole, wherever a run of ASCII ends", () => {
  for (const length of [4095, 4096, 4097, 20_000]) {
    const text = `${"x".repeat(length)}é${"y".repeat(length)}`;
    assert.equal(decodeUtf8(encodeUtf8(text)), text);
    const cut = encodeUtf8(`${"x".repeat(length)}é`).subarray(0, length + 1);
    assert.equal(decodeUtf8(cut), null);
  }
});

test("one seed and purpose always draw the same numbers, another purpose draws others", () => {
  const draw = (purpose: string) => {
    const state = randomState(7, purpose);
    return Array.from({ length: 8 }, () => nextBelow(state, 1000));
  };
  assert.deepEqual(draw("timeout"), draw("timeout"));
  assert.notDeepEqual(draw("timeout"), draw("jitter"));
});
