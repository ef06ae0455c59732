/**
 * The cluster in virtual time: what must hold in every run, and that equal seeds give equal runs.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { Checks } from "../../sim/checks.js";
import { type Process, World } from "../../sim/world.js";
import { siteId } from "../../src/core/base/ids.js";
import { nextBelow, nextFraction, randomState } from "../../src/core/base/random.js";
import type { AdminResponse } from "../../src/core/model/admin.js";
import type { GroupConfig } from "../../src/core/model/config.js";
import type { GroupState } from "../../src/core/model/state.js";
import { twoSites } from "./two-sites.js";

function world(seed: number, options: { loss?: number; group?: Partial<GroupConfig> } = {}): World {
  const made = new World({
    seed,
    config: twoSites(options.group),
    loss: options.loss ?? 0,
    delayMs: [5, 15],
  });
  new Checks(made);
  return made;
}

function shop(process: Process): GroupState | undefined {
  return process.witness?.state.groups["shop"];
}

/** All running witnesses agree that `site` is primary and that nothing is under way. */
function settled(w: World, site: string): boolean {
  return w.processes.every((process) => {
    if (process.witness === null) return true;
    const group = shop(process);
    return group?.ticket.status === "held" && group.ticket.site === site && group.plan?.status === "done";
  });
}

function begun(w: World): World {
  assert.ok(
    w.runUntil(() => settled(w, "a"), 20_000),
    "site a becomes primary",
  );
  w.run(1500);
  return w;
}

function leader(w: World): Process {
  const found = w.processes.find((process) => process.witness?.leaderContactAgeMs(1e15) === 0);
  assert.ok(found, "somebody leads");
  return found;
}

test("the preferred site becomes primary, and the name says so", () => {
  const w = begun(world(1));
  assert.equal(w.outside.name("shop")?.site, "a");
});

test("a killed service of the primary moves the name to the standby, once", () => {
  const w = begun(world(2));
  w.outside.set("shop/a/api", "refused");
  const atMs = w.agenda.nowMs;
  assert.ok(
    w.runUntil(() => settled(w, "b"), 5000),
    "site b becomes primary",
  );
  assert.ok(w.agenda.nowMs - atMs < 1500, `took ${w.agenda.nowMs - atMs} ms`);
  w.run(20_000);
  assert.deepEqual(
    w.outside.changes.map(({ record }) => record.site),
    ["a", "b"],
  );
});

test("a site that falls silent is left for the other", () => {
  const w = begun(world(3));
  for (const target of ["web", "api", "db"]) w.outside.set(`shop/a/${target}`, "silent");
  assert.ok(
    w.runUntil(() => settled(w, "b"), 15_000),
    "site b becomes primary",
  );
});

test("a primary that one witness alone cannot see stays primary", () => {
  const w = begun(world(4));
  w.cut("w-b", "site a");
  w.run(60_000);
  assert.ok(settled(w, "a"));
  assert.equal(w.outside.changes.length, 1);
});

test("when every site looks down nothing moves, and the log says why", () => {
  const w = begun(world(5));
  for (const id of ["w-a", "w-b", "w-c"]) for (const site of ["a", "b"]) w.cut(id, `site ${site}`);
  w.run(60_000);
  assert.equal(w.outside.changes.length, 1);
  const history = leader(w).witness?.state.history ?? [];
  assert.ok(
    history.some((record) => record.kind === "note" && /every site/.test(record.message)),
    "noted",
  );
});

test("the leader cut off with the primary's site does not stop the failover", () => {
  const w = begun(world(6));
  for (const [from, to] of [
    ["w-a", "w-b"],
    ["w-a", "w-c"],
    ["w-b", "w-a"],
    ["w-c", "w-a"],
    ["w-b", "site a"],
    ["w-c", "site a"],
    ["w-a", "site b"],
  ]) {
    w.cut(from ?? "", to ?? "");
  }
  assert.ok(
    w.runUntil(() => shop(w.process("w-b"))?.ticket.site === "b", 20_000),
    "site b becomes primary",
  );
});

