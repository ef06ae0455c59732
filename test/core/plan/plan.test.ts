/**
 * Plans: the next action in every situation that a leader can find, and how each failure ends.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { epoch, type SiteId } from "../../../src/core/base/ids.js";
import type { ClusterConfig, GroupConfig } from "../../../src/core/model/config.js";
import type { Opinion, SiteVerdict } from "../../../src/core/model/observation.js";
import type { PlanKind, StepKey, StepName, StepOutcome } from "../../../src/core/model/state.js";
import {
  judgeOutcome,
  nextAction,
  type PlanAction,
  type PlanInput,
  planSteps,
} from "../../../src/core/plan/plan.js";
import {
  A,
  B,
  C,
  config,
  DONE,
  decideCommand,
  FAILED,
  group,
  LEADER,
  type Log,
  started,
  W,
  withPrimary,
} from "../model/fixture.js";

const PRECHECKED: readonly StepName[] = [
  "precheck",
  "drain",
  "fence",
  "promote",
  "route",
  "verify",
  "announce",
];
const bare: Partial<GroupConfig> = {
  fence: { kind: "none" },
  drain: null,
  promote: null,
  route: [],
  announce: [],
};

test("a plan has the steps that are configured and make sense for its kind", () => {
  const steps = (kind: PlanKind, from: SiteId | null, change: Partial<GroupConfig> = {}) =>
    planSteps(group(change), kind, from).join(" ");
  assert.equal(steps("initial", null), "precheck promote route verify announce");
  assert.equal(steps("failover", A), "precheck fence promote route verify announce");
  assert.equal(steps("switchover", A), PRECHECKED.join(" "));
  assert.equal(steps("failback", B), PRECHECKED.join(" "));
  assert.equal(steps("rollback", B), "precheck fence promote route verify announce");
  assert.equal(
    steps("rollback", null),
    "precheck promote route verify announce",
    "nobody is fenced in his own favour",
  );
  assert.equal(steps("switchover", null), "precheck promote route verify announce");
  assert.equal(steps("switchover", A, bare), "precheck");
  assert.equal(
    steps("switchover", A, { ...bare, verify: { servers: [], resolvers: ["192.0.2.1:53"], timeoutMs: 1 } }),
    "precheck verify",
  );
});

function verdicts(opinion: Opinion): SiteVerdict[] {
  return [A, B, C].map((site) => ({
    site,
    verdict: opinion,
    sinceMs: opinion === "unknown" ? null : 0,
    targets: [],
  }));
}

function ask(log: Log, change: Partial<PlanInput> = {}): PlanAction {
  const document: ClusterConfig = log.state.config ?? config();
  return nextAction({
    config: document,
    group: document.groups[0] ?? group(),
    state: log.group,
    verdicts: verdicts("up"),
    nowMs: log.nowMs,
    me: LEADER,
    mine: () => true,
    takeoverMs: 2_000,
    leaderSinceMs: 0,
    ...change,
  });
}

const key = (step: StepName, attempt: number, at = 2): StepKey => ({
  group: "shop",
  epoch: epoch(at),
  step,
  attempt,
});

/** A plan of that kind from a to b that stands before `until`, everything before it done. */
function planAt(kind: PlanKind, until: StepName, change: Partial<GroupConfig> = {}): Log {
  const document = config([group(change)]);
  const log = kind === "initial" ? started(document) : withPrimary(document);
  const at = epoch(log.group.lastEpoch + 1);
  const from = kind === "initial" ? null : A;
  if (kind === "rollback") {
    log.must(decideCommand({ epoch: at, plan: "switchover", from: A, to: B, steps: ["precheck"] }));
    log.must({ kind: "close", group: "shop", epoch: at, status: "rolled_back", reason: "r", hold: null });
    log.must(decideCommand({ epoch: epoch(at + 1), plan: kind, from: null, to: A, steps: PRECHECKED }));
  } else {
    log.must(decideCommand({ epoch: at, plan: kind, from, to: B, steps: PRECHECKED }));
  }
  const { epoch: running, to } = log.plan;
  for (const step of PRECHECKED.slice(0, PRECHECKED.indexOf(until))) {
    if (step === "promote") log.must({ kind: "grant", group: "shop", epoch: running, site: to });
    log.must({ kind: "begin", key: key(step, 1, running), leader: LEADER });
    log.must({ kind: "finish", key: key(step, 1, running), outcome: DONE, next: true });
  }
  if (until !== "precheck" && until !== "drain" && until !== "fence" && log.group.ticket.status !== "held") {
    log.must({ kind: "grant", group: "shop", epoch: running, site: to });
  }
  return log;
}

/** Runs attempt after attempt of the step at the cursor into `outcome`, and returns what the leader does in the end. */
function fail(log: Log, outcome: StepOutcome): PlanAction {
  for (let i = 0; i < 20; i++) {
    const action = ask(log, { nowMs: log.nowMs + 1e6 });
    if (action.kind !== "begin") return action;
    log.must({ kind: "begin", key: action.key, leader: LEADER }, 1e6);
    log.must({ kind: "finish", key: action.key, outcome, next: false });
  }
  throw new Error("no end");
}

