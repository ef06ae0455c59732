/**
 * Proposals under way: each is known once, and forgotten when its outcome is.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { logIndex } from "../../../src/core/base/ids.js";
import { Proposals } from "../../../src/core/witness/proposals.js";

test("a wish is on its way until its index is applied, by whatever entry, or the leadership ends", () => {
  const proposals = new Proposals();
  proposals.add("group shop", logIndex(5));
  proposals.add("observe w-a", logIndex(7));
  proposals.onApplied(logIndex(4));
  assert.ok(proposals.has("group shop"), "an earlier entry frees nothing");
  proposals.onApplied(logIndex(5));
  assert.deepEqual([proposals.has("group shop"), proposals.has("observe w-a")], [false, true]);
  proposals.onApplied(logIndex(9));
  assert.equal(proposals.size, 0, "a later entry frees what was overtaken");
  proposals.add("group shop", logIndex(10));
  proposals.clear();
  assert.equal(proposals.has("group shop"), false);
});