for (const step of ["precheck", "drain", "promote", "route", "verify"] as const) {
  test(`a leader that dies after ${step} began leaves a plan that the next one finishes under one epoch`, () => {
    const w = begun(world(7));
    let answer: AdminResponse | null = null;
    const first = leader(w);
    w.request(
      first,
      { kind: "switchover", group: "shop", to: siteId("b"), by: "test", reason: "" },
      (response) => {
        answer = response;
      },
    );
    const begins = (): boolean => {
      const plan = shop(first)?.plan;
      const record = plan?.steps[plan.cursor];
      return plan?.kind === "switchover" && record?.step === step && record.status === "begun";
    };
    assert.ok(w.runUntil(begins, 5000), `${step} begins: ${JSON.stringify(answer)}`);
    w.crash(first);
    assert.ok(
      w.runUntil(() => settled(w, "b"), 20_000),
      "the next leader finishes it",
    );
    assert.equal(w.outside.name("shop")?.epoch, 2);
    w.start(first);
    assert.ok(
      w.runUntil(() => settled(w, "b"), 5000),
      "the old leader catches up",
    );
    w.run(5000);
    assert.deepEqual(new Set(w.outside.changes.map(({ record }) => record.epoch)), new Set([1, 2]));
  });
}

test("a leader that is paused in mid-plan and goes on starts no second switch and writes no stale record", () => {
  const w = begun(world(8));
  const first = leader(w);
  w.outside.set("shop/a/web", "refused");
  assert.ok(
    w.runUntil(() => shop(first)?.plan?.status === "running" && shop(first)?.plan?.kind === "failover", 5000),
  );
  w.pause(first);
  w.run(10_000);
  w.resume(first);
  assert.ok(w.runUntil(() => settled(w, "b"), 10_000));
  w.run(10_000);
  assert.equal(shop(first)?.ticket.epoch, 2);
  assert.equal(w.outside.name("shop")?.site, "b");
});

test("what was seen before a power cut moves nothing after it", () => {
  const w = begun(world(12));
  w.outside.set("shop/a/web", "refused");
  const down = (process: Process): number =>
    Object.values(process.witness?.state.witnesses ?? {}).filter(
      (record) => record.observations["shop/a/web"]?.opinion === "down",
    ).length;
  assert.ok(
    w.runUntil(() => w.processes.some((process) => down(process) >= 2), 5000),
    "a majority sees it down",
  );
  for (const process of w.processes) w.crash(process);
  // What was on its way when the power went finds nobody.
  w.run(100);
  w.outside.set("shop/a/web", "up");
  for (const process of w.processes) w.start(process);
  w.run(20_000);
  assert.ok(settled(w, "a"));
  assert.equal(w.outside.changes.length, 1);
});

test("a leader whose newer document is refused says so and does not fill the log with it", () => {
  const w = begun(world(13));
  const config = twoSites();
  const other = w.process("w-c");
  w.crash(other);
  // Without the site that is primary: no document may take that away.
  const groups = config.groups.map((group) => ({ ...group, sites: group.sites.slice(1) }));
  w.start(other, { ...config, version: 2, groups });
  w.run(5000);
  w.request(leader(w), { kind: "transfer", to: other.id }, () => undefined);
  w.run(5000);
  assert.equal(leader(w), other);
  const before = other.witness?.state.appliedIndex ?? 0;
  w.run(60_000);
  assert.ok((other.witness?.state.appliedIndex ?? 0) - before < 5, "the log does not grow");
  assert.ok(
    w.trace.some((line) => line.includes("config_refused")),
    "it is said",
  );
});

test("what a witness sees reaches a leader that it cannot reach, through one that both can", () => {
  const w = begun(world(14));
  w.request(leader(w), { kind: "transfer", to: w.process("w-a").id }, () => undefined);
  assert.ok(w.runUntil(() => w.process("w-a").witness?.leaderContactAgeMs(1e15) === 0, 5000));
  // The line between the sites is cut; the tie-breaker reaches both, and the leader stands at the primary's site.
  for (const [from, to] of [
    ["w-a", "w-b"],
    ["w-b", "w-a"],
    ["w-a", "site b"],
    ["w-b", "site a"],
  ]) {
    w.cut(from ?? "", to ?? "");
  }
  w.run(10_000);
  assert.ok(settled(w, "a"), "nothing moves by the cut alone");
  w.outside.set("shop/a/api", "refused");
  assert.ok(
    w.runUntil(() => w.outside.name("shop")?.site === "b", 10_000),
    "the failover happens",
  );
});

