/**
 * What a large document costs a leader: an input that changes nothing must not make it judge every group again.
 */
import assert from "node:assert/strict";
import { performance } from "node:perf_hooks";
import { test } from "node:test";
import { World } from "../../sim/world.js";
import type { GroupConfig } from "../../src/core/model/config.js";
import { twoSites } from "./two-sites.js";

test("a probe that finds nothing new costs a leader of many groups next to nothing", () => {
  const config = twoSites();
  const groups = Array.from({ length: 12 }, (_, i): GroupConfig => {
    const [group] = config.groups;
    assert.ok(group);
    return { ...group, id: `g${i}` };
  });
  const w = new World({ seed: 3, config: { ...config, groups }, loss: 0, delayMs: [5, 15] });
  const settled = (): boolean =>
    w.processes.every(({ witness }) =>
      groups.every(({ id }) => witness?.state.groups[id]?.plan?.status === "done"),
    );
  assert.ok(w.runUntil(settled, 30_000), "every group has a primary");
  w.run(2000);
  const costMs = { tick: 0, probed: 0 };
  const count = { tick: 0, probed: 0 };
  for (const { witness } of w.processes) {
    if (witness?.leaderContactAgeMs(1e15) !== 0) continue;
    const step = witness.step.bind(witness);
    witness.step = (input) => {
      const startedAt = performance.now();
      const effects = step(input);
      if (input.kind === "tick" || input.kind === "probed") {
        costMs[input.kind] += performance.now() - startedAt;
        count[input.kind]++;
      }
      return effects;
    };
  }
  w.run(3000);
  assert.ok(count.probed > 100 && count.tick > 50, JSON.stringify(count));
  const [tick, probed] = [costMs.tick / count.tick, costMs.probed / count.probed];
  assert.ok(probed < tick / 3, `a probe costs ${probed.toFixed(3)} ms, a tick ${tick.toFixed(3)} ms`);
});
