/**
 * The storage on a healthy disk: what was acknowledged comes back, byte for byte; and what Raft forbids is
 * refused at this last door. Any order of operations: property.test.ts; snapshots: snapshot.test.ts.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { InvariantError } from "../../../src/core/base/assert.js";
import type { Entry, HardState } from "../../../src/core/raft/types.js";
import { entries, entry, hardState, open, privateDirectory, readBack } from "./disk.js";

test("a new directory is fresh once, and keeps its disk id", async (t) => {
  const directory = `${privateDirectory(t)}/data`;
  const first = await readBack(directory);
  assert.deepEqual(
    [first.fresh, first.entries, first.hardState, first.recovering],
    [true, [], hardState(0, 0, 0), null],
  );
  const second = await readBack(directory);
  assert.equal(second.fresh, false);
  assert.equal(second.diskId, first.diskId);
});

test("entries of every type and size and the hard state come back byte for byte", async (t) => {
  const directory = privateDirectory(t);
  const { storage } = await open(directory);
  const large = Uint8Array.from({ length: 300_000 }, (_, i) => i * 7);
  const log: Entry[] = [
    { ...entry(1, 1), data: new Uint8Array(0) },
    { ...entry(2, 1), type: "EntryConfChange" },
    { ...entry(3, 2), type: "EntryConfChangeV2" },
    { ...entry(4, 7), data: large },
  ];
  await storage.append({ hardState: hardState(7, 2, 0), entries: log });
  await storage.append({ hardState: hardState(7, 2, 3), entries: [] });
  await storage.close();
  const restored = await readBack(directory);
  assert.deepEqual(restored.entries, log);
  assert.deepEqual(restored.hardState, hardState(7, 2, 3));
  assert.equal(restored.recovering, null);
  assert.deepEqual(restored.notices, []);
});

test("an overwritten suffix does not come back after a restart, nor its longer tail", async (t) => {
  const directory = privateDirectory(t);
  let { storage } = await open(directory);
  await storage.append({ hardState: hardState(1, 1, 2), entries: entries(1, 9, 1) });
  await storage.append({ hardState: hardState(2, 0, 2), entries: [entry(4, 2)] });
  await storage.close();
  assert.deepEqual((await readBack(directory)).entries, [...entries(1, 3, 1), entry(4, 2)]);
  // Again after the restart, when the hashes come from the disk and not from the appends.
  ({ storage } = await open(directory));
  await storage.append({ hardState: hardState(3, 0, 3), entries: [entry(4, 3), entry(5, 3)] });
  await storage.close();
  const restored = await readBack(directory);
  assert.deepEqual(restored.entries, [...entries(1, 3, 1), entry(4, 3), entry(5, 3)]);
  assert.equal(restored.recovering, null);
});

test("appends handed in together share writes, complete in order, and the last one wins", async (t) => {
  const directory = privateDirectory(t);
  const { storage } = await open(directory);
  const completed: number[] = [];
  await Promise.all(
    Array.from({ length: 200 }, async (_, i) => {
      // Each one overwrites index 2 and the tail of the one before it: any reordering shows.
      const write = {
        hardState: hardState(i + 1, 1, 0),
        entries: i === 0 ? entries(1, 5, 1) : entries(2, 2 + (i % 5), i + 1),
      };
      await storage.append(write);
      completed.push(i);
    }),
  );
  assert.deepEqual(
    completed,
    Array.from({ length: 200 }, (_, i) => i),
  );
  const { writes, batches, outstanding } = storage.stats;
  assert.equal(writes, 200);
  assert.ok(batches < 20, `200 appends took ${batches} writes`);
  assert.equal(outstanding, null);
  await storage.close();
  const restored = await readBack(directory);
  assert.deepEqual(restored.entries, [entry(1, 1), ...entries(2, 2 + (199 % 5), 200)]);
  assert.deepEqual(restored.hardState, hardState(200, 1, 0));
});

test("an idle moment after a write both slots of the mirror hold it", async (t) => {
  const directory = privateDirectory(t);
  const slots = (): Buffer[] => ["mirror.a", "mirror.b"].map((slot) => readFileSync(join(directory, slot)));
  const { storage } = await open(directory);
  for (let i = 1; i <= 3; i++) {
    const before = slots();
    assert.deepEqual(before[0], before[1], "settled before the next write");
    await storage.append({ hardState: hardState(i, 1, 0), entries: [] });
    const [a, b] = slots();
    assert.notDeepEqual(a, b, "a write goes to one slot, the other stays whole");
    for (let waits = 0; waits < 200 && !slots()[0]?.equals(slots()[1] ?? Buffer.alloc(0)); waits++)
      await setTimeout(10);
  }
  await storage.close();
});

test("close finishes what was handed in and refuses what comes later", async (t) => {
  const directory = privateDirectory(t);
  const { storage } = await open(directory);
  const handedIn = storage.append({ hardState: hardState(1, 1, 0), entries: entries(1, 3, 1) });
  const { outstanding } = storage.stats;
  assert.ok(
    outstanding !== null && outstanding.kind === "append" && outstanding.sinceMs <= performance.now(),
  );
  const closing = storage.close();
  await assert.rejects(storage.append({ hardState: null, entries: [entry(4, 1)] }), {
    code: "STORAGE_CLOSED",
  });
  await handedIn;
  await closing;
  assert.deepEqual((await readBack(directory)).entries, entries(1, 3, 1));
});

test("what Raft forbids never reaches the disk: a gap, an older term, another vote, a cut below commit", async (t) => {
  const forbidden: readonly (readonly [string, HardState | null, readonly Entry[]])[] = [
    ["a gap", null, [entry(7, 3)]],
    ["a gap inside", null, [entry(6, 3), entry(8, 3)]],
    ["a lower term in the log", null, [entry(6, 2)]],
    ["a lower term", hardState(2, 0, 3), []],
    ["another vote in the term", hardState(3, 2, 3), []],
    ["a lower commit", hardState(4, 0, 2), []],
    ["a commit past the end", hardState(3, 1, 6), []],
    ["a committed entry overwritten", null, [entry(3, 4)]],
    ["a log cut below commit", null, [entry(2, 3)]],
  ];
  for (const [what, state, log] of forbidden) {
    const directory = privateDirectory(t, "fast");
    const { storage } = await open(directory);
    await storage.append({ hardState: hardState(3, 1, 3), entries: entries(1, 5, 3) });
    await assert.rejects(storage.append({ hardState: state, entries: log }), InvariantError, what);
    const later = storage.append({ hardState: null, entries: [entry(6, 3)] });
    await assert.rejects(later, { code: "STORAGE_CLOSED" }, `${what}: nothing may follow`);
    await storage.close();
    const restored = await readBack(directory);
    assert.deepEqual([restored.entries, restored.hardState], [entries(1, 5, 3), hardState(3, 1, 3)], what);
  }
});

test("an append that is handed in while the mirror settles is finished by a close", async (t) => {
  for (let round = 0; round < 3; round++) {
    const directory = privateDirectory(t);
    const { storage } = await open(directory);
    await storage.append({ hardState: null, entries: [entry(1, 1)] });
    // The mirror settles after 20 ms; timers of one length fire in the order in which they were set, so this
    // one comes next.
    await setTimeout(20);
    const append = storage.append({ hardState: null, entries: [entry(2, 1)] });
    await storage.close();
    const outcome = await Promise.race([append.then(() => "durable"), setTimeout(1000, "never settled")]);
    assert.equal(outcome, "durable");
    assert.deepEqual((await readBack(directory)).entries, entries(1, 2, 1));
  }
});

test("a commit index alone costs no sync of its own, and is on the disk in the end", async (t) => {
  const directory = privateDirectory(t);
  const { storage } = await open(directory);
  await storage.append({ hardState: hardState(1, 1, 0), entries: entries(1, 3, 1) });
  const { batches } = storage.stats;
  for (const commit of [1, 2, 3]) await storage.append({ hardState: hardState(1, 1, commit), entries: [] });
  assert.equal(storage.stats.batches, batches, "three commits, no write");
  await storage.append({ hardState: hardState(2, 0, 3), entries: [] });
  assert.equal(storage.stats.batches, batches + 1, "a term is written at once");
  await storage.append({ hardState: hardState(2, 2, 3), entries: [] });
  assert.equal(storage.stats.batches, batches + 2, "and so is a vote");
  await storage.append({ hardState: null, entries: entries(4, 4, 2) });
  await storage.append({ hardState: hardState(2, 2, 4), entries: [] });
  await storage.close();
  assert.deepEqual((await readBack(directory)).hardState, hardState(2, 2, 4));
});
