/**
 * Every byte of a small data directory that has been compacted, or got its log by an install: damaged,
 * opened, judged.
 *
 * The directories are small on purpose, so that each bit and each length can be tried. They are made once and
 * held in memory; a case writes them anew, damages one file in one way and opens. Honest is what damage.ts
 * says, with one addition: what a base leaves out must be in a snapshot that is true. The default run
 * (sweep.test.ts) takes one bit of every seventh byte, `npm run storage:exhaustive` (exhaustive.ts) all eight
 * of every byte.
 */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { logIndex, nodeId, witnessId } from "../../../src/core/base/ids.js";
import type { Entry, HardState } from "../../../src/core/raft/types.js";
import type { Adopted, StateSnapshot } from "../../../src/core/witness/contract.js";
import type { Restored } from "../../../src/drivers/storage/storage.js";
import { StorageError } from "../../../src/drivers/storage/storage-error.js";
import { filesIn, type Outcome } from "./damage.js";
import { entries, entry, hardState, open, readBack, snapshotAt } from "./disk.js";

/** A directory as bytes, and what was acknowledged of it. */
export interface Image {
  readonly name: string;
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly acked: Acked;
}

interface Acked {
  readonly hardState: HardState;
  /** The whole log from entry 1, also what was cut. */
  readonly log: readonly Entry[];
  /** Every snapshot that was ever taken or received. */
  readonly snapshots: readonly StateSnapshot[];
  /** Every entry that was ever written. */
  readonly written: readonly Entry[];
}

const ADOPTED: Adopted = { node: nodeId(2), bootstrap: ["w1", "w2", "w3"].map(witnessId) };
const FIRST = snapshotAt(2, 1, 0);
const SECOND = snapshotAt(4, 1, 1, 4);
const RECEIVED = snapshotAt(9, 3, 1, 4);

/** Entries with little data: the fewer bytes, the more of them can be tried. */
function small(from: number, to: number, inTerm: number): readonly Entry[] {
  return entries(from, to, inTerm).map((each) => entry(each.index, inTerm, `${each.index}`));
}

/**
 * A log from entry 1 on, with a vote, and entries 4 to 6 overwritten by one; LevelDB holds it as in
 * `compactedImage`.
 */
export async function plainImage(root: string, kind: "log" | "table"): Promise<Image> {
  const directory = join(root, `plain-${kind}`);
  const { storage } = await open(directory);
  const older = small(1, 6, 1);
  const adopted = storage.adopt(ADOPTED);
  await storage.append({ hardState: hardState(1, 1, 2), entries: older });
  await storage.append({ hardState: hardState(3, 2, 3), entries: small(4, 4, 3) });
  await adopted;
  await storage.close();
  if (kind === "table") await readBack(directory);
  const log = [...older.slice(0, 3), ...small(4, 4, 3)];
  const written = [...older, ...log];
  return imageOf(directory, `plain, ${kind}`, { hardState: hardState(3, 2, 3), log, snapshots: [], written });
}

/**
 * Cut at 2 under snapshots at 2 and 4; what LevelDB holds is in its log, or (`table`) in a table. Entry 5 was
 * overwritten, and cut off by it entry 6.
 */
export async function compactedImage(root: string, kind: "log" | "table"): Promise<Image> {
  const directory = join(root, `compacted-${kind}`);
  const { storage } = await open(directory);
  const older = small(1, 6, 1);
  await Promise.all([
    storage.adopt(ADOPTED),
    storage.append({ hardState: hardState(1, 1, 4), entries: older }),
    storage.compact(FIRST, logIndex(1)),
  ]);
  await storage.compact(SECOND, logIndex(3));
  await storage.append({ hardState: hardState(3, 2, 4), entries: small(5, 5, 2) });
  await storage.close();
  if (kind === "table") await readBack(directory);
  const log = [...older.slice(0, 4), ...small(5, 5, 2)];
  return imageOf(directory, `compacted, ${kind}`, {
    hardState: hardState(3, 2, 4),
    log,
    snapshots: [FIRST, SECOND],
    written: [...older, ...log],
  });
}

/** A log that an install at 9 replaced; the snapshot before it does not carry it. */
export async function installedImage(root: string): Promise<Image> {
  const directory = join(root, "installed");
  const { storage } = await open(directory);
  const older = small(1, 6, 1);
  await Promise.all([
    storage.adopt(ADOPTED),
    storage.append({ hardState: hardState(1, 1, 4), entries: older }),
    storage.compact(SECOND, logIndex(1)),
  ]);
  const newer = small(10, 11, 4);
  await storage.append({ hardState: hardState(4, 0, 9), entries: newer, snapshot: RECEIVED });
  await storage.close();
  return imageOf(directory, "installed", {
    hardState: hardState(4, 0, 9),
    // Of what came with the snapshot nothing is known one by one.
    log: [...small(1, 9, 3), ...newer],
    snapshots: [SECOND, RECEIVED],
    written: [...older, ...newer],
  });
}

function imageOf(directory: string, name: string, acked: Acked): Image {
  // LevelDB's own diary and the locks say nothing of ours.
  const paths = filesIn(directory, /^(?!lock\/|log\/LO)/);
  return { name, files: new Map(paths.map((path) => [path, readFileSync(join(directory, path))])), acked };
}

