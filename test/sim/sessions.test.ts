/**
 * Client sessions in the storm. `SIM_SEEDS` says how many seeds (default 12), `SIM_FIRST` where they begin.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Audit } from "../../sim/audit.js";
import { Checks } from "../../sim/checks.js";
import { RetryingClients } from "../../sim/retrying-clients.js";
import { World } from "../../sim/world.js";
import { nextBelow, randomState } from "../../src/core/base/random.js";
import { twoSites } from "./two-sites.js";
import { calm, fault, SITES } from "./weather.js";

const FIRST = Number(process.env["SIM_FIRST"] ?? "5000");
const SEEDS = Number(process.env["SIM_SEEDS"] ?? "12");

test("a write that is asked again and again through crashes and cuts is applied once, and told the same each time", () => {
  const tally = { accepted: 0, refused: 0, retried: 0 };
  for (let seed = FIRST; seed < FIRST + SEEDS; seed++) {
    try {
      const { accepted, refused, retried } = run(seed);
      tally.accepted += accepted;
      tally.refused += refused;
      tally.retried += retried;
    } catch (thrown) {
      const what = thrown instanceof Error ? thrown.message : String(thrown);
      throw new Error(`SIM_FIRST=${seed} SIM_SEEDS=1 repeats this: ${what}`, { cause: thrown });
    }
  }
  for (const [what, count] of Object.entries(tally)) assert.ok(count > SEEDS, `${what}: ${count}`);
});

function run(seed: number): RetryingClients["tally"] {
  const w = new World({
    seed,
    config: twoSites(),
    loss: (seed % 4) * 0.1,
    delayMs: [5, 15 + 20 * (seed % 3)],
    diskMs: [0, [5, 5, 80, 200][seed % 4] ?? 5],
  });
  new Checks(w);
  const audit = new Audit(w);
  const random = randomState(seed, "sessions");
  const clients = new RetryingClients(w, random);
  w.run(3000);
  for (let round = 0; round < 25; round++) {
    fault(w, random);
    for (let i = nextBelow(random, 4); i > 0; i--) clients.write("shop", SITES);
    w.run(nextBelow(random, nextBelow(random, 3) === 0 ? 2500 : 200));
  }
  calm(w);
  // Longer than any client waits and pauses, so that all are told in the end.
  w.run(20_000);
  const [first, ...others] = w.processes.map(({ witness }) => witness?.state);
  assert.ok(first !== undefined);
  for (const state of others) assert.deepEqual(state?.sessions, first.sessions);
  audit.finish();
  clients.finish(audit.all(), first);
  return clients.tally;
}
