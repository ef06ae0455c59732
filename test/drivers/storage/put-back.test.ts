/**
 * A backup of one witness's directory, put back: whole, in parts, or copied over what is there. Every part
 * alone is found or harmless. A whole older copy is equal to the directory as it was then, so no look at it
 * can find it: docs/adr/0006 says what protects the others, and the test says what happens.
 */
import assert from "node:assert/strict";
import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { logIndex, nodeId, witnessId } from "../../../src/core/base/ids.js";
import type { Restored } from "../../../src/drivers/storage/storage.js";
import { entries, hardState, open, privateDirectory, readBack, snapshotAt } from "./disk.js";

const ADOPTED = { node: nodeId(2), bootstrap: ["w1", "w2", "w3"].map(witnessId) };
const PARTS = {
  identity: ["identity.json"],
  log: ["log"],
  mirror: ["mirror.a", "mirror.b"],
  snapshots: ["snapshots"],
};
type Part = keyof typeof PARTS;
const NAMES = Object.keys(PARTS) as Part[];

/**
 * A directory now, and as it was: before the adoption (`empty`), and before the second compaction (`older`).
 */
async function history(root: string): Promise<{ now: string; older: string; empty: string }> {
  const [now, older, empty] = ["now", "older", "empty"].map((name) => join(root, name)) as [
    string,
    string,
    string,
  ];
  await readBack(now);
  cpSync(now, empty, { recursive: true });
  let { storage } = await open(now);
  await storage.adopt(ADOPTED);
  await storage.append({ hardState: hardState(2, 1, 9), entries: entries(1, 10, 2) });
  await storage.compact(snapshotAt(8, 2), logIndex(5));
  await storage.close();
  cpSync(now, older, { recursive: true });
  ({ storage } = await open(now));
  await storage.append({ hardState: hardState(3, 3, 12), entries: entries(11, 14, 3) });
  await storage.compact(snapshotAt(12, 3), logIndex(10));
  await storage.append({ hardState: hardState(3, 3, 14), entries: [] });
  await storage.close();
  return { now, older, empty };
}

/** `now` with some parts from `backup`. */
function mix(now: string, backup: string, parts: readonly Part[], to: string): void {
  rmSync(to, { recursive: true, force: true });
  cpSync(now, to, { recursive: true });
  for (const name of parts.flatMap((part) => PARTS[part])) {
    rmSync(join(to, name), { recursive: true, force: true });
    cpSync(join(backup, name), join(to, name), { recursive: true });
  }
}

/** What the opening said: everything is there; a loss; a refusal; or the past, taken for the present. */
async function answerOf(directory: string): Promise<"whole" | "recovering" | "refused" | "past"> {
  let restored: Restored;
  try {
    restored = await readBack(directory);
  } catch (thrown) {
    assert.match(String((thrown as { code?: unknown }).code), /STORAGE_CORRUPT/, String(thrown));
    return "refused";
  }
  if (restored.recovering !== null) {
    assert.ok(restored.recovering.ackedIndex >= 14);
    assert.deepEqual([restored.hardState.term, restored.hardState.vote], [3, 3]);
    return "recovering";
  }
  if (restored.hardState.term < 3) return "past";
  assert.deepEqual(restored.hardState, hardState(3, 3, 14));
  assert.deepEqual(
    restored.entries,
    [...entries(1, 10, 2), ...entries(11, 14, 3)].slice(restored.base.index),
  );
  assert.ok(restored.snapshot !== null && restored.snapshot.index >= restored.base.index);
  return "whole";
}

test("parts of an older copy are found, or harmless; log, mirror and snapshots together are the past", async (t) => {
  const root = privateDirectory(t, "fast");
  const { now, older, empty } = await history(root);
  const scratch = join(root, "scratch");
  const answers: Record<string, string> = {};
  for (const [age, backup] of Object.entries({ older, empty })) {
    for (let set = 1; set < 2 ** NAMES.length; set++) {
      const parts = NAMES.filter((_, i) => set & (1 << i));
      // Both were adopted: the file is the same.
      if (age === "older" && parts.includes("identity")) continue;
      mix(now, backup, parts, scratch);
      answers[`${age} ${parts.join(" ")}`] = await answerOf(scratch);
    }
  }
  assert.deepEqual(answers, {
    // The new log, and a mirror that is many writes behind it or of an older base.
    "older mirror": "refused",
    "older mirror snapshots": "refused",
    "older log": "recovering",
    "older log snapshots": "recovering",
    // The snapshot at 12 was taken of a log that this one never was.
    "older log mirror": "refused",
    "older snapshots": "recovering",
    "older log mirror snapshots": "past",
    "empty identity": "refused",
    "empty log": "recovering",
    "empty identity log": "refused",
    "empty mirror": "refused",
    "empty identity mirror": "refused",
    "empty log mirror": "refused",
    "empty identity log mirror": "refused",
    "empty snapshots": "recovering",
    "empty identity snapshots": "refused",
    "empty log snapshots": "recovering",
    "empty identity log snapshots": "refused",
    "empty mirror snapshots": "refused",
    "empty identity mirror snapshots": "refused",
    "empty log mirror snapshots": "past",
    "empty identity log mirror snapshots": "past",
  });
});

test("an older copy over what is there, without removing that first, is found", async (t) => {
  const root = privateDirectory(t, "fast");
  const { now, older } = await history(root);
  cpSync(older, now, { recursive: true });
  assert.notEqual(await answerOf(now), "past");
});

test("a whole older copy opens as what it was then: nothing in it says that there was more", async (t) => {
  const root = privateDirectory(t, "fast");
  const { older } = await history(root);
  const restored = await readBack(older);
  assert.deepEqual([restored.recovering, restored.notices], [null, []]);
  assert.deepEqual(restored.hardState, hardState(2, 1, 9));
  assert.deepEqual([restored.base.index, restored.entries], [4, entries(5, 10, 2)]);
});
