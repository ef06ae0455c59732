/**
 * kill -9 at random instants during load with snapshots, compactions and installs: everything acknowledged is
 * there, in order, and the state is the replayed one. More rounds: `npm run storage:crash -- --rounds 200`.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { crashRounds } from "./crash-rounds.js";
import { privateDirectory } from "./disk.js";

test("what was acknowledged before kill -9 is there, through snapshots, compactions and installs", async (t) => {
  const result = await crashRounds(join(privateDirectory(t), "data"), 15, Math.random);
  t.diagnostic(JSON.stringify(result));
  assert.ok(result.installs > 0 && result.compactions > 0, JSON.stringify(result));
});
