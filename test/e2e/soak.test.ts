/** A short soak in every run of the tests; the long one is `npm run soak -- --rounds 50`. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { soak } from "./soak-run.js";

test("kill -9 of the witnesses at random moments loses no acknowledged decision, five rounds", {
  timeout: 900_000,
}, async (t) => {
  const seed = 1 + Math.floor(Math.random() * 2 ** 31);
  t.diagnostic(`seed ${seed}`);
  const result = await soak({ rounds: 5, seed, onRound: () => undefined });
  assert.deepEqual(result.violations, []);
  assert.ok(result.acknowledged > 0, "nothing was acknowledged: the soak tested nothing");
  t.diagnostic(JSON.stringify(result));
});