/** One damage: what, to which file, and what the file is then; null: gone. */
export interface Damage {
  readonly what: string;
  readonly file: string;
  readonly bytes: Uint8Array | null;
}

/** How thorough: every so many bytes, and there one bit (another from byte to byte) or all eight. */
export interface Thoroughness {
  readonly stride: number;
  readonly bits: "one" | "all";
}

/** Flipped bits in, and cuts at, the bytes of the files that match; and each of them gone. */
export function* damagesOf(image: Image, pattern: RegExp, how: Thoroughness): Generator<Damage> {
  for (const [file, bytes] of image.files) {
    if (!pattern.test(file)) continue;
    yield { what: `${file} gone`, file, bytes: null };
    for (let at = 0; at < bytes.length; at += how.stride) {
      yield { what: `${file} cut to ${at} of ${bytes.length}`, file, bytes: bytes.subarray(0, at) };
      for (let bit = 0; bit < 8; bit++) {
        if (how.bits === "one" && bit !== (at * 5 + 3) % 8) continue;
        const flipped = Uint8Array.from(bytes);
        flipped[at] = (flipped[at] ?? 0) ^ (1 << bit);
        yield { what: `bit ${bit} of byte ${at} in ${file}`, file, bytes: flipped };
      }
    }
  }
}

/** Tries each damage in `scratch` and counts the answers; throws at the first that is not honest. */
export async function sweepImage(
  image: Image,
  scratch: string,
  damages: Iterable<Damage>,
): Promise<Record<Outcome, number>> {
  const counts = { whole: 0, recovering: 0, refused: 0 };
  let done = 0;
  for (const damage of damages) {
    lay(image, scratch, damage);
    counts[await outcomeOf(image, scratch, `${image.name}: ${damage.what}`, done++ % 16 === 0)]++;
  }
  return counts;
}

/** Writes the image with one file damaged. What is kept of the case before is the lock alone. */
function lay(image: Image, scratch: string, damage: Damage): void {
  mkdirSync(scratch, { recursive: true });
  for (const name of readdirSync(scratch)) {
    if (name !== "lock") rmSync(join(scratch, name), { recursive: true });
  }
  for (const [file, bytes] of image.files) {
    const content = file === damage.file ? damage.bytes : bytes;
    if (content === null) continue;
    const path = join(scratch, file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
  }
}

async function outcomeOf(image: Image, scratch: string, what: string, twice: boolean): Promise<Outcome> {
  let restored: Restored;
  try {
    restored = await readBack(scratch);
  } catch (thrown) {
    assert.ok(thrown instanceof StorageError, `${what}: ${String(thrown)}`);
    assert.match(thrown.code, /^STORAGE_(CORRUPT|NEWER_FORMAT)$/, `${what}: ${thrown.message}`);
    assert.match(thrown.message, /;/, `${what}: no remedy in "${thrown.message}"`);
    return "refused";
  }
  assert.equal(restored.fresh, false, `${what}: taken for a new directory`);
  assert.deepEqual(restored.adopted, ADOPTED, `${what}: forgot who it is`);
  assertHonest(image.acked, restored, what);
  if (twice) {
    const again = await readBack(scratch);
    assert.equal(again.recovering?.ackedIndex, restored.recovering?.ackedIndex, `${what}: forgot its loss`);
    const { entries: log, hardState: state, base, snapshot } = again;
    assert.deepEqual(
      [log, state, base, snapshot],
      [restored.entries, restored.hardState, restored.base, restored.snapshot],
      `${what}: second start differs`,
    );
  }
  return restored.recovering === null ? "whole" : "recovering";
}

function assertHonest(acked: Acked, restored: Restored, what: string): void {
  const { base, snapshot, hardState: state, recovering } = restored;
  if (snapshot === null) assert.equal(base.index, 0, `${what}: nothing stands for what came before the log`);
  else {
    assert.ok(
      snapshot.index >= base.index && snapshot.index <= state.commit,
      `${what}: snapshot off the log`,
    );
    assert.deepEqual(
      snapshot,
      acked.snapshots.find((each) => each.index === snapshot.index),
      `${what}: a wrong snapshot`,
    );
  }
  assert.ok(state.commit <= base.index + restored.entries.length, `${what}: commit past the end`);
  if (recovering === null) {
    assert.deepEqual(restored.entries, acked.log.slice(base.index), `${what}: lost entries in silence`);
    assert.deepEqual(state, acked.hardState, `${what}: lost hard state in silence`);
    return;
  }
  assert.ok(recovering.ackedIndex >= acked.log.length, `${what}: claims ${recovering.ackedIndex}`);
  assert.ok(recovering.term >= acked.hardState.term, `${what}: bound in term ${recovering.term}`);
  assert.ok(state.term >= acked.hardState.term, `${what}: term fell to ${state.term}`);
  if (state.term === acked.hardState.term) assert.equal(state.vote, acked.hardState.vote, `${what}: vote`);
  for (const [i, each] of restored.entries.entries()) {
    assert.equal(each.index, base.index + 1 + i, what);
    const known = acked.written.filter((one) => one.index === each.index && one.term === each.term);
    assert.deepEqual(known[0], each, `${what}: entry never written`);
    if (each.index <= state.commit) assert.deepEqual(each, acked.log[each.index - 1], `${what}: committed`);
  }
}
