/**
 * The arithmetic of silence, measured on simulated lines: false alarms, and the time to notice a dead host.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { randomState } from "../../../src/core/base/random.js";
import { PathLoss, RUN_MAX } from "../../../src/core/health/silence.js";
import { bernoulli, gilbertElliott, Host, type Line } from "./lossy-path.js";

function clean(answers: number): PathLoss {
  const path = new PathLoss();
  for (let i = 0; i < answers; i++) path.learn(0);
  return path;
}

describe("arithmetic of silence", () => {
  test("how many silences a clean path takes, by what it has shown and what is promised", () => {
    // answers seen: required run at 1e-3, 1e-6, 1e-9
    const table: [number, number[]][] = [
      [0, [4, 8, 12]],
      [30, [4, 8, 11]],
      [300, [3, 7, 11]],
      [1000, [3, 7, 11]],
      [100_000, [3, 7, 11]],
    ];
    const found = table.map(([answers]) => [
      answers,
      [1e-3, 1e-6, 1e-9].map((falseAlarm) => clean(answers).requiredRun(falseAlarm)),
    ]);
    assert.deepEqual(found, table);
  });

  test("the chance falls with the run, and the required run is the first below the promise", () => {
    const path = new PathLoss();
    const line = bernoulli(randomState(1, "silence"), 0.4);
    for (let i = 0, run = 0; i < 3000; i++) {
      if (line()) run++;
      else {
        path.learn(run);
        run = 0;
      }
    }
    assert.equal(path.chance(0), 1);
    for (let n = 1; n < RUN_MAX; n++) assert.ok(path.chance(n) < path.chance(n - 1), `at ${n}`);
    const needed = path.requiredRun(1e-6);
    assert.ok(path.chance(needed) < 1e-6 && path.chance(needed - 1) >= 1e-6);
    assert.ok(Math.abs((path.loss ?? 0) - 0.4) < 0.05, `loss ${path.loss}`);
  });

  test("a floor only ever makes it take longer", () => {
    const path = clean(1000);
    assert.equal(path.requiredRun(1e-6, 0), path.requiredRun(1e-6));
    assert.ok(path.requiredRun(1e-6, 0.5) >= 20);
    assert.equal(path.requiredRun(1e-6, 0.99), RUN_MAX);
  });

  test("a path that mends is forgiven within some thousand probes", () => {
    const path = new PathLoss();
    const line = bernoulli(randomState(2, "silence"), 0.5);
    for (let i = 0, run = 0; i < 2000; i++) {
      if (line()) run++;
      else {
        path.learn(run);
        run = 0;
      }
    }
    assert.ok(path.requiredRun(1e-6) > 20);
    for (let i = 0; i < 5000; i++) path.learn(0);
    assert.ok(path.requiredRun(1e-6) <= 10, `still ${path.requiredRun(1e-6)}`);
  });

  test("one outage teaches nothing, a path that keeps blacking out is known for it", () => {
    const path = clean(1000);
    path.learnAlarm(8, 6);
    assert.equal(path.requiredRun(1e-6), 7, "after one");
    path.learnAlarm(500, 6);
    assert.equal(path.requiredRun(1e-6), 7, "a long one is a death");
    path.learnAlarm(8, 6);
    assert.ok(path.requiredRun(1e-6) > 8, "after the second short one");
  });
});

/** Lines from 1 to 80 % silence, thin and in bursts. */
const LINES: Record<string, (seed: number) => Line> = {
  "1 %": (seed) => bernoulli(randomState(seed, "line"), 0.01),
  "5 %": (seed) => bernoulli(randomState(seed, "line"), 0.05),
  "10 %": (seed) => bernoulli(randomState(seed, "line"), 0.1),
  "30 %": (seed) => bernoulli(randomState(seed, "line"), 0.3),
  "50 %": (seed) => bernoulli(randomState(seed, "line"), 0.5),
  "65 %": (seed) => bernoulli(randomState(seed, "line"), 0.65),
  "80 %": (seed) => bernoulli(randomState(seed, "line"), 0.8),
  "bursts of 3, 6 %": (seed) =>
    gilbertElliott(randomState(seed, "line"), { lossGood: 0.01, lossBad: 0.8, toBad: 0.02, toGood: 0.3 }),
  "bursts of 10, 6 %": (seed) =>
    gilbertElliott(randomState(seed, "line"), { lossGood: 0.02, lossBad: 0.9, toBad: 0.005, toGood: 0.1 }),
  "bursts of 10, 9 %": (seed) =>
    gilbertElliott(randomState(seed, "line"), { lossGood: 0, lossBad: 0.95, toBad: 0.01, toGood: 0.1 }),
  "blackouts of 5, rare": (seed) =>
    gilbertElliott(randomState(seed, "line"), { lossGood: 0.001, lossBad: 1, toBad: 0.001, toGood: 0.2 }),
  "bursts of 10, 50 %": (seed) =>
    gilbertElliott(randomState(seed, "line"), { lossGood: 0.1, lossBad: 0.9, toBad: 0.1, toGood: 0.1 }),
};

