/**
 * Snapshots and the cutting of the log, on a healthy disk and with snapshot files that are lost or damaged:
 * what stands for the log's beginning is there before anything is cut, and an install is the old log or the
 * new one.
 */
import assert from "node:assert/strict";
import { copyFileSync, cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { InvariantError } from "../../../src/core/base/assert.js";
import { logIndex, nodeId, witnessId } from "../../../src/core/base/ids.js";
import type { Adopted } from "../../../src/core/witness/contract.js";
import { decodeMark } from "../../../src/drivers/storage/mark.js";
import type { Storage } from "../../../src/drivers/storage/storage.js";
import { filesIn, flipBit } from "./damage.js";
import { entries, entry, hardState, open, privateDirectory, readBack, snapshotAt } from "./disk.js";

const ADOPTED: Adopted = { node: nodeId(2), bootstrap: ["w1", "w2", "w3"].map(witnessId) };

function place(index: number, term: number): object {
  return { index, term };
}

/**
 * A directory with entries 1 to 30 of term 2, committed up to 28, a snapshot at 10 and one at 20, cut at 8.
 */
async function cutDirectory(directory: string): Promise<void> {
  const { storage } = await open(directory);
  await storage.append({ hardState: hardState(2, 1, 28), entries: entries(1, 30, 2) });
  await storage.compact(snapshotAt(10, 2), logIndex(9));
  await storage.compact(snapshotAt(20, 2), logIndex(9));
  await storage.close();
}

test("a compaction leaves the snapshot and the tail, and both come back", async (t) => {
  const directory = privateDirectory(t);
  const { storage, restored } = await open(directory);
  assert.deepEqual([restored.base, restored.snapshot, restored.adopted], [place(0, 0), null, null]);
  await storage.append({
    hardState: hardState(2, 1, 9),
    entries: [...entries(1, 6, 1), ...entries(7, 12, 2)],
  });
  assert.equal(await storage.compact(snapshotAt(8, 2), logIndex(5)), 4);
  await storage.append({ hardState: hardState(2, 1, 10), entries: entries(13, 14, 2) });
  await storage.close();
  const again = await readBack(directory);
  assert.deepEqual(again.base, place(4, 1));
  assert.deepEqual(again.entries, [...entries(5, 6, 1), ...entries(7, 14, 2)]);
  assert.deepEqual(again.snapshot, snapshotAt(8, 2));
  assert.deepEqual([again.hardState, again.recovering, again.notices], [hardState(2, 1, 10), null, []]);
});

test("a compaction may take the whole log, and the log grows on from there", async (t) => {
  const directory = privateDirectory(t);
  let { storage, restored } = await open(directory);
  await storage.append({ hardState: hardState(1, 1, 5), entries: entries(1, 5, 1) });
  assert.equal(await storage.compact(snapshotAt(5, 1), logIndex(6)), 5);
  await storage.close();
  ({ storage, restored } = await open(directory));
  assert.deepEqual([restored.base, restored.entries], [place(5, 1), []]);
  await storage.append({ hardState: hardState(3, 0, 5), entries: entries(6, 7, 3) });
  await storage.close();
  const again = await readBack(directory);
  assert.deepEqual([again.base, again.entries, again.recovering], [place(5, 1), entries(6, 7, 3), null]);
  assert.deepEqual(again.snapshot, snapshotAt(5, 1));
});

test("a snapshot says more of the commit than a hard state that was written before it", async (t) => {
  const directory = privateDirectory(t);
  const { storage } = await open(directory);
  await storage.append({ hardState: hardState(1, 1, 2), entries: entries(1, 9, 1) });
  await storage.compact(snapshotAt(6, 1), logIndex(5));
  await storage.close();
  const mark = decodeMark(readFileSync(join(directory, "mirror.a")));
  assert.deepEqual([mark?.base.index, mark?.hardState], [4, hardState(1, 1, 4)], "never behind the base");
  assert.deepEqual((await readBack(directory)).hardState, hardState(1, 1, 6));
});

test("appends go on while a large state is written, and a long log goes in steps", async (t) => {
  const directory = privateDirectory(t);
  const { storage } = await open(directory);
  const length = 10_000;
  await storage.append({ hardState: hardState(1, 1, length), entries: entries(1, length, 1) });
  let base: number | null = null;
  const compaction = storage.compact(snapshotAt(9_900, 1, 400, 20_000), logIndex(9_801)).then((to) => {
    base = to;
  });
  let appended = 0;
  for (; base === null; appended++) {
    const index = length + appended + 1;
    await storage.append({ hardState: hardState(1, 1, index - 1), entries: [entry(index, 1)] });
    if (appended === 0) assert.notEqual(storage.stats.compactingSinceMs, null);
  }
  await compaction;
  assert.deepEqual([base, storage.stats.compactingSinceMs], [9_800, null]);
  assert.ok(appended > 2, `${appended} appends while 8 MB were written`);
  // 9,800 entries go in steps of 4,096.
  assert.equal(storage.stats.writes, 1 + appended + 3);
  await storage.close();
  const restored = await readBack(directory);
  assert.deepEqual(restored.base, place(9_800, 1));
  assert.deepEqual(restored.entries, entries(9_801, length + appended, 1));
  assert.equal(restored.snapshot?.data.history.length, 400);
});

test("a snapshot is written only when what it was taken of is durable", async (t) => {
  const directory = privateDirectory(t, "fast");
  const { storage } = await open(directory);
  let durable = false;
  const long = Array.from({ length: 300 }, (_, i) => entry(i + 1, 1, "x".repeat(100_000)));
  const append = storage.append({ hardState: hardState(1, 1, 300), entries: long }).then(() => {
    durable = true;
  });
  const compaction = storage.compact(snapshotAt(300, 1, 0), logIndex(1));
  while (filesIn(directory, /^snapshots\/.*\.snap$/).length === 0) await setImmediate();
  assert.ok(durable, "a crash here would leave a snapshot of a log that never was");
  await Promise.all([append, compaction]);
  await storage.close();
});

test("a received snapshot replaces the whole log, in order with the appends around it", async (t) => {
  const directory = privateDirectory(t);
  const { storage } = await open(directory);
  const done: string[] = [];
  const note = (what: string) => (): void => void done.push(what);
  await Promise.all([
    storage.append({ hardState: hardState(2, 1, 3), entries: entries(1, 60, 2) }).then(note("before")),
    storage
      .append({ hardState: hardState(5, 0, 50), entries: entries(51, 53, 5), snapshot: snapshotAt(50, 4) })
      .then(note("install")),
    storage.append({ hardState: null, entries: entries(54, 55, 5) }).then(note("after")),
  ]);
  assert.deepEqual(done, ["before", "install", "after"]);
  // The old tail of term 2 is gone, though it was longer.
  await storage.close();
  const restored = await readBack(directory);
  assert.deepEqual([restored.base, restored.entries], [place(50, 4), entries(51, 55, 5)]);
  assert.deepEqual([restored.snapshot, restored.hardState], [snapshotAt(50, 4), hardState(5, 0, 50)]);
});

test("a compaction that an install overtakes cuts nothing", async (t) => {
  const directory = privateDirectory(t);
  const { storage } = await open(directory);
  await storage.append({ hardState: hardState(2, 1, 20), entries: entries(1, 30, 2) });
  const compaction = storage.compact(snapshotAt(20, 2), logIndex(21));
  const install = storage.append({
    hardState: hardState(3, 0, 40),
    entries: [],
    snapshot: snapshotAt(40, 3),
  });
  assert.equal(await compaction, 40);
  await install;
  assert.equal(await storage.compact(snapshotAt(25, 2), logIndex(26)), 40, "behind the base");
  assert.equal(await storage.compact(snapshotAt(40, 3), logIndex(10)), 40, "cuts nothing");
  await storage.close();
  const restored = await readBack(directory);
  assert.deepEqual([restored.base, restored.entries], [place(40, 3), []]);
  assert.deepEqual([restored.snapshot, restored.notices], [snapshotAt(40, 3), []]);
});

test("an install that comes while a compaction writes its file does not wait for it", async (t) => {
  const directory = privateDirectory(t);
  const { storage } = await open(directory);
  await storage.append({ hardState: hardState(2, 1, 20), entries: entries(1, 30, 2) });
  const compaction = storage.compact(snapshotAt(20, 2, 1000, 40_000), logIndex(15));
  while (filesIn(directory, /^snapshots\/20-2/).length === 0) await setImmediate();
  await storage.append({ hardState: hardState(3, 0, 40), entries: [], snapshot: snapshotAt(40, 3) });
  assert.deepEqual(filesIn(directory, /^snapshots\//), ["snapshots/40-3.snap"], "the other was given up");
  assert.equal(await compaction, 40);
  await storage.close();
  assert.deepEqual((await readBack(directory)).snapshot, snapshotAt(40, 3));
});

test("the newest two snapshots are kept", async (t) => {
  const directory = privateDirectory(t);
  const { storage } = await open(directory);
  await storage.append({ hardState: hardState(1, 1, 40), entries: entries(1, 40, 1) });
  for (const at of [10, 20, 30]) await storage.compact(snapshotAt(at, 1), logIndex(at - 4));
  assert.deepEqual(readdirSync(join(directory, "snapshots")).sort(), ["20-1.snap", "30-1.snap"]);
  await storage.append({ hardState: hardState(2, 0, 50), entries: [], snapshot: snapshotAt(50, 2) });
  await storage.close();
  assert.deepEqual(readdirSync(join(directory, "snapshots")).sort(), ["30-1.snap", "50-2.snap"]);
});

test("who was adopted comes back, is written before later appends, and can only become a later node", async (t) => {
  const directory = privateDirectory(t);
  let { storage, restored } = await open(directory);
  const adopting = storage.adopt(ADOPTED);
  await storage.append({ hardState: hardState(1, 1, 0), entries: [entry(1, 1)] });
  assert.match(readFileSync(join(directory, "identity.json"), "utf8"), /"node": 2/);
  await adopting;
  await storage.close();
  ({ storage, restored } = await open(directory));
  assert.deepEqual(restored.adopted, ADOPTED);
  await storage.adopt(ADOPTED);
  const later: Adopted = { node: nodeId(5), bootstrap: [] };
  await storage.adopt(later);
  await assert.rejects(storage.adopt({ ...ADOPTED, node: nodeId(3) }), {
    name: "InvariantError",
    message: /node 5 of none .* node 3/,
  });
  await storage.close();
  assert.deepEqual((await readBack(directory)).adopted, later);
});

test("an identity file from before the adoption, or of an earlier one, is noticed", async (t) => {
  const root = privateDirectory(t, "fast");
  const [data, other] = [join(root, "data"), join(root, "other")];
  await readBack(data);
  cpSync(data, other, { recursive: true });
  for (const [directory, node] of [
    [data, 3],
    [other, 2],
  ] as const) {
    const { storage } = await open(directory);
    await storage.adopt({ ...ADOPTED, node: nodeId(node) });
    await storage.close();
  }
  copyFileSync(join(other, "identity.json"), join(data, "identity.json"));
  await assert.rejects(readBack(data), { code: "STORAGE_CORRUPT", message: /says node 2.*by node 3/ });
});

test("an identity of format 1, as older releases wrote it, reads with nobody adopted", async (t) => {
  const directory = privateDirectory(t, "fast");
  const { diskId } = await readBack(directory);
  const { crc32c } = await import("../../../src/core/base/crc32c.js");
  const fields = { format: 1, cluster: "acme", witness: "w1", diskId };
  const checksum = crc32c(Buffer.from(JSON.stringify(fields)))
    .toString(16)
    .padStart(8, "0");
  writeFileSync(join(directory, "identity.json"), JSON.stringify({ ...fields, checksum }));
  const { storage, restored } = await open(directory);
  assert.deepEqual([restored.adopted, restored.diskId, restored.fresh], [null, diskId, false]);
  await storage.adopt(ADOPTED);
  await storage.close();
  assert.deepEqual((await readBack(directory)).adopted, ADOPTED);
});

test("a damaged newest snapshot is put aside, and an older one will do while the log reaches back to it", async (t) => {
  const directory = privateDirectory(t, "fast");
  await cutDirectory(directory);
  const newest = join(directory, "snapshots", "20-2.snap");
  flipBit(newest, readFileSync(newest).length >> 1, 3);
  const restored = await readBack(directory);
  assert.deepEqual([restored.snapshot, restored.base], [snapshotAt(10, 2), place(8, 2)]);
  assert.deepEqual(restored.entries, entries(9, 30, 2));
  assert.deepEqual([restored.recovering, restored.hardState], [null, hardState(2, 1, 28)]);
  assert.match(restored.notices.join(), /20-2\.snap cannot be used: it is damaged \(part 2 is damaged\)/);
  assert.deepEqual(readdirSync(join(directory, "snapshots")).sort(), ["10-2.snap", "damaged.snap"]);
  assert.deepEqual((await readBack(directory)).notices, [], "told once");
});

test("when no snapshot stands for what was cut, the witness is recovering from what there is", async (t) => {
  const root = privateDirectory(t, "fast");
  const [data, older] = [join(root, "data"), join(root, "older")];
  await cutDirectory(data);
  cpSync(data, older, { recursive: true });
  rmSync(join(data, "snapshots"), { recursive: true });
  const restored = await readBack(data);
  assert.deepEqual([restored.base, restored.entries, restored.snapshot], [place(0, 0), [], null]);
  assert.deepEqual(restored.hardState, hardState(2, 1, 0), "term and vote are not forgotten");
  assert.equal(restored.recovering?.ackedIndex, 30);
  assert.match(restored.recovering?.reason ?? "", /begins after 8, and no whole snapshot/);
  assert.equal((await readBack(data)).recovering?.ackedIndex, 30, "remembered");

  // Cut further than the older one: it does not carry the log any more, but it is true.
  const { storage } = await open(older);
  await storage.compact(snapshotAt(20, 2), logIndex(15));
  await storage.close();
  rmSync(join(older, "snapshots", "20-2.snap"));
  const fromOlder = await readBack(older);
  assert.deepEqual([fromOlder.snapshot, fromOlder.base], [snapshotAt(10, 2), place(10, 2)]);
  assert.deepEqual([fromOlder.entries, fromOlder.hardState], [[], hardState(2, 1, 10)]);
  assert.equal(fromOlder.recovering?.ackedIndex, 30);
});

test("a log that is lost starts from the newest snapshot, and is whole again when that covers all", async (t) => {
  const root = privateDirectory(t, "fast");
  const [data, all] = [join(root, "data"), join(root, "all")];
  await cutDirectory(data);
  cpSync(data, all, { recursive: true });
  rmSync(join(data, "log"), { recursive: true });
  const restored = await readBack(data);
  assert.deepEqual([restored.snapshot, restored.base], [snapshotAt(20, 2), place(20, 2)]);
  assert.deepEqual([restored.recovering?.ackedIndex, restored.hardState], [30, hardState(2, 1, 20)]);

  const { storage } = await open(all);
  await storage.compact(snapshotAt(30, 2), logIndex(29));
  await storage.close();
  rmSync(join(all, "log"), { recursive: true });
  const healed = await readBack(all);
  assert.deepEqual([healed.snapshot, healed.base], [snapshotAt(30, 2), place(30, 2)]);
  assert.deepEqual([healed.recovering, healed.hardState], [null, hardState(2, 1, 30)]);
  assert.match(healed.notices.join(), /directory is gone; nothing that was acknowledged is missing/);
});

test("a recovery from a snapshot survives a crash between any two of its steps", async (t) => {
  const data = join(privateDirectory(t, "fast"), "data");
  await cutDirectory(data);
  rmSync(join(data, "log"), { recursive: true });
  const slots = ["mirror.a", "mirror.b"].map((name) => join(data, name));
  const before = slots.map((slot) => readFileSync(slot));
  const expectRecovering = async (what: string): Promise<void> => {
    const { base, snapshot, entries: log, hardState: state, recovering } = await readBack(data);
    assert.deepEqual([base, snapshot, log], [place(20, 2), snapshotAt(20, 2), []], what);
    assert.deepEqual([state, recovering?.ackedIndex], [hardState(2, 1, 20), 30], what);
  };
  await expectRecovering("the loss");
  for (const [i, slot] of slots.entries()) writeFileSync(slot, before[i] ?? "");
  await expectRecovering("after a crash before the mirror was written");
  writeFileSync(slots[0] ?? "", before[0] ?? "");
  await expectRecovering("after a crash between the slots");
  cpSync(join(data, "log"), join(data, "log.new"), { recursive: true });
  rmSync(join(data, "log"), { recursive: true });
  await expectRecovering("after a crash between the renames");
  // What brings it up to date ends it, also when that is a snapshot.
  const { storage } = await open(data);
  await storage.append({
    hardState: hardState(3, 0, 40),
    entries: [entry(41, 3)],
    snapshot: snapshotAt(40, 3),
  });
  await storage.close();
  assert.equal((await readBack(data)).recovering, null);
});

test("what a crash leaves of an install or a compaction is removed, and the old log is whole", async (t) => {
  const root = privateDirectory(t, "fast");
  const [data, from] = [join(root, "data"), join(root, "from")];
  await cutDirectory(data);
  // The snapshot of an install whose write did not come: ahead of the log, and beside it.
  cpSync(data, from, { recursive: true });
  const { storage } = await open(from);
  await storage.append({ hardState: hardState(6, 0, 29), entries: [], snapshot: snapshotAt(29, 5) });
  await storage.append({ hardState: hardState(6, 0, 90), entries: [], snapshot: snapshotAt(90, 6) });
  await storage.close();
  for (const name of ["29-5.snap", "90-6.snap"]) {
    copyFileSync(join(from, "snapshots", name), join(data, "snapshots", name));
  }
  copyFileSync(join(from, "snapshots", "90-6.snap"), join(data, "snapshots", "91-6.snap.new"));
  const restored = await readBack(data);
  assert.deepEqual([restored.snapshot, restored.base], [snapshotAt(20, 2), place(8, 2)]);
  assert.deepEqual([restored.entries, restored.recovering], [entries(9, 30, 2), null]);
  assert.deepEqual(readdirSync(join(data, "snapshots")).sort(), ["10-2.snap", "20-2.snap"]);
});

test("a snapshot of another disk or another cluster is not ours", async (t) => {
  const root = privateDirectory(t, "fast");
  const [ours, theirs] = [join(root, "ours"), join(root, "theirs")];
  await cutDirectory(ours);
  await cutDirectory(theirs);
  copyFileSync(join(theirs, "snapshots", "20-2.snap"), join(ours, "snapshots", "20-2.snap"));
  const restored = await readBack(ours);
  assert.deepEqual(restored.snapshot, snapshotAt(10, 2));
  assert.match(restored.notices.join(), /it is of disk/);
});

test("a directory with snapshots alone is a used one, not a new one", async (t) => {
  const directory = privateDirectory(t, "fast");
  await cutDirectory(directory);
  for (const name of ["identity.json", "mirror.a", "mirror.b", "log"]) {
    rmSync(join(directory, name), { recursive: true });
  }
  await assert.rejects(readBack(directory), { code: "STORAGE_CORRUPT", message: /holds snapshots but no/ });
});

test("what would lose committed entries never reaches the disk", async (t) => {
  const forbidden: readonly (readonly [string, (storage: Storage) => Promise<unknown>])[] = [
    ["keeps too little", (s) => s.compact(snapshotAt(20, 2), logIndex(22))],
    ["another term", (s) => s.compact(snapshotAt(20, 1), logIndex(10))],
    ["past the end", (s) => s.compact(snapshotAt(31, 2), logIndex(10))],
    [
      "installed from behind the commit",
      (s) => s.append({ hardState: null, entries: [], snapshot: snapshotAt(27, 2) }),
    ],
    [
      "entries that do not follow it",
      (s) => s.append({ hardState: null, entries: entries(42, 43, 3), snapshot: snapshotAt(40, 3) }),
    ],
    [
      "a commit from before it",
      (s) => s.append({ hardState: hardState(3, 0, 39), entries: [], snapshot: snapshotAt(40, 3) }),
    ],
  ];
  for (const [what, bug] of forbidden) {
    const directory = privateDirectory(t, "fast");
    await cutDirectory(directory);
    const { storage } = await open(directory);
    await assert.rejects(bug(storage), InvariantError, what);
    await assert.rejects(storage.append({ hardState: null, entries: [] }), { code: "STORAGE_CLOSED" }, what);
    await storage.close();
    const restored = await readBack(directory);
    assert.deepEqual([restored.base, restored.entries], [place(8, 2), entries(9, 30, 2)], what);
    assert.deepEqual(filesIn(directory, /^snapshots\//).length, 2, what);
  }
});

test("closing gives a compaction up, and refuses later ones", async (t) => {
  const directory = privateDirectory(t);
  const { storage } = await open(directory);
  await storage.append({ hardState: hardState(1, 1, 9), entries: entries(1, 9, 1) });
  const compaction = assert.rejects(storage.compact(snapshotAt(9, 1, 300, 20_000), logIndex(5)), {
    code: "STORAGE_CLOSED",
  });
  await storage.close();
  await compaction;
  await assert.rejects(storage.compact(snapshotAt(9, 1), logIndex(5)), { code: "STORAGE_CLOSED" });
  assert.deepEqual(filesIn(directory, /^snapshots\//), [], "no half snapshot stays");
  assert.deepEqual((await readBack(directory)).entries, entries(1, 9, 1));
});
