/**
 * Disks that stand still while their processes live: a leader hands over, a follower keeps silent, and nothing that was
 * taken is lost when the disks go on.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { Audit } from "../../sim/audit.js";
import { Checks } from "../../sim/checks.js";
import { Orders } from "../../sim/orders.js";
import { type Process, World } from "../../sim/world.js";
import { siteId } from "../../src/core/base/ids.js";
import type { AdminResponse, StatusReport } from "../../src/core/model/admin.js";
import type { Message } from "../../src/core/raft/types.js";
import { twoSites } from "./two-sites.js";

const CONFIG = twoSites();
const ELECTION_MS = CONFIG.timings.electionMinMs;

interface Scene {
  readonly w: World;
  readonly orders: Orders;
  readonly audit: Audit;
}

/** A cluster whose group has its first primary, under every checker. */
function scene(seed: number): Scene {
  const w = new World({ seed, config: CONFIG, loss: 0, delayMs: [5, 15] });
  new Checks(w);
  const orders = new Orders(w);
  const audit = new Audit(w);
  assert.ok(
    w.runUntil(() => isAt(w, "a"), 20_000),
    "site a becomes primary",
  );
  w.run(3000);
  return { w, orders, audit };
}

/** All witnesses agree that `site` is primary, that the name says so, and that nothing is under way. */
function isAt(w: World, site: string): boolean {
  return w.processes.every(({ witness }) => {
    const group = witness?.state.groups["shop"];
    const isHeld = group?.ticket.status === "held" && group.ticket.site === site;
    return isHeld && group.plan?.status === "done" && group.routed?.site === site;
  });
}

function leads(process: Process): boolean {
  return process.witness?.leaderContactAgeMs(1e15) === 0;
}

function leader(w: World): Process {
  const found = w.processes.find(leads);
  assert.ok(found, "somebody leads");
  return found;
}

function statusOf(w: World, process: Process): StatusReport {
  let answer: AdminResponse | undefined;
  w.request(process, { kind: "status", linearizable: false }, (given) => {
    answer = given;
  });
  assert.ok(answer?.kind === "status");
  return answer.status;
}

/** The codes of what a witness warned of from now on. */
function warnings(w: World, process: Process): string[] {
  const codes: string[] = [];
  const { onEffect } = w;
  w.onEffect = (from, effect) => {
    onEffect(from, effect);
    if (from === process && effect.kind === "publish" && effect.event.kind === "warning")
      codes.push(effect.event.code);
  };
  return codes;
}

/** Every Raft message that a witness sends without waiting for its disk, from now on. */
function sentAtOnce(w: World, process: Process): Message[] {
  const messages: Message[] = [];
  const { onEffect } = w;
  w.onEffect = (from, effect) => {
    onEffect(from, effect);
    if (from === process && effect.kind === "send" && effect.message.kind === "raft")
      messages.push(effect.message.message);
  };
  return messages;
}

/** When a witness next hands out a write, in virtual time; filled in when it does. */
function nextWrite(w: World, process: Process): { atMs: number | null } {
  const seen: { atMs: number | null } = { atMs: null };
  const { onEffect } = w;
  w.onEffect = (from, effect) => {
    onEffect(from, effect);
    if (from === process && effect.kind === "persist") seen.atMs ??= w.agenda.nowMs;
  };
  return seen;
}

/** Nothing is stalled any more: a leader, one state, and every checker is content. */
function endsWell({ w, audit }: Scene): void {
  w.run(8000);
  // The lead may be on its way to a preferred witness just then: nobody has it, or an entry is applied here only.
  assert.ok(
    w.runUntil(() => w.processes.some(leads), 3000),
    "somebody leads",
  );
  const states = (): string[] => w.processes.map(({ witness }) => JSON.stringify(witness?.state));
  w.runUntil(() => new Set(states()).size === 1, 3000);
  const [first, ...others] = states();
  for (const state of others) assert.equal(state, first);
  audit.finish();
}

test("a leader whose disk stands still hands over within two election timeouts, and its plan is finished by the next", () => {
  let tookMsMax = 0;
  for (let delayMs = 0; delayMs < 400; delayMs += 29) {
    const scenery = scene(100 + delayMs);
    const { w } = scenery;
    const first = leader(w);
    const { term } = statusOf(w, first).raft;
    const to = siteId("b");
    const ask = { kind: "switchover", group: "shop", to, by: "test", reason: "" } as const;
    let answer: AdminResponse | undefined;
    w.request(first, ask, (given) => {
      answer = given;
    });
    w.run(delayMs);
    const codes = warnings(w, first);
    const write = nextWrite(w, first);
    w.stallDisk(first);
    w.request(first, { kind: "hold", group: "shop", by: "test", reason: "a write" }, () => undefined);
    assert.ok(
      w.runUntil(() => w.processes.some((process) => process !== first && leads(process)), 10 * ELECTION_MS),
      `stalled after ${delayMs} ms: nobody else leads`,
    );
    const tookMs = w.agenda.nowMs - (write.atMs ?? Number.NaN);
    assert.ok(tookMs <= 2 * ELECTION_MS, `stalled after ${delayMs} ms: another one leads after ${tookMs} ms`);
    tookMsMax = Math.max(tookMsMax, tookMs);
    w.run(3000);
    assert.ok(codes.includes("disk_stalled"), codes.join());
    assert.ok(!leads(first));
    assert.ok(
      w.processes.every(
        (process) => process === first || process.witness?.state.groups["shop"]?.plan?.status === "done",
      ),
      "the plan is finished while the disk still stands still",
    );
    const raft = statusOf(w, first).raft;
    const now = statusOf(w, leader(w)).raft;
    assert.ok(now.term > term && now.commit > raft.applied, "the group goes on without it");
    w.unstallDisk(first);
    endsWell(scenery);
    // Stalled before the switchover was on its disk, the first leader cannot say what became of it.
    const told = answer?.kind === "refused" ? answer.code : answer?.kind;
    assert.ok(told === "accepted" || (delayMs < 10 && told === "unknown_outcome"), `${delayMs} ms: ${told}`);
    assert.ok(isAt(w, "b"));
    assert.ok(scenery.orders.count > 0);
  }
  assert.ok(tookMsMax > ELECTION_MS, "sooner than a stall can be known");
});

