/**
 * The lead goes to a preferred witness in a calm moment, and stays with whoever has it when that one is away.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Checks } from "../../sim/checks.js";
import { World } from "../../sim/world.js";
import { witnessId } from "../../src/core/base/ids.js";
import { twoSites } from "./two-sites.js";

function begun(seed: number): World {
  const config = { ...twoSites(), leaders: [witnessId("w-c")] };
  const w = new World({ seed, config, loss: 0, delayMs: [5, 15] });
  new Checks(w);
  return w;
}

/** The witness that leads and is followed, or null. */
function leaderOf(w: World): string | null {
  return w.processes.find(({ witness }) => witness?.leaderContactAgeMs(1e15) === 0)?.id ?? null;
}

test("whoever is elected first, the preferred witness leads in the end", () => {
  const first = new Set<string | null>();
  for (let seed = 1; seed <= 8; seed++) {
    const w = begun(seed);
    assert.ok(w.runUntil(() => leaderOf(w) !== null, 10_000));
    first.add(leaderOf(w));
    assert.ok(
      w.runUntil(() => leaderOf(w) === "w-c", 40_000),
      `seed ${seed}`,
    );
    w.run(20_000);
    assert.equal(leaderOf(w), "w-c", "and it stays");
  }
  assert.ok(first.size > 1, "this shows something only if another one was elected first");
});

test("without the preferred witness another one leads, and gives the lead back when it has returned", () => {
  const w = begun(3);
  assert.ok(w.runUntil(() => leaderOf(w) === "w-c", 60_000));
  w.crash(w.process("w-c"));
  assert.ok(
    w.runUntil(() => leaderOf(w) !== null, 10_000),
    "nobody waits for it",
  );
  w.run(15_000);
  w.start(w.process("w-c"));
  assert.ok(w.runUntil(() => leaderOf(w) === "w-c", 40_000));
});
