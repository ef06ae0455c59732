/**
 * Histories to damage, and the one question asked after each damage: was the opening honest?
 *
 * Honest is: all that was acknowledged is there, equal; or `recovering` with a bound that covers what was
 * acknowledged, the newest term and its vote, only entries that were really written, and a commit index that
 * is true; or a refusal with a code and a remedy.
 */
import assert from "node:assert/strict";
import { cpSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Entry, HardState } from "../../../src/core/raft/types.js";
import { StorageError } from "../../../src/drivers/storage/storage-error.js";
import { entries, entry, hardState, open, readBack } from "./disk.js";

/** A write of a history. */
export interface Write {
  readonly hardState: HardState | null;
  readonly entries: readonly Entry[];
}

/** What a disk must give back. */
export interface State {
  readonly hardState: HardState;
  readonly entries: readonly Entry[];
}

/** Votes, terms, commits, growth, and truncations after which the log is shorter than before. */
export const HISTORY: readonly Write[] = [
  { hardState: hardState(1, 1, 0), entries: entries(1, 2, 1) },
  { hardState: hardState(1, 1, 2), entries: entries(3, 4, 1) },
  { hardState: hardState(2, 3, 2), entries: [] },
  { hardState: hardState(2, 3, 3), entries: entries(5, 9, 2) },
  { hardState: hardState(3, 0, 4), entries: [entry(5, 3)] },
  { hardState: hardState(3, 2, 4), entries: [] },
  { hardState: null, entries: entries(6, 8, 3) },
  { hardState: hardState(4, 1, 6), entries: [entry(7, 4)] },
  { hardState: hardState(5, 2, 6), entries: [] },
  { hardState: hardState(5, 2, 7), entries: entries(8, 10, 5) },
];

/** The states after 0, 1, 2, ... writes of `history`. */
export function statesOf(history: readonly Write[]): readonly State[] {
  const states: State[] = [{ hardState: hardState(0, 0, 0), entries: [] }];
  for (const write of history) {
    const before = states.at(-1) ?? { hardState: hardState(0, 0, 0), entries: [] };
    const first = write.entries[0];
    const kept = first === undefined ? before.entries : before.entries.slice(0, first.index - 1);
    states.push({ hardState: write.hardState ?? before.hardState, entries: [...kept, ...write.entries] });
  }
  return states;
}

/** Every entry that any write of `history` contains, as text. */
function written(history: readonly Write[]): ReadonlySet<string> {
  return new Set(history.flatMap((write) => write.entries.map(textOf)));
}

function textOf(each: Entry): string {
  return `${each.index} ${each.term} ${each.type} ${Buffer.from(each.data).toString("hex")}`;
}

/**
 * Writes `HISTORY` into `<root>/data` and copies the directory after each write, unclosed as a crash would
 * leave it: `<root>/at-<n>` is after n writes.
 */
export async function recordImages(root: string): Promise<readonly string[]> {
  const images: string[] = [];
  const { storage } = await open(join(root, "data"));
  const copy = (): void => {
    const image = join(root, `at-${images.length}`);
    cpSync(join(root, "data"), image, { recursive: true });
    images.push(image);
  };
  copy();
  for (const write of HISTORY) {
    await storage.append(write);
    copy();
  }
  await storage.close();
  return images;
}

/** The files below `directory` whose relative path matches. */
export function filesIn(directory: string, pattern: RegExp): readonly string[] {
  return readdirSync(directory, { recursive: true, encoding: "utf8" })
    .filter((file) => pattern.test(file) && statSync(join(directory, file)).isFile())
    .sort();
}

/** Copies `image` to `scratch`, freshly. */
export function restoreImage(image: string, scratch: string): void {
  rmSync(scratch, { recursive: true, force: true });
  cpSync(image, scratch, { recursive: true });
}

/** Flips one bit of a file. */
export function flipBit(file: string, byte: number, bit: number): void {
  const bytes = readFileSync(file);
  bytes[byte] = (bytes[byte] ?? 0) ^ (1 << bit);
  writeFileSync(file, bytes);
}

export type Outcome = "whole" | "recovering" | "refused";

/**
 * Opens `directory` after `what` was done to it and checks that the answer is honest. `acked` was
 * acknowledged. With `twice`, a recovery must be remembered at the next start too.
 */
export async function honestOutcome(
  directory: string,
  acked: State,
  what: string,
  twice = true,
): Promise<Outcome> {
  let restored: Awaited<ReturnType<typeof readBack>>;
  try {
    restored = await readBack(directory);
  } catch (thrown) {
    assert.ok(thrown instanceof StorageError, `${what}: ${String(thrown)}`);
    assert.match(
      thrown.code,
      /^STORAGE_(CORRUPT|NEWER_FORMAT|OTHER_CLUSTER|OTHER_WITNESS)$/,
      `${what}: ${thrown.message}`,
    );
    assert.match(thrown.message, /;/, `${what}: no remedy in "${thrown.message}"`);
    return "refused";
  }
  const { recovering, hardState: state } = restored;
  assert.equal(restored.fresh, false, `${what}: taken for a new directory`);
  if (recovering === null) {
    assert.deepEqual(restored.entries, acked.entries, `${what}: lost or changed entries in silence`);
    assert.deepEqual(state, acked.hardState, `${what}: lost hard state in silence`);
    return "whole";
  }
  const ackedLast = acked.entries.length;
  assert.ok(
    recovering.ackedIndex >= ackedLast,
    `${what}: claims ${recovering.ackedIndex}, acknowledged ${ackedLast}`,
  );
  assert.ok(state.term >= acked.hardState.term, `${what}: term fell to ${state.term}`);
  assert.ok(recovering.term >= acked.hardState.term, `${what}: bound in term ${recovering.term}`);
  if (state.term === acked.hardState.term)
    assert.equal(state.vote, acked.hardState.vote, `${what}: vote forgotten`);
  const known = written(HISTORY);
  for (const [i, each] of restored.entries.entries()) {
    assert.ok(
      known.has(textOf(each)) && each.index === i + 1,
      `${what}: entry never written: ${textOf(each)}`,
    );
    if (each.index <= state.commit)
      assert.deepEqual(each, acked.entries[i], `${what}: wrong entry committed`);
  }
  assert.ok(state.commit <= restored.entries.length, `${what}: commit past the end`);
  assert.ok(recovering.reason.length > 10, what);
  if (!twice) return "recovering";
  const again = await readBack(directory);
  assert.deepEqual(
    again.recovering?.ackedIndex,
    recovering.ackedIndex,
    `${what}: forgot at the next start that it lost something`,
  );
  assert.deepEqual(
    [again.entries, again.hardState],
    [restored.entries, state],
    `${what}: second start differs`,
  );
  return "recovering";
}