test("a step is begun, run with its deadline, and the ticket is granted between fence and promote", () => {
  const log = planAt("switchover", "drain");
  assert.deepEqual(ask(log), { kind: "begin", key: key("drain", 1) });
  log.must({ kind: "begin", key: key("drain", 1), leader: LEADER });
  assert.deepEqual(ask(log), { kind: "run", key: key("drain", 1), deadlineMs: 6_000 });
  log.must({ kind: "finish", key: key("drain", 1), outcome: DONE, next: true });
  log.must({ kind: "begin", key: key("fence", 1), leader: LEADER });
  log.must({ kind: "finish", key: key("fence", 1), outcome: DONE, next: true });
  assert.deepEqual(ask(log), { kind: "grant", epoch: 2, site: B });
  log.must({ kind: "grant", group: "shop", epoch: epoch(2), site: B });
  assert.deepEqual(ask(log), { kind: "begin", key: key("promote", 1) });
});

test("a plan without further steps is granted and closed as done", () => {
  const log = started(config([group(bare)]));
  assert.equal(ask(log).kind, "wait");
  log.must(decideCommand({ steps: ["precheck"] }));
  log.must({ kind: "begin", key: key("precheck", 1, 1), leader: LEADER });
  log.must({ kind: "finish", key: key("precheck", 1, 1), outcome: DONE, next: true });
  assert.equal(ask(log).kind, "grant");
  log.must({ kind: "grant", group: "shop", epoch: epoch(1), site: A });
  const action = ask(log);
  assert.equal(action.kind === "close" && action.status, "done");
});

test("precheck is judged by any leader at once: up passes, down stops, unknown is asked again", () => {
  const cases: [PlanKind, Opinion, string][] = [
    ["switchover", "up", "done ok next"],
    ["switchover", "down", "failed target_down final"],
    ["failover", "unknown", "failed target_unknown again"],
    ["rollback", "down", "done ok next"],
    ["rollback", "unknown", "done ok next"],
  ];
  for (const [kind, opinion, expected] of cases) {
    const log = planAt(kind, "precheck");
    const at = key("precheck", 1, log.plan.epoch);
    log.must({ kind: "begin", key: at, leader: W[1] });
    const action = ask(log, { verdicts: verdicts(opinion), mine: () => false, leaderSinceMs: log.nowMs });
    assert.ok(action.kind === "finish", action.kind);
    const { outcome, next } = action;
    assert.equal(
      `${outcome.kind} ${outcome.code} ${next ? "next" : outcome.retriable ? "again" : "final"}`,
      expected,
    );
    log.must({ kind: "finish", key: action.key, outcome, next });
  }
});

test("what another leader began is begun again only after this one has led for long enough", () => {
  const log = planAt("failover", "route");
  log.must({ kind: "begin", key: key("route", 1), leader: W[1] });
  const input = { mine: () => false, leaderSinceMs: 50_000, takeoverMs: 2_000 };
  const early = ask(log, { ...input, nowMs: 51_999 });
  assert.deepEqual(early.kind === "wait" && early.untilMs, 52_000);
  assert.deepEqual(ask(log, { ...input, nowMs: 52_000 }), { kind: "begin", key: key("route", 2) });
});

test("a step that loses its leader every time comes to an end too", () => {
  const log = planAt("failover", "route");
  const input = { mine: () => false, leaderSinceMs: 0, nowMs: 1e9 };
  let attempts = 0;
  let action = ask(log, input);
  for (; action.kind === "begin"; action = ask(log, input)) {
    log.must({ kind: "begin", key: action.key, leader: W[attempts++ % 3] ?? LEADER });
    assert.ok(attempts < 20);
  }
  assert.equal(attempts, 3 + 3, "the limit, and one a witness");
  assert.ok(action.kind === "finish");
  assert.deepEqual(
    [action.outcome.kind, action.outcome.code, action.outcome.retriable],
    ["unknown", "leader_lost", false],
  );
});

test("an actuator that never answers ends as unknown, not as a plan that hangs", () => {
  const log = planAt("failover", "route");
  log.must({ kind: "begin", key: key("route", 1), leader: LEADER });
  const begunAt = log.nowMs;
  // Two servers of 2 s each in turn, and 1 s of overhead.
  assert.deepEqual(ask(log, { nowMs: begunAt + 6_999 }), {
    kind: "run",
    key: key("route", 1),
    deadlineMs: 5_000,
  });
  const action = ask(log, { nowMs: begunAt + 7_000 });
  assert.ok(action.kind === "finish");
  assert.deepEqual([action.outcome.kind, action.outcome.code, action.next], ["unknown", "deadline", false]);
});

