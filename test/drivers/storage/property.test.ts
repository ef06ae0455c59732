/**
 * Any sequence of appends, overwrites, compactions, installs and restarts equals a plain twin in memory: an
 * array that forgets what was cut, and the snapshots by their place.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { logIndex } from "../../../src/core/base/ids.js";
import type { Entry, HardState } from "../../../src/core/raft/types.js";
import type { StateSnapshot } from "../../../src/core/witness/contract.js";
import type { Restored, Storage } from "../../../src/drivers/storage/storage.js";
import { entries, hardState, open, privateDirectory, snapshotAt } from "./disk.js";

type Step =
  | { readonly kind: "append"; readonly back: number; readonly count: number }
  | { readonly kind: "burst"; readonly count: number }
  | { readonly kind: "commit"; readonly share: number }
  | { readonly kind: "compact"; readonly share: number; readonly tail: number; readonly awaited: boolean }
  | { readonly kind: "install"; readonly ahead: number; readonly count: number }
  | { readonly kind: "reopen" };

const anyStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant("append" as const), back: fc.nat(4), count: fc.nat(5) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("commit" as const), share: fc.nat(100) }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("burst" as const), count: fc.integer({ min: 2, max: 8 }) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("compact" as const),
      share: fc.nat(100),
      tail: fc.nat(6),
      awaited: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("install" as const), ahead: fc.nat(9), count: fc.nat(3) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("reopen" as const) }) },
);

/** The twin, and the storage that it is compared with. */
class Pair {
  #storage: Storage;
  /** The whole log from entry 1; what an install left out is null. */
  #log: (Entry | null)[] = [];
  #state: HardState = hardState(0, 0, 0);
  #base = 0;
  #baseTerm = 0;
  /** The newest snapshot of each place, newest last. */
  #snapshots: StateSnapshot[] = [];
  #compacting: Promise<unknown> = Promise.resolve();

  constructor(storage: Storage) {
    this.#storage = storage;
  }

  async perform(step: Step, directory: string): Promise<void> {
    if (step.kind === "append") await this.#append(step.back, step.count);
    else if (step.kind === "burst") {
      const appends = Array.from({ length: step.count }, (_, i) => this.#append(i % 3, 1 + (i % 2)));
      await Promise.all(appends);
    } else if (step.kind === "commit") await this.#commit(step.share);
    else if (step.kind === "compact") await this.#compact(step.share, step.tail, step.awaited);
    else if (step.kind === "install") await this.#install(step.ahead, step.count);
    else await this.reopen(directory);
  }

  async close(): Promise<void> {
    await this.#compacting;
    await this.#storage.close();
  }

  async reopen(directory: string): Promise<void> {
    await this.close();
    const { storage, restored } = await open(directory);
    this.#storage = storage;
    this.#assertEquals(restored);
  }

  #append(back: number, count: number): Promise<void> {
    const inTerm = this.#state.term + 1;
    const from = Math.max(this.#state.commit + 1, this.#log.length + 1 - back);
    const added = entries(from, from + count - 1, inTerm);
    if (count > 0) this.#log = [...this.#log.slice(0, from - 1), ...added];
    this.#state = hardState(inTerm, inTerm % 3, this.#state.commit);
    return this.#storage.append({ hardState: this.#state, entries: added });
  }

  #commit(share: number): Promise<void> {
    const commit = Math.max(this.#state.commit, Math.floor((this.#log.length * share) / 100));
    this.#state = hardState(this.#state.term, this.#state.vote, commit);
    return this.#storage.append({ hardState: this.#state, entries: [] });
  }

  /** Of something between the base and the commit; nothing if there is nothing between them. */
  async #compact(share: number, tail: number, awaited: boolean): Promise<void> {
    const { commit } = this.#state;
    const at = this.#base + Math.ceil(((commit - this.#base) * share) / 100);
    const inTerm = this.#log[at - 1]?.term ?? this.#baseTerm;
    if (at <= this.#base) return;
    const snapshot = snapshotAt(at, inTerm);
    const keepFrom = Math.max(1, at + 1 - tail);
    this.#snapshots.push(snapshot);
    this.#setBase(Math.max(this.#base, keepFrom - 1));
    const base = this.#base;
    const compacted = this.#storage.compact(snapshot, logIndex(keepFrom)).then((reported) => {
      // An install may have come meanwhile.
      assert.ok(reported >= base, `${reported} of ${base}`);
    });
    this.#compacting = Promise.all([this.#compacting, compacted]);
    if (awaited) await this.#compacting;
  }

  #install(ahead: number, count: number): Promise<void> {
    const inTerm = this.#state.term + 1;
    const at = Math.max(this.#state.commit, this.#base) + 1 + ahead;
    const added = entries(at + 1, at + count, inTerm);
    const snapshot = snapshotAt(at, inTerm);
    this.#log = [...Array.from({ length: at }, () => null), ...added];
    this.#state = hardState(inTerm, 0, at);
    this.#snapshots.push(snapshot);
    this.#base = at;
    this.#baseTerm = inTerm;
    return this.#storage.append({ hardState: this.#state, entries: added, snapshot });
  }

  #setBase(base: number): void {
    if (base > this.#base) this.#baseTerm = this.#log[base - 1]?.term ?? 0;
    this.#base = base;
  }

  #assertEquals(restored: Restored): void {
    assert.deepEqual([restored.recovering, restored.notices], [null, []]);
    assert.deepEqual(restored.base, { index: this.#base, term: this.#baseTerm });
    assert.deepEqual(restored.entries, this.#log.slice(this.#base));
    assert.deepEqual(restored.hardState, this.#state);
    const newest = this.#snapshots.reduce<StateSnapshot | null>(
      (best, each) => (best === null || each.index >= best.index ? each : best),
      null,
    );
    assert.deepEqual(restored.snapshot, newest);
  }
}

test("any sequence of appends, overwrites, compactions, installs and restarts equals a plain twin", async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyStep, { maxLength: 25 }), async (steps) => {
      const directory = privateDirectory(t, "fast");
      const pair = new Pair((await open(directory)).storage);
      for (const step of steps) await pair.perform(step, directory);
      await pair.reopen(directory);
      await pair.close();
    }),
    { numRuns: 80 },
  );
});
