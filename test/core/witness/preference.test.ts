/**
 * Who shall lead among equals: away from the primary's site, or whom the document names.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { epoch, siteId, witnessId } from "../../../src/core/base/ids.js";
import type { ClusterConfig } from "../../../src/core/model/config.js";
import type { GroupState, Ticket } from "../../../src/core/model/state.js";
import { EMPTY_STATE } from "../../../src/core/model/state.js";
import { preferredLeaders } from "../../../src/core/witness/preference.js";
import { twoSites } from "../../sim/two-sites.js";

function preferred(
  status: Ticket["status"],
  site: string | null,
  config: ClusterConfig = twoSites(),
): readonly string[] {
  const ticket = { status, site: site === null ? null : siteId(site), epoch: epoch(1), grantedAtMs: 0 };
  const shop = { id: "shop", ticket } as unknown as GroupState;
  return preferredLeaders({ ...EMPTY_STATE, config, groups: { shop } });
}

test("who stands at the primary's site does not lead when another can", () => {
  assert.deepEqual(preferred("held", "a"), ["w-b", "w-c"]);
  assert.deepEqual(preferred("held", "b"), ["w-a", "w-c"]);
});

test("without a primary, or without a document, nobody is better than another", () => {
  assert.deepEqual(preferred("revoked", "a"), []);
  assert.deepEqual(preferred("none", null), []);
  assert.deepEqual(preferredLeaders(EMPTY_STATE), []);
});

test("the document's word goes before, as far as it names members", () => {
  const named = (...leaders: string[]): ClusterConfig => ({ ...twoSites(), leaders: leaders.map(witnessId) });
  assert.deepEqual(preferred("held", "a", named("w-a")), ["w-a"]);
  assert.deepEqual(preferred("held", "a", named("w-gone")), ["w-b", "w-c"]);
});