describe("a healthy target on a lossy line", () => {
  for (const targets of [1, 3])
    test(`is called dead no more often than promised, whatever the line (${targets} on the host)`, (t) => {
      // A promise of one in a thousand, so that breaking it can be seen: counted a probe, as promised.
      const falseAlarm = 1e-3;
      for (const [name, lineOf] of Object.entries(LINES)) {
        let alarms = 0;
        let probes = 0;
        for (let seed = 1; seed <= 3; seed++) {
          const host = new Host(targets, falseAlarm, 1);
          const line = lineOf(seed);
          for (let i = 0; i < 1000; i++) host.probe(line);
          for (let i = 0; i < 15_000 / targets; i++, probes += targets) alarms += host.probe(line);
        }
        t.diagnostic(`${name}: ${alarms} false alarms in ${probes} probes, promised ${falseAlarm * probes}`);
        // Three standard deviations of a count above what is promised.
        assert.ok(alarms <= falseAlarm * probes + 3 * Math.sqrt(falseAlarm * probes), `${name}: ${alarms}`);
      }
    });

  test("is not called dead because a neighbour on the same host loses less", () => {
    const falseAlarm = 1e-3;
    const host = new Host(3, falseAlarm, 1);
    const random = randomState(5, "line");
    const lines = [bernoulli(random, 0), bernoulli(random, 0.3), bernoulli(random, 0.7)];
    let alarms = 0;
    for (let i = 0; i < 20_000; i++) alarms += host.probe(...lines);
    assert.ok(alarms <= 20_000 * falseAlarm * 2, `${alarms} false alarms`);
  });

  test("gives no false alarm in five minutes of probes every 100 ms once its line is known", (t) => {
    for (const targets of [1, 3])
      for (const silent of [0.3, 0.5, 0.65]) {
        let alarms = 0;
        for (let seed = 1; seed <= 10; seed++) {
          const host = new Host(targets, 1e-6);
          const line = bernoulli(randomState(seed, "line"), silent);
          for (let i = 0; i < 200; i++) host.probe(line);
          for (let i = 0; i < 3000; i++) alarms += host.probe(line);
        }
        t.diagnostic(
          `${targets} target(s), ${silent * 100} % silent: ${alarms} false alarms in 10 times five minutes`,
        );
        assert.equal(alarms, 0);
      }
  });

  test("survives the moment at which a clean line turns bad, mostly, and better with neighbours", (t) => {
    const share: Record<string, number> = {};
    for (const targets of [1, 3]) {
      for (const silent of [0.3, 0.5, 0.65, 0.8]) {
        let hit = 0;
        const runs = 100;
        for (let seed = 1; seed <= runs; seed++) {
          const host = new Host(targets, 1e-6);
          const line = bernoulli(randomState(seed, "line"), silent);
          for (let i = 0; i < 1000 / targets; i++) host.probe(() => false);
          let alarms = 0;
          for (let i = 0; i < 3000 / targets && alarms === 0; i++) alarms += host.probe(line);
          if (alarms > 0) hit++;
        }
        share[`${targets}/${silent}`] = hit / runs;
        t.diagnostic(`${targets} target(s), clean to ${silent * 100} % silent: ${hit} of ${runs} cried wolf`);
      }
    }
    assert.ok((share["1/0.3"] ?? 1) <= 0.02);
    assert.ok((share["1/0.5"] ?? 1) <= 0.1);
    assert.ok((share["3/0.5"] ?? 1) <= 0.03);
    assert.ok((share["3/0.65"] ?? 1) <= 0.05);
    assert.ok((share["3/0.8"] ?? 1) <= 0.12);
  });
});

/** Probes until `targets` of a host that died on such a line are all down: median and worst of 20. */
function delaysOf(targets: number, silent: number): { median: number; worst: number } {
  const delays: number[] = [];
  for (let seed = 1; seed <= 20; seed++) {
    const host = new Host(targets, 1e-6);
    const line = bernoulli(randomState(seed, "line"), silent);
    for (let i = 0; i < 1500; i++) host.probe(line);
    // It has to be up when it dies.
    while (!host.isUp) host.probe(line);
    let delay = 0;
    while (host.watches.some((watch) => watch.opinion === "up") && delay < 1000) {
      host.probe(() => true);
      delay++;
    }
    delays.push(delay);
  }
  delays.sort((a, b) => a - b);
  return { median: delays[10] ?? 0, worst: delays.at(-1) ?? 0 };
}

test("a dead host is noticed fast on a clean line, and in bounded time on a bad one", (t) => {
  const bounds: [targets: number, silent: number, medianMax: number, worstMax: number][] = [
    [1, 0, 7, 7],
    [1, 0.05, 8, 11],
    [1, 0.3, 20, 30],
    [1, 0.5, 40, 60],
    [1, 0.65, 70, 120],
    [1, 0.8, 120, 120],
    [3, 0, 7, 7],
    [3, 0.3, 10, 12],
    [3, 0.5, 14, 20],
    [3, 0.65, 24, 35],
    [3, 0.8, 50, 60],
  ];
  for (const [targets, silent, medianMax, worstMax] of bounds) {
    const { median, worst } = delaysOf(targets, silent);
    t.diagnostic(
      `${targets} target(s), ${silent * 100} % silent: down after ${median} probes (median of 20), ${worst} at worst`,
    );
    assert.ok(median <= medianMax, `median ${median} at ${silent}`);
    assert.ok(worst <= worstMax, `worst ${worst} at ${silent}`);
  }
});
