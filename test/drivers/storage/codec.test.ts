/**
 * The layouts on disk: what was written reads back the same, and no flipped bit passes in an entry, a mark,
 * the identity or a table of LevelDB.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { crc32c } from "../../../src/core/base/crc32c.js";
import { logIndex, nodeId, term, witnessId } from "../../../src/core/base/ids.js";
import type { Entry, EntryType } from "../../../src/core/raft/types.js";
import type { Adopted } from "../../../src/core/witness/contract.js";
import { decodeEntry, encodeEntry, entryKey, hashEntry } from "../../../src/drivers/storage/entry-codec.js";
import { decodeIdentity, encodeIdentity } from "../../../src/drivers/storage/identity.js";
import { decodeMark, digestOf, encodeMark, type Mark } from "../../../src/drivers/storage/mark.js";
import { readSnapshotBytes, SnapshotEncoder } from "../../../src/drivers/storage/snapshot-codec.js";
import { tableProblem } from "../../../src/drivers/storage/table-check.js";
import { filesIn } from "./damage.js";
import { entries, hardState, open, privateDirectory, readBack, snapshotAt } from "./disk.js";

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

/** The frames of a snapshot file with these parts: the header, the parts, the trailer. */
function framesOf(parts: readonly Uint8Array[]): Uint8Array[] {
  const { index, term: inTerm, confState } = snapshotAt(7, 3);
  const encoder = new SnapshotEncoder();
  const fields = { index, term: inTerm, confState, cluster: "acme", diskId: "d", origin: "taken" as const };
  const header = encoder.header(fields);
  return [header, ...parts.map((part) => encoder.part(part)), encoder.trailer()];
}

test("a snapshot file reads back as it was, and no flipped bit and no cut passes", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 20 }), { maxLength: 4 }), (parts) => {
      const file = Buffer.concat(framesOf(parts));
      const read = readSnapshotBytes(file);
      assert.ok(read.kind === "whole");
      assert.deepEqual(
        read.parts.map((part) => [...part]),
        parts.map((part) => [...part]),
      );
      const { index, term: inTerm, confState } = snapshotAt(7, 3);
      assert.deepEqual(read.header, {
        cluster: "acme",
        diskId: "d",
        origin: "taken",
        index,
        term: inTerm,
        confState,
      });
      for (let bit = 0; bit < file.length * 8; bit++) {
        assert.equal(readSnapshotBytes(flipped(file, bit)).kind, "damaged", `bit ${bit}`);
      }
      for (let length = 0; length < file.length; length++) {
        assert.equal(readSnapshotBytes(file.subarray(0, length)).kind, "damaged", `length ${length}`);
      }
      assert.equal(readSnapshotBytes(Buffer.concat([file, Uint8Array.of(0)])).kind, "damaged", "longer");
    }),
    { numRuns: 10 },
  );
});

test("parts of a snapshot file that were swapped, doubled, left out or taken from another are noticed", () => {
  const [a, b, c] = ["aaaa", "bbbb", "cccc"].map((text) => Buffer.from(text)) as [Buffer, Buffer, Buffer];
  const frames = framesOf([a, b, c]);
  const other = framesOf([a, b, Buffer.from("dddd")]);
  const orders: readonly (readonly (Uint8Array | undefined)[])[] = [
    [frames[0], frames[2], frames[1], frames[3], frames[4]],
    [frames[0], frames[1], frames[1], frames[3], frames[4]],
    [frames[0], frames[1], frames[3], frames[4]],
    [frames[0], frames[1], frames[2], frames[3], frames[3], frames[4]],
    [frames[0], frames[1], frames[2], other[3], frames[4]],
    [frames[0], frames[1], frames[2], frames[3], other[4]],
  ];
  for (const order of orders) {
    const file = Buffer.concat(order.map((frame) => frame ?? new Uint8Array()));
    assert.equal(readSnapshotBytes(file).kind, "damaged");
  }
});

test("a snapshot of a newer format is told from a damaged one", () => {
  const [header, trailer] = framesOf([]);
  assert.ok(header !== undefined && trailer !== undefined);
  const text = Buffer.from(header).subarray(16).toString().replace('"format":1', '"format":9');
  const body = Buffer.concat([header.subarray(0, 8), new SnapshotEncoder().part(Buffer.from(text))]);
  const end = Buffer.from(trailer);
  createHash("sha256").update(body).digest().copy(end, 12);
  end.writeUInt32BE(crc32c(end.subarray(0, end.length - 4)), end.length - 4);
  assert.deepEqual(readSnapshotBytes(Buffer.concat([body, end])), { kind: "newer", format: 9 });
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
