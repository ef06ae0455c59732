/**
 * The storm: random faults, random clients, and every checker at once. `SIM_SEEDS` says how many seeds
 * (default 12), `SIM_FIRST` where they begin.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Audit } from "../../sim/audit.js";
import { Checks } from "../../sim/checks.js";
import { Clients } from "../../sim/clients.js";
import { Orders } from "../../sim/orders.js";
import { type Process, World } from "../../sim/world.js";
import { nextBelow, randomState } from "../../src/core/base/random.js";
import { twoSites } from "./two-sites.js";
import { calm, fault, SITES } from "./weather.js";

const FIRST = Number(process.env["SIM_FIRST"] ?? "1000");
const SEEDS = Number(process.env["SIM_SEEDS"] ?? "12");

test("whatever fails and whatever clients ask at once: no write is lost, doubled or misreported, no order is stale, and it ends well", () => {
  const tally: Record<string, number> = {};
  let orders = 0;
  for (let seed = FIRST; seed < FIRST + SEEDS; seed++) {
    try {
      const storm = run(seed);
      orders += storm.orders;
      for (const [key, count] of Object.entries(storm.tally)) tally[key] = (tally[key] ?? 0) + count;
    } catch (thrown) {
      const what = thrown instanceof Error ? thrown.message : String(thrown);
      throw new Error(`SIM_FIRST=${seed} SIM_SEEDS=1 repeats this: ${what}`, { cause: thrown });
    }
  }
  // The storm is worth nothing where nothing happens in it.
  for (const key of ["accepted", "unknown_outcome", "no_leader"])
    assert.ok((tally[key] ?? 0) > 0, `no write ended as ${key}: ${JSON.stringify(tally)}`);
  assert.ok(orders > 3 * SEEDS, `${orders} orders in ${SEEDS} runs`);
});

function run(seed: number): { orders: number; tally: Readonly<Record<string, number>> } {
  const w = new World({
    seed,
    config: twoSites(),
    loss: (seed % 4) * 0.1,
    delayMs: [5, 15 + 20 * (seed % 3)],
    diskMs: [0, [5, 5, 5, 80, 200][seed % 5] ?? 5],
  });
  new Checks(w);
  const orders = new Orders(w);
  const audit = new Audit(w);
  const clients = new Clients(w);
  const random = randomState(seed, "storm");
  w.run(2000);
  for (let round = 0; round < 25; round++) {
    fault(w, random);
    for (let i = nextBelow(random, 3); i > 0; i--) clients.write(random, "shop", SITES);
    w.run(nextBelow(random, nextBelow(random, 3) === 0 ? 2500 : 200));
  }
  calm(w);
  // Longer than the patience of any request.
  w.run(8000);
  const leads = w.processes.find((process) => process.witness?.leaderContactAgeMs(1e15) === 0);
  assert.ok(leads, "somebody leads");
  w.request(leads, { kind: "resume", group: "shop", by: "test" }, () => undefined);
  w.run(1000);
  w.outside.set("shop/a/web", "refused");
  assert.ok(
    w.runUntil(() => w.processes.every((process) => isAt(process, "b")), 60_000),
    `site b is primary: ${JSON.stringify(w.processes.map(shop))}`,
  );
  w.run(1000);
  audit.finish();
  clients.finish(audit.all());
  return { orders: orders.count, tally: clients.tally };
}

function shop(process: Process) {
  return process.witness?.state.groups["shop"];
}

function isAt(process: Process, site: string): boolean {
  const group = shop(process);
  const isHeld = group?.ticket.status === "held" && group.ticket.site === site;
  return isHeld && group.plan?.status === "done" && group.routed?.site === site;
}
