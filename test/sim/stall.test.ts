/**
 * A witness that was stopped says nothing wrong when it goes on.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Checks } from "../../sim/checks.js";
import { Orders } from "../../sim/orders.js";
import { type Process, World } from "../../sim/world.js";
import { siteId } from "../../src/core/base/ids.js";
import { twoSites } from "./two-sites.js";

function leader(w: World): Process {
  const found = w.processes.find((process) => process.witness?.leaderContactAgeMs(1e15) === 0);
  assert.ok(found, "somebody leads");
  return found;
}

test("a leader that stood still orders nothing on the strength of what lay in its socket", () => {
  let orders = 0;
  for (let delayMs = 0; delayMs < 500; delayMs += 7) {
    const w = new World({ seed: 20 + delayMs, config: twoSites(), loss: 0, delayMs: [5, 15] });
    new Checks(w);
    const seen = new Orders(w);
    assert.ok(
      w.runUntil(() => w.outside.name("shop") !== undefined, 20_000),
      "site a becomes primary",
    );
    w.run(3000);
    const first = leader(w);
    const to = siteId("b");
    w.request(first, { kind: "switchover", group: "shop", to, by: "test", reason: "" }, () => undefined);
    w.run(delayMs);
    // For so long that another one leads, and goes on with the plan, when this one wakes up.
    w.pause(first);
    w.run(5000);
    w.resume(first);
    w.run(5000);
    assert.equal(w.outside.name("shop")?.site, "b");
    orders += seen.count;
  }
  assert.ok(orders > 0);
});
