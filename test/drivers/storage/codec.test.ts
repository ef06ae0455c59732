/**
 * The layouts on disk: what was written reads back the same, and no flipped bit passes in an entry, a mark,
 * the identity or a table of LevelDB.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { logIndex, nodeId, term, witnessId } from "../../../src/core/base/ids.js";
import type { Entry, EntryType } from "../../../src/core/raft/types.js";
import type { Adopted } from "../../../src/core/witness/contract.js";
import { decodeEntry, encodeEntry, entryKey, hashEntry } from "../../../src/drivers/storage/entry-codec.js";
import { decodeIdentity, encodeIdentity } from "../../../src/drivers/storage/identity.js";
import { decodeMark, digestOf, encodeMark, type Mark } from "../../../src/drivers/storage/mark.js";
import { tableProblem } from "../../../src/drivers/storage/table-check.js";
import { filesIn } from "./damage.js";
import { entries, hardState, open, privateDirectory, readBack } from "./disk.js";

const count = fc.oneof(fc.nat(), fc.maxSafeNat());
const hash = fc.uint8Array({ minLength: 16, maxLength: 16 });
/** Plain objects, as our decoders make them. */
const PLAIN = { noNullPrototype: true } as const;
const anyEntry: fc.Arbitrary<Entry> = fc.record(
  {
    term: count.map(term),
    index: count.map((n) => logIndex(Math.max(1, n))),
    type: fc.constantFrom<EntryType>("EntryNormal", "EntryConfChange", "EntryConfChangeV2"),
    data: fc.uint8Array({ maxLength: 60 }),
  },
  PLAIN,
);
const position = fc.record({ index: count.map(logIndex), term: count.map(term), hash }, PLAIN);
const anyMark: fc.Arbitrary<Mark> = fc.record(
  {
    diskId: fc.uuid(),
    sequence: count,
    hardState: fc.record(
      { term: count.map(term), vote: count.map(nodeId), commit: count.map(logIndex) },
      PLAIN,
    ),
    base: position,
    last: position,
    recovering: fc.option(fc.record({ ackedIndex: count.map(logIndex), term: count.map(term) }, PLAIN)),
    previousDigest: hash,
    node: count.map(nodeId),
  },
  PLAIN,
);

const anyAdopted: fc.Arbitrary<Adopted | null> = fc.option(
  fc.record({ node: count.map(nodeId), bootstrap: fc.array(fc.string().map(witnessId)) }, PLAIN),
);

function flipped(bytes: Uint8Array, bit: number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  return copy;
}

test("an entry reads back as it was, and only after its own predecessor and under its own key", () => {
  fc.assert(
    fc.property(anyEntry, hash, (entry, previous) => {
      const key = entryKey(entry.index);
      const value = encodeEntry(entry, previous);
      assert.deepEqual(decodeEntry(key, value, previous), { entry });
      assert.ok("problem" in decodeEntry(key, value, flipped(previous, 9)));
      assert.ok("problem" in decodeEntry(flipped(key, 70), value, previous));
      for (let bit = 0; bit < value.length * 8; bit++) {
        assert.ok("problem" in decodeEntry(key, flipped(value, bit), previous), `bit ${bit}`);
      }
      for (let length = 0; length < value.length; length++) {
        assert.ok("problem" in decodeEntry(key, value.subarray(0, length), previous), `length ${length}`);
      }
    }),
    { numRuns: 40 },
  );
});

test("the hash of an entry depends on every field and on its predecessor", () => {
  fc.assert(
    fc.property(anyEntry, hash, (entry, previous) => {
      const other: EntryType = entry.type === "EntryNormal" ? "EntryConfChange" : "EntryNormal";
      const hashes = [
        hashEntry(entry, previous),
        hashEntry(entry, flipped(previous, 0)),
        hashEntry({ ...entry, term: term(entry.term === 0 ? 1 : entry.term - 1) }, previous),
        hashEntry({ ...entry, index: logIndex(entry.index - 1) }, previous),
        hashEntry({ ...entry, type: other }, previous),
        hashEntry({ ...entry, data: Uint8Array.of(...entry.data, 0) }, previous),
      ].map((each) => Buffer.from(each).toString("hex"));
      assert.equal(new Set(hashes).size, hashes.length);
    }),
  );
});

test("keys sort by index as numbers, not as text", () => {
  fc.assert(
    fc.property(count, count, (a, b) => {
      const [x, y] = [Math.max(1, a), Math.max(1, b)];
      const order = Buffer.compare(entryKey(logIndex(x)), entryKey(logIndex(y)));
      assert.equal(order, Math.sign(x - y));
    }),
  );
});

test("a mark reads back as it was, and no flipped bit passes", () => {
  fc.assert(
    fc.property(anyMark, (mark) => {
      const bytes = encodeMark(mark);
      assert.deepEqual(decodeMark(bytes), mark);
      for (let bit = 0; bit < bytes.length * 8; bit++) assert.equal(decodeMark(flipped(bytes, bit)), null);
      assert.equal(decodeMark(bytes.subarray(0, 255)), null);
      assert.notDeepEqual(
        digestOf(bytes),
        digestOf(encodeMark({ ...mark, sequence: mark.sequence === 0 ? 1 : 0 })),
      );
    }),
    { numRuns: 20 },
  );
});

test("identity text reads back whatever the names, and what is damaged is not an identity", () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), fc.uuid(), anyAdopted, (cluster, witness, diskId, adopted) => {
      const text = encodeIdentity({ cluster, witness, diskId, adopted });
      assert.deepEqual(decodeIdentity(text), { cluster, witness, diskId, adopted });
      assert.equal(decodeIdentity(text.slice(0, -3)), null);
      assert.equal(
        decodeIdentity(
          text.replace(
            diskId,
            diskId.replace(/^./, (c) => (c === "a" ? "b" : "a")),
          ),
        ),
        null,
      );
    }),
  );
  for (const text of ["", "null", "3", "[]", '{"format":1}', '{"format":2}'])
    assert.equal(decodeIdentity(text), null);
});

test("no flipped bit in a table of LevelDB passes, except in the padding of its footer", async (t) => {
  const data = join(privateDirectory(t, "fast"), "data");
  const { storage } = await open(data);
  await storage.append({ hardState: hardState(1, 1, 0), entries: entries(1, 120, 1) });
  await storage.close();
  await readBack(data);
  const tables = filesIn(data, /^log\/.*\.ldb$/);
  assert.ok(tables.length > 0);
  for (const table of tables) {
    const bytes = readFileSync(join(data, table));
    assert.equal(tableProblem(bytes), null);
    // A handle takes at most ten bytes: two of two numbers each, then padding up to the eight bytes of the
    // magic number.
    const [footer, padding] = [bytes.length - 48, bytes.length - 48 + 4];
    for (let byte = 0; byte < bytes.length; byte += byte < footer ? 5 : 1) {
      if (byte >= padding && byte < bytes.length - 8) continue;
      assert.notEqual(
        tableProblem(flipped(bytes, byte * 8 + (byte % 8))),
        null,
        `byte ${byte} of ${bytes.length}`,
      );
    }
    for (let length = 0; length < bytes.length; length += 97) {
      assert.notEqual(tableProblem(bytes.subarray(0, length)), null);
    }
  }
});