test("a follower whose disk stands still acknowledges nothing, and its vote is missing when the leader is lost", () => {
  for (let seed = 1; seed <= 6; seed++) {
    const scenery = scene(seed);
    const { w } = scenery;
    const first = leader(w);
    const [stalled, other] = w.processes.filter((process) => process !== first);
    assert.ok(stalled !== undefined && other !== undefined);
    const sent = sentAtOnce(w, stalled);
    const durable = statusOf(w, stalled).raft.lastIndex;
    const { term } = statusOf(w, first).raft;
    w.stallDisk(stalled);
    const accepted: string[] = [];
    for (const reason of ["one", "two"]) {
      w.request(first, { kind: "hold", group: "shop", by: "test", reason }, ({ kind }) =>
        accepted.push(kind),
      );
      w.run(5 * ELECTION_MS);
    }
    assert.deepEqual(accepted, ["accepted", "accepted"], "the two others are a majority");
    assert.equal(statusOf(w, leader(w)).raft.term, term, "no new election");
    w.crash(first);
    w.run(20 * ELECTION_MS);
    assert.ok(!w.processes.some(leads), `seed ${seed}: elected by a vote that is on no disk`);
    const promised = sent.filter(
      ({ type, reject, index }) =>
        (type === "MsgVoteResp" && !reject) || (type === "MsgAppResp" && !reject && index > durable),
    );
    assert.deepEqual(promised, [], `seed ${seed}`);
    assert.ok(
      sent.some(({ type }) => type === "MsgHeartbeatResp"),
      "it lives, and says so",
    );
    w.unstallDisk(stalled);
    assert.ok(
      w.runUntil(() => w.processes.some(leads), 20 * ELECTION_MS),
      "with its disk back it counts",
    );
    w.start(first);
    endsWell(scenery);
  }
});

test("all disks stand still at once and come back: nothing is decided meanwhile, and nothing is lost", () => {
  for (let seed = 1; seed <= 10; seed++) {
    const scenery = scene(300 + seed);
    const { w } = scenery;
    const before = Math.max(...w.processes.map((process) => statusOf(w, process).raft.commit));
    for (const process of w.processes) w.stallDisk(process);
    let answer: AdminResponse | undefined;
    const hold = { kind: "hold", group: "shop", by: "test", reason: "in the dark" } as const;
    w.request(leader(w), hold, (given) => {
      answer = given;
    });
    w.run((seed % 10) * ELECTION_MS);
    for (const process of w.processes) assert.ok(statusOf(w, process).raft.commit <= before);
    assert.equal(answer?.kind === "accepted", false);
    for (const process of w.processes) {
      w.unstallDisk(process);
      w.run(seed * 7);
    }
    assert.ok(
      w.runUntil(() => w.processes.some(leads), 20 * ELECTION_MS),
      `seed ${seed}: nobody leads`,
    );
    endsWell(scenery);
    assert.ok(answer !== undefined, "the client is told something");
    const isHeld = w.processes.every(({ witness }) => witness?.state.groups["shop"]?.mode === "hold");
    if (answer.kind === "accepted") assert.ok(isHeld, "accepted and lost");
  }
});

test("a stall that is shorter than an election timeout changes nothing but the time that writes take", () => {
  for (let seed = 1; seed <= 6; seed++) {
    const scenery = scene(500 + seed);
    const { w } = scenery;
    const first = leader(w);
    const { term } = statusOf(w, first).raft;
    const codes = w.processes.map((process) => warnings(w, process));
    for (let round = 0; round < 5; round++) {
      for (const process of w.processes) {
        const answers: string[] = [];
        const hold = { kind: "hold", group: "shop", by: "test", reason: `${round}` } as const;
        w.stallDisk(process);
        w.request(first, hold, ({ kind }) => answers.push(kind));
        w.run(0.75 * ELECTION_MS);
        w.unstallDisk(process);
        w.run(100);
        assert.deepEqual(answers, ["accepted"]);
      }
    }
    assert.deepEqual(codes.flat(), []);
    const { raft } = statusOf(w, first);
    assert.deepEqual([raft.role, raft.term], ["leader", term], `seed ${seed}`);
    endsWell(scenery);
  }
});

test("equal seeds with stalled disks give equal runs", () => {
  const digest = (): string => {
    const { w } = scene(7);
    w.stallDisk(leader(w));
    w.request(leader(w), { kind: "hold", group: "shop", by: "test", reason: "" }, () => undefined);
    w.run(5 * ELECTION_MS);
    for (const process of w.processes) if (process.stuck !== null) w.unstallDisk(process);
    w.run(5000);
    return createHash("sha256").update(w.trace.join("\n")).digest("hex");
  };
  assert.equal(digest(), digest());
});
