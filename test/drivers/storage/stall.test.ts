/**
 * A disk that stalls without failing: the process goes on, says what it waits for and since when,
 * acknowledges nothing, and takes up again where it was.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { logIndex } from "../../../src/core/base/ids.js";
import { mountFrozenDisk } from "../../e2e/frozen-disk.js";
import { entries, entry, hardState, open, readBack, snapshotAt } from "./disk.js";

test("on a frozen disk nothing is acknowledged, and what is outstanding is told; thawed, all goes on", async (t) => {
  const disk = mountFrozenDisk(t);
  if (disk === null) return;
  const directory = join(disk.path, "data");
  const { storage } = await open(directory);
  await storage.append({ hardState: hardState(1, 1, 4), entries: entries(1, 5, 1) });
  // The mirror settles first: a write that hangs while it settles is not one that somebody waits for.
  await setTimeout(200);
  disk.freeze();
  const before = performance.now();
  const done: string[] = [];
  const note = (what: string) => (): void => void done.push(what);
  const work = [
    storage.append({ hardState: hardState(2, 2, 5), entries: [] }).then(note("vote")),
    storage.append({ hardState: null, entries: [entry(6, 2)] }).then(note("append")),
    storage.compact(snapshotAt(3, 1), logIndex(3)).then(note("compaction")),
  ];
  let turns = 0;
  for (let waited = 0; waited < 600; waited += 20) {
    await setTimeout(20);
    turns++;
  }
  const { outstanding, compactingSinceMs } = storage.stats;
  disk.thaw();
  assert.deepEqual([done, turns], [[], 30], "acknowledged while nothing could be written");
  assert.ok(outstanding !== null && compactingSinceMs !== null);
  assert.equal(outstanding.kind, "append");
  assert.ok(outstanding.sinceMs >= before && outstanding.sinceMs < before + 500);
  await Promise.all(work);
  assert.deepEqual(done, ["vote", "append", "compaction"]);
  assert.equal(storage.stats.outstanding, null);
  assert.ok(storage.stats.slowestWriteMs > 500);
  await storage.close();
  const restored = await readBack(directory);
  assert.deepEqual([restored.recovering, restored.hardState], [null, hardState(2, 2, 5)]);
  assert.deepEqual([restored.base.index, restored.entries.length], [2, 4]);
});