test("a write brought to a follower is decided once, although the leader's answer is lost again and again", () => {
  const w = begun(world(9, { loss: 0.3 }));
  const follower = w.processes.find((process) => process !== leader(w));
  assert.ok(follower);
  const answers: AdminResponse[] = [];
  w.request(follower, { kind: "hold", group: "shop", by: "test", reason: "work" }, (response) =>
    answers.push(response),
  );
  assert.ok(w.runUntil(() => answers.length > 0, 20_000));
  w.run(5000);
  assert.equal(answers.length, 1);
  const holds = leader(w).witness?.state.history.filter((record) => record.kind === "hold") ?? [];
  assert.ok(holds.length <= 1, `${holds.length} holds`);
});

test("thirty per cent loss for five minutes moves nothing, and a killed service is still seen", () => {
  const w = begun(world(10));
  w.loss = 0.3;
  w.run(300_000);
  assert.equal(w.outside.changes.length, 1, "no failover under loss alone");
  w.outside.set("shop/a/db", "refused");
  assert.ok(
    w.runUntil(() => w.outside.name("shop")?.site === "b", 20_000),
    "the failover happens under loss",
  );
});

test("one seed gives one run, to the byte", () => {
  const hash = (): string => {
    const w = world(11, { loss: 0.2 });
    w.run(5000);
    w.outside.set("shop/a/web", "refused");
    w.run(5000);
    return createHash("sha256").update(w.trace.join("\n")).digest("hex");
  };
  assert.equal(hash(), hash());
});

test("random crashes, cuts, pauses and losses break no promise, and the cluster acts again once they end", () => {
  const seeds = Number(process.env["SIM_SEEDS"] ?? "40");
  for (let seed = 100; seed < 100 + seeds; seed++) {
    const w = world(seed, { loss: (seed % 4) * 0.1 });
    const random = randomState(seed, "faults");
    try {
      for (let round = 0; round < 12; round++) {
        fault(w, random);
        w.run(nextBelow(random, 2500));
      }
      w.heal();
      w.loss = 0;
      for (const process of w.processes) {
        w.resume(process);
        w.start(process);
      }
      for (const target of ["web", "api", "db"]) w.outside.set(`shop/b/${target}`, "up");
      w.outside.set("shop/a/web", "refused");
      const held = (): boolean =>
        settled(w, "b") || w.processes.some((process) => shop(process)?.mode === "hold");
      assert.ok(
        w.runUntil(held, 60_000),
        `site b is primary or a person is asked: ${JSON.stringify(w.processes.map(shop))}`,
      );
    } catch (thrown) {
      throw new Error(`seed ${seed}`, { cause: thrown });
    }
  }
});

function fault(w: World, random: ReturnType<typeof randomState>): void {
  const process = w.processes[nextBelow(random, 3)];
  if (process === undefined) return;
  const places = ["w-a", "w-b", "w-c", "site a", "site b"];
  const place = places[nextBelow(random, places.length)] ?? "";
  const target = `shop/${nextBelow(random, 2) === 0 ? "a" : "b"}/${["web", "api", "db"][nextBelow(random, 3)]}`;
  switch (nextBelow(random, 8)) {
    case 0:
      return w.crash(process);
    case 1:
      for (const other of w.processes) w.start(other);
      return;
    case 2:
      return w.pause(process);
    case 3:
      for (const other of w.processes) w.resume(other);
      return;
    case 4:
      return w.cut(process.id, place);
    case 5:
      return w.heal();
    case 6:
      return w.outside.set(target, nextFraction(random) < 0.5 ? "refused" : "silent");
    default:
      return w.outside.set(target, "up");
  }
}