test("retries back off, doubled to the maximum, counted from the end of the attempt", () => {
  const log = planAt("failover", "route", { retry: { limit: 9, backoffMs: 100, backoffMaxMs: 300 } });
  for (const [attempt, backoffMs] of [100, 200, 300, 300].entries()) {
    log.must({ kind: "begin", key: key("route", attempt + 1), leader: LEADER }, 10_000);
    log.must(
      {
        kind: "finish",
        key: key("route", attempt + 1),
        outcome: { ...FAILED, kind: attempt % 2 ? "unknown" : "failed" },
        next: false,
      },
      500,
    );
    const ended = log.nowMs;
    const waits = ask(log, { nowMs: ended + backoffMs - 1 });
    assert.equal(waits.kind === "wait" && waits.untilMs, ended + backoffMs);
    assert.deepEqual(ask(log, { nowMs: ended + backoffMs }), {
      kind: "begin",
      key: key("route", attempt + 2),
    });
  }
});

test("how a plan ends when a step fails for good", () => {
  const foreign: StepOutcome = {
    ...FAILED,
    code: "foreign_change",
    retriable: false,
    message: "epoch record says site=z",
  };
  const stale: StepOutcome = { ...foreign, code: "stale_epoch" };
  const wait: Partial<GroupConfig> = { onFailure: "wait" };
  const cases: {
    kind: PlanKind;
    step: StepName;
    outcome?: StepOutcome;
    change?: Partial<GroupConfig>;
    ends: string;
    hold?: RegExp;
  }[] = [
    { kind: "switchover", step: "drain", ends: "rolled_back" },
    { kind: "switchover", step: "verify", ends: "rolled_back" },
    { kind: "switchover", step: "route", outcome: { ...FAILED, kind: "unknown" }, ends: "rolled_back" },
    {
      kind: "switchover",
      step: "route",
      outcome: foreign,
      ends: "failed",
      hold: /epoch record says site=z.*Nothing was written over it.*put it right, then resume/,
    },
    { kind: "switchover", step: "route", outcome: stale, ends: "failed", hold: /stale_epoch/ },
    { kind: "switchover", step: "fence", ends: "rolled_back" },
    { kind: "failback", step: "promote", ends: "rolled_back" },
    {
      kind: "rollback",
      step: "promote",
      ends: "failed",
      hold: /rollback to a \(epoch 3\) stopped.*See that a serves/,
    },
    { kind: "failover", step: "promote", ends: "failed" },
    { kind: "failover", step: "verify", ends: "failed" },
    {
      kind: "failover",
      step: "promote",
      change: wait,
      ends: "failed",
      hold: /Remove the cause, then resume/,
    },
    {
      kind: "failover",
      step: "fence",
      ends: "failed",
      hold: /a may still serve: make sure that it does not/,
    },
    {
      kind: "failover",
      step: "route",
      outcome: foreign,
      ends: "failed",
      hold: /Nothing was written over it/,
    },
    { kind: "initial", step: "promote", ends: "failed" },
    { kind: "initial", step: "promote", change: wait, ends: "failed", hold: /initial to b/ },
  ];
  for (const { kind, step, outcome = FAILED, change, ends, hold } of cases) {
    const what = `${kind} at ${step}, ${outcome.code}`;
    const log = planAt(kind, step, change);
    const action = fail(log, outcome);
    assert.ok(action.kind === "close", `${what}: ${action.kind}`);
    assert.equal(action.status, ends, what);
    if (hold === undefined) assert.equal(action.hold, null, what);
    else assert.match(action.hold ?? "", hold, what);
    const attempts = outcome.retriable ? 3 : 1;
    assert.match(action.reason, new RegExp(`^${step} (failed|unknown) after ${attempts} attempt`), what);
    log.must({
      kind: "close",
      group: "shop",
      epoch: log.plan.epoch,
      status: action.status,
      reason: action.reason,
      hold: action.hold,
    });
  }
});

test("a switchover that took the ticket from nobody holds instead of rolling back", () => {
  const log = started();
  log.must(decideCommand({ plan: "switchover", by: "ann" }));
  log.must({ kind: "begin", key: key("precheck", 1, 1), leader: LEADER });
  log.must({
    kind: "finish",
    key: key("precheck", 1, 1),
    outcome: { ...FAILED, retriable: false },
    next: false,
  });
  const closing = ask(log);
  assert.ok(closing.kind === "close");
  assert.equal(closing.status, "failed");
  assert.match(closing.hold ?? "", /there is no way back/);
});

test("only announce may fail and be passed over, and only when it will not be tried again", () => {
  const { plan } = planAt("failover", "route");
  const judge = (step: StepName, attempt: number, outcome: StepOutcome) =>
    judgeOutcome(group(), plan, key(step, attempt), outcome).next;
  const final: StepOutcome = { ...FAILED, retriable: false };
  assert.equal(judge("route", 1, DONE), true);
  assert.equal(judge("verify", 3, FAILED), false);
  assert.equal(judge("verify", 1, final), false);
  assert.equal(judge("announce", 2, FAILED), false);
  assert.equal(judge("announce", 3, FAILED), true);
  assert.equal(judge("announce", 1, final), true);
  assert.equal(judge("announce", 3, { ...FAILED, kind: "unknown" }), true);
});
