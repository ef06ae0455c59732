/**
 * Flipped bits and cuts all over each file of a data directory that was compacted or got its log by an
 * install: found, or harmless, never silent. See sweep.ts; every bit and every length: `npm run
 * storage:exhaustive`.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { Outcome } from "./damage.js";
import { privateDirectory } from "./disk.js";
import { compactedImage, damagesOf, type Image, installedImage, sweepImage } from "./sweep.js";

async function sweep(
  t: TestContext,
  make: (root: string) => Promise<Image>,
  pattern: RegExp,
): Promise<Record<Outcome, number>> {
  const root = privateDirectory(t, "fast");
  const image = await make(root);
  const damages = damagesOf(image, pattern, { stride: 7, bits: "one" });
  const counts = await sweepImage(image, join(root, "scratch"), damages);
  t.diagnostic(`${counts.whole} whole, ${counts.recovering} recovering, ${counts.refused} refused`);
  return counts;
}

const inLog = (root: string): Promise<Image> => compactedImage(root, "log");
const inTable = (root: string): Promise<Image> => compactedImage(root, "table");

test("damage in LevelDB's log of a compacted log is never taken for a shorter history", async (t) => {
  const counts = await sweep(t, inLog, /^log\/.*\.log$/);
  assert.ok(counts.recovering > 100 && counts.refused === 0, JSON.stringify(counts));
});

test("damage in LevelDB's tables, manifest and CURRENT never hands out a wrong value", async (t) => {
  const counts = await sweep(t, inTable, /^log\/(.*\.ldb|MANIFEST.*|CURRENT)$/);
  assert.ok(counts.recovering > 100 && counts.refused === 0, JSON.stringify(counts));
});

test("damage in a snapshot costs nothing while the log reaches back to the one before it", async (t) => {
  const counts = await sweep(t, inLog, /^snapshots\//);
  assert.ok(counts.whole > 100 && counts.recovering + counts.refused === 0, JSON.stringify(counts));
});

test("damage in the only snapshot that carries the log is recovering, never the log without it", async (t) => {
  const counts = await sweep(t, installedImage, /^snapshots\/9-3/);
  assert.ok(counts.recovering > 50 && counts.whole + counts.refused === 0, JSON.stringify(counts));
});

test("damage in LevelDB's log after an install is recovering, from the snapshot that came", async (t) => {
  const counts = await sweep(t, installedImage, /^log\/.*\.log$/);
  assert.ok(counts.recovering > 100 && counts.refused === 0, JSON.stringify(counts));
});

test("damage in the mirror is repaired, damage in the identity refused", async (t) => {
  const mirror = await sweep(t, inLog, /^mirror\.[ab]$/);
  assert.ok(mirror.whole > 100 && mirror.recovering + mirror.refused === 0, JSON.stringify(mirror));
  const identity = await sweep(t, inLog, /^identity\.json$/);
  // A cut of the newline at its end is none.
  assert.ok(
    identity.refused > 50 && identity.whole <= 1 && identity.recovering === 0,
    JSON.stringify(identity),
  );
});
