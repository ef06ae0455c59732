/**
 * The storage on a disk that lost or changed something: the experiments that LevelDB alone fails in silence
 * (a flipped bit in its log, a cut tail, a missing file, a flipped bit in a table), the same for our own
 * files, and every mix of an older log with a newer mirror and the other way round. None may end in a lost
 * vote, a lower term, a shorter log or a wrong value unnoticed.
 */
import assert from "node:assert/strict";
import { cpSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import {
  filesIn,
  flipBit,
  HISTORY,
  honestOutcome,
  type Outcome,
  recordImages,
  restoreImage,
  type State,
  statesOf,
} from "./damage.js";
import { entries, entry, hardState, open, privateDirectory, readBack } from "./disk.js";

const STATES = statesOf(HISTORY);
const END = stateAfter(HISTORY.length);

function stateAfter(writes: number): State {
  const state = STATES[writes];
  assert.ok(state !== undefined);
  return state;
}

function imageAt(images: readonly string[], writes: number): string {
  const image = images.at(writes);
  assert.ok(image !== undefined);
  return image;
}

/**
 * An image after the whole history, closed properly; `table`: its entries moved from LevelDB's log into a
 * table.
 */
async function closedImage(root: string, kind: "log" | "table"): Promise<string> {
  await recordImages(root);
  if (kind === "table") await readBack(join(root, "data"));
  const files = filesIn(join(root, "data"), kind === "log" ? /^log\/.*\.log$/ : /^log\/.*\.ldb$/);
  assert.ok(files.length > 0, `no ${kind} in ${root}`);
  return join(root, "data");
}

/** Applies each damage to a fresh copy of `image` and counts how it was answered. */
async function sweep(
  image: string,
  scratch: string,
  damages: Iterable<readonly [what: string, damage: (directory: string) => void]>,
  acked: State = END,
): Promise<Record<Outcome, number>> {
  const counts = { whole: 0, recovering: 0, refused: 0 };
  let done = 0;
  for (const [what, damage] of damages) {
    restoreImage(image, scratch);
    damage(scratch);
    counts[await honestOutcome(scratch, acked, what, done++ % 8 === 0)]++;
  }
  return counts;
}

/**
 * Every byte of a file of some 4,000 bytes takes half a minute, so a run takes every 11th, and with
 * POINTSMAN_EXHAUSTIVE=1 all.
 */
const STRIDE = process.env["POINTSMAN_EXHAUSTIVE"] === "1" ? 1 : 11;

/** One flipped bit in every `stride`-th byte of the files that match; which bit changes from byte to byte. */
function* flips(
  image: string,
  pattern: RegExp,
  stride = STRIDE,
): Generator<readonly [string, (directory: string) => void]> {
  for (const file of filesIn(image, pattern)) {
    const { length } = readFileSync(join(image, file));
    for (let byte = 0; byte < length; byte += stride) {
      const bit = (byte * 5 + 3) % 8;
      yield [
        `bit ${bit} of byte ${byte} in ${file}`,
        (directory) => flipBit(join(directory, file), byte, bit),
      ];
    }
  }
}

/** The files that match, cut at every `stride`-th length. */
function* cuts(image: string, pattern: RegExp): Generator<readonly [string, (directory: string) => void]> {
  for (const file of filesIn(image, pattern)) {
    const { length } = readFileSync(join(image, file));
    for (let size = length - 1; size >= 0; size -= size > length - 8 ? 1 : STRIDE) {
      yield [`${file} cut to ${size} of ${length}`, (directory) => truncateSync(join(directory, file), size)];
    }
  }
}

/** Each of the files that match, gone. */
function* losses(image: string, pattern: RegExp): Generator<readonly [string, (directory: string) => void]> {
  for (const file of filesIn(image, pattern)) {
    yield [`${file} gone`, (directory) => rmSync(join(directory, file))];
    yield [`${file} emptied`, (directory) => truncateSync(join(directory, file), 0)];
    yield [`${file} zeroed`, (directory) => zero(join(directory, file))];
  }
}

function rmAll(directory: string, files: readonly string[]): void {
  for (const file of files) rmSync(join(directory, file));
}

function zero(file: string): void {
  writeFileSync(file, new Uint8Array(readFileSync(file).length));
}

function note(t: TestContext, counts: Record<Outcome, number>): void {
  t.diagnostic(`${counts.whole} whole, ${counts.recovering} recovering, ${counts.refused} refused`);
}

test("a flipped bit anywhere in LevelDB's log is never taken for a shorter history", async (t) => {
  const root = privateDirectory(t, "fast");
  const image = await closedImage(root, "log");
  const counts = await sweep(image, join(root, "scratch"), flips(image, /^log\/.*\.log$/));
  note(t, counts);
  assert.ok(counts.recovering > 300 && counts.refused === 0, JSON.stringify(counts));
});

test("a cut tail of LevelDB's log is never taken for a shorter history", async (t) => {
  const root = privateDirectory(t, "fast");
  const image = await closedImage(root, "log");
  const counts = await sweep(image, join(root, "scratch"), cuts(image, /^log\/.*\.log$/));
  note(t, counts);
  assert.ok(counts.recovering > 300 && counts.refused === 0 && counts.whole === 0, JSON.stringify(counts));
});

test("a flipped bit in a table never hands out a wrong value", async (t) => {
  const root = privateDirectory(t, "fast");
  const image = await closedImage(root, "table");
  const counts = await sweep(image, join(root, "scratch"), flips(image, /^log\/.*\.ldb$/));
  note(t, counts);
  assert.ok(counts.recovering > 100 && counts.refused === 0, JSON.stringify(counts));
});

test("any file of LevelDB gone, emptied, zeroed or with a flipped bit is noticed", async (t) => {
  for (const kind of ["log", "table"] as const) {
    const root = privateDirectory(t, "fast");
    const image = await closedImage(root, kind);
    const all = /^log\//;
    note(t, await sweep(image, join(root, "scratch"), losses(image, all)));
    note(t, await sweep(image, join(root, "scratch"), flips(image, /^log\/(MANIFEST|CURRENT)/, 3)));
    const gone = await sweep(image, join(root, "scratch"), [
      ["log/ gone", (directory) => rmSync(join(directory, "log"), { recursive: true })],
      ["log/ empty", (directory) => rmAll(directory, filesIn(directory, all))],
    ]);
    assert.equal(gone.recovering, 2);
  }
});

test("damage to one slot of the mirror loses nothing and is repaired with a notice", async (t) => {
  const root = privateDirectory(t, "fast");
  const images = await recordImages(root);
  // Unclosed images: the slots differ. Both parities, so that the newest mark is once in slot a and once in
  // slot b.
  for (const writes of [HISTORY.length, HISTORY.length - 1]) {
    const image = imageAt(images, writes);
    const slots = /^mirror\.[ab]$/;
    const damages = [...losses(image, slots), ...cuts(image, slots), ...flips(image, slots, 5)];
    const counts = await sweep(image, join(root, "scratch"), damages, stateAfter(writes));
    note(t, counts);
    assert.equal(counts.whole, damages.length);
  }
  restoreImage(imageAt(images, 4), join(root, "scratch"));
  rmSync(join(root, "scratch", "mirror.a"));
  assert.match((await readBack(join(root, "scratch"))).notices.join(), /slot a .* written anew/);
  assert.deepEqual((await readBack(join(root, "scratch"))).notices, []);
});

test("with both slots lost, or one slot and a part of the log, the directory is refused", async (t) => {
  const root = privateDirectory(t, "fast");
  const image = await closedImage(root, "log");
  const [log] = filesIn(image, /^log\/.*\.log$/);
  assert.ok(log !== undefined);
  const counts = await sweep(image, join(root, "scratch"), [
    ["both slots gone", (directory) => rmAll(directory, ["mirror.a", "mirror.b"])],
    ["both slots zeroed", (directory) => ["a", "b"].map((slot) => zero(join(directory, `mirror.${slot}`)))],
    ...["a", "b"].flatMap((slot) =>
      [100, 1500, 3000].map((byte): readonly [string, (directory: string) => void] => [
        `slot ${slot} gone and byte ${byte} of ${log} flipped`,
        (directory) => {
          rmSync(join(directory, `mirror.${slot}`));
          flipBit(join(directory, log), byte, 0);
        },
      ]),
    ),
    [
      "a slot and the log gone",
      (directory) => {
        rmSync(join(directory, "mirror.b"));
        rmSync(join(directory, "log"), { recursive: true });
      },
    ],
  ]);
  assert.deepEqual(counts, { whole: 0, recovering: 0, refused: 9 });
});

test("a damaged or lost identity file never makes a used directory a new one", async (t) => {
  const root = privateDirectory(t, "fast");
  const image = await closedImage(root, "log");
  const damages = [...flips(image, /^identity\.json$/, 1), ...losses(image, /^identity\.json$/)];
  const rest: typeof damages = [
    [
      "identity and mirror gone",
      (directory) => {
        for (const file of ["identity.json", "mirror.a", "mirror.b"]) rmSync(join(directory, file));
      },
    ],
    [
      "identity and log gone",
      (directory) => {
        rmSync(join(directory, "identity.json"));
        rmSync(join(directory, "log"), { recursive: true });
      },
    ],
  ];
  const counts = await sweep(image, join(root, "scratch"), [...damages, ...rest]);
  assert.deepEqual(counts, { whole: 0, recovering: 0, refused: damages.length + rest.length });
});

test("damage to the lock directory costs nothing", async (t) => {
  const root = privateDirectory(t, "fast");
  const image = await closedImage(root, "log");
  const damages = [...losses(image, /^lock\//), ...flips(image, /^lock\/(MANIFEST|CURRENT)/, 7)];
  const counts = await sweep(image, join(root, "scratch"), damages);
  assert.equal(counts.whole, damages.length);
});

test("every mix of a log and a mirror of different times: one write apart is a crash, all else is loss", async (t) => {
  const root = privateDirectory(t, "fast");
  const images = await recordImages(root);
  const scratch = join(root, "scratch");
  for (const [log, logImage] of images.entries()) {
    for (const [mirror, mirrorImage] of images.entries()) {
      restoreImage(logImage, scratch);
      for (const slot of ["mirror.a", "mirror.b"]) cpSync(join(mirrorImage, slot), join(scratch, slot));
      const what = `log after ${log} writes, mirror after ${mirror}`;
      // The newest write that can have been acknowledged is in the mirror; of a log one ahead, all must be
      // there.
      const outcome = await honestOutcome(
        scratch,
        stateAfter(log === mirror + 1 ? log : mirror),
        what,
        log % 3 === 0,
      );
      const expected =
        log === mirror || log === mirror + 1 ? "whole" : log < mirror ? "recovering" : "refused";
      assert.equal(outcome, expected, what);
      if (outcome !== "whole") continue;
      const [a, b] = ["mirror.a", "mirror.b"].map((slot) => readFileSync(join(scratch, slot)));
      assert.deepEqual(a, b, `${what}: the opening must bring both slots up to the log`);
    }
  }
});

test("a mirror write torn at any length by a crash is no loss", async (t) => {
  const root = privateDirectory(t, "fast");
  const images = await recordImages(root);
  const scratch = join(root, "scratch");
  for (const writes of [5, 6]) {
    const before = imageAt(images, writes - 1);
    const after = imageAt(images, writes);
    for (let length = 0; length <= 256; length += 16) {
      restoreImage(after, scratch);
      for (const slot of ["mirror.a", "mirror.b"]) {
        const torn = readFileSync(join(before, slot));
        torn.set(readFileSync(join(after, slot)).subarray(0, length));
        writeFileSync(join(scratch, slot), torn);
      }
      assert.equal(await honestOutcome(scratch, stateAfter(writes), `torn at ${length}`, false), "whole");
    }
  }
});

test("a same-numbered write of another history is not taken for ours", async (t) => {
  const root = privateDirectory(t, "fast");
  const images = await recordImages(root);
  const scratch = join(root, "scratch");
  const fork = join(root, "fork");
  restoreImage(imageAt(images, 4), fork);
  const { storage } = await open(fork);
  for (let write = 5; write <= 7; write++)
    await storage.append({ hardState: hardState(3, 1, 4), entries: [entry(write + 5, 3)] });
  await storage.close();
  for (const writes of [6, 7]) {
    // The fork's log is at write 7: the same number, and one ahead.
    restoreImage(fork, scratch);
    for (const slot of ["mirror.a", "mirror.b"])
      cpSync(join(imageAt(images, writes), slot), join(scratch, slot));
    const restored = await readBack(scratch);
    assert.match(restored.recovering?.reason ?? "", /different histories/);
    assert.deepEqual([restored.hardState.term, restored.hardState.vote], [3, 2]);
  }
});

test("a recovery outlives restarts and crashes, and ends when the commit covers what was acknowledged", async (t) => {
  const root = privateDirectory(t, "fast");
  const images = await recordImages(root);
  const data = join(root, "scratch");
  restoreImage(imageAt(images, HISTORY.length), data);
  // An older log under the newest mirror: entries 1 to 9 of the fourth write, of which 5 to 9 were replaced
  // since.
  rmSync(join(data, "log"), { recursive: true });
  cpSync(join(imageAt(images, 4), "log"), join(data, "log"), { recursive: true });
  const mirrorBefore = ["mirror.a", "mirror.b"].map((slot) => readFileSync(join(data, slot)));
  const first = await readBack(data);
  assert.equal(first.recovering?.ackedIndex, 10);
  assert.deepEqual(first.hardState, hardState(5, 2, 3), "newest term and vote, the commit of the older log");

  // A crash after the new log took its place, and before the mirror was written.
  for (const [i, slot] of ["mirror.a", "mirror.b"].entries())
    writeFileSync(join(data, slot), mirrorBefore[i] ?? "");
  assert.equal((await readBack(data)).recovering?.ackedIndex, 10);
  // A crash between the two renames, and one while the new log was built.
  renameSync(join(data, "log"), join(data, "log.damaged.other"));
  assert.equal((await readBack(data)).recovering?.ackedIndex, 10);
  cpSync(join(data, "log.damaged.other"), join(data, "log.new"), { recursive: true });
  assert.equal((await readBack(data)).recovering?.ackedIndex, 10);

  let { storage, restored } = await open(data);
  assert.deepEqual(restored.entries, [], "the log was lost again in between");
  const leader = [...END.entries, entry(11, 6)];
  await storage.append({ hardState: hardState(6, 0, 0), entries: leader.slice(0, 5) });
  await storage.append({ hardState: hardState(6, 0, 9), entries: leader.slice(5) });
  await storage.close();
  ({ storage, restored } = await open(data));
  assert.equal(restored.recovering?.ackedIndex, 10, "commit 9 does not cover 10");
  assert.match(restored.recovering?.reason ?? "", /from before this start/);
  await storage.append({ hardState: hardState(6, 0, 10), entries: [] });
  await storage.close();
  const last = await readBack(data);
  assert.equal(last.recovering, null);
  assert.deepEqual(last.entries, leader);
});

test("of a log damaged in the middle the verified part is kept, and nothing of it counts as committed", async (t) => {
  const root = privateDirectory(t, "fast");
  const data = join(root, "data");
  const { storage } = await open(data);
  // Several blocks of LevelDB's log: it drops the rest of the damaged one in silence and goes on with the
  // next.
  for (let i = 1; i <= 400; i++)
    await storage.append({ hardState: hardState(1, 1, i - 1), entries: [entry(i, 1)] });
  await storage.close();
  const [log] = filesIn(data, /^log\/.*\.log$/);
  assert.ok(log !== undefined);
  const at = readFileSync(join(data, log)).indexOf("command 250 of term 1");
  assert.ok(at > 0);
  flipBit(join(data, log), at, 2);
  const restored = await readBack(data);
  assert.deepEqual(restored.entries, entries(1, 249, 1));
  assert.deepEqual(restored.hardState, hardState(1, 1, 0));
  assert.equal(restored.recovering?.ackedIndex, 400);
  assert.match(restored.recovering?.reason ?? "", /entry 250 is missing/);
});

test("a table left half-written by a crash is no loss", async (t) => {
  const root = privateDirectory(t, "fast");
  const image = await closedImage(root, "table");
  const [table] = filesIn(image, /^log\/.*\.ldb$/);
  assert.ok(table !== undefined);
  const whole = readFileSync(join(image, table));
  const half = whole.subarray(0, whole.length >> 1);
  writeFileSync(join(image, "log", "000099.ldb"), half);
  assert.equal(await honestOutcome(image, END, "leftover table"), "whole");
  assert.deepEqual(filesIn(image, /000099/), []);
});

test("a log or a mirror of another disk is refused, though both are whole", async (t) => {
  const root = privateDirectory(t, "fast");
  const [ours, theirs] = [join(root, "ours"), join(root, "theirs")];
  await readBack(ours);
  await readBack(theirs);
  for (const part of ["mirror.a", "log"]) {
    restoreImage(ours, join(root, "scratch"));
    rmSync(join(root, "scratch", part), { recursive: true });
    cpSync(join(theirs, part), join(root, "scratch", part), { recursive: true });
    await assert.rejects(readBack(join(root, "scratch")), { code: "STORAGE_CORRUPT", message: /of disk/ });
  }
});
