/**
 * Commands one by one: what each changes, what it refuses without a trace, and what it leaves in the audit.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { epoch, logIndex, siteId, term, witnessId } from "../../../src/core/base/ids.js";
import { apply, applyEmpty } from "../../../src/core/model/apply.js";
import { configureRefusal } from "../../../src/core/model/apply-config.js";
import type { Command, Envelope } from "../../../src/core/model/command.js";
import { EMPTY_STATE, HISTORY_MAX, type StepName } from "../../../src/core/model/state.js";
import {
  A,
  ALL_STEPS,
  B,
  C,
  config,
  DONE,
  decideCommand,
  FAILED,
  group,
  LEADER,
  type Log,
  runToEnd,
  seen,
  started,
  W,
  withPrimary,
} from "./fixture.js";

/** Expects a no-op: refused with a reason that matches, and nothing changed but the position and the time. */
function refuses(log: Log, command: Command, reason: RegExp): void {
  const before = log.state;
  const applied = log.push(command);
  assert.equal(applied.accepted, false, `${command.kind} was accepted`);
  assert.match(applied.reason, reason);
  assert.deepEqual(applied.records, []);
  assert.deepEqual(
    { ...applied.state, appliedIndex: 0, appliedTerm: 0, clusterTimeMs: 0 },
    { ...before, appliedIndex: 0, appliedTerm: 0, clusterTimeMs: 0 },
  );
}

const key = (step: StepName, attempt: number, at = 2) => ({ group: "shop", epoch: epoch(at), step, attempt });

/** Site a is primary; a switchover to b has just been decided with every step. */
function switching(): Log {
  const log = withPrimary();
  log.must(
    decideCommand({ epoch: epoch(2), plan: "switchover", from: A, to: B, steps: ALL_STEPS, by: "ann" }),
  );
  return log;
}

function step(log: Log, name: StepName, attempt = 1): void {
  const at = { ...key(name, attempt), epoch: log.plan.epoch };
  log.must({ kind: "begin", key: at, leader: LEADER });
  log.must({ kind: "finish", key: at, outcome: DONE, next: true });
}

test("cluster time never runs backwards, whatever a leader stamps", () => {
  const log = started();
  const before = log.state.clusterTimeMs;
  log.push({ kind: "stale", witness: W[0] }, -500);
  assert.equal(log.state.clusterTimeMs, before);
  log.push({ kind: "stale", witness: W[0] }, 2_000);
  assert.equal(log.state.clusterTimeMs, before + 1_500);
});

test("Raft's empty entry moves the position and nothing else", () => {
  const { state } = withPrimary();
  const after = applyEmpty(state, { index: logIndex(99), term: term(7) });
  assert.deepEqual(after, { ...state, appliedIndex: 99, appliedTerm: 7 });
});

test("a command without effect is accepted, moves position and cluster time, and tells nobody", () => {
  const { state } = withPrimary();
  const at = { index: logIndex(state.appliedIndex + 1), term: term(7) };
  const atMs = state.clusterTimeMs + 5;
  const command = { kind: "noop", data: "AP8K" } as const;
  const applied = apply(state, at, { atMs, wallMs: 1, leader: LEADER, request: "r", command });
  assert.equal(applied.accepted, true);
  assert.deepEqual(applied.records, []);
  assert.deepEqual(applied.state, {
    ...state,
    appliedIndex: at.index,
    appliedTerm: 7,
    clusterTimeMs: atMs,
  });
});

test("a malformed command is refused by the name of the wrong field", () => {
  const at = { index: logIndex(1), term: term(1) };
  const envelope = (command: unknown): Envelope =>
    ({ atMs: 1, wallMs: 1, leader: LEADER, request: null, command }) as Envelope;
  const cases: [unknown, RegExp][] = [
    [{ kind: "explode" }, /envelope\.command\.kind is none of configure, observe/],
    [{ kind: "hold", group: 7, by: "x", reason: "" }, /envelope\.command\.group is not text/],
    [
      decideCommand({ steps: ["precheck", "dance" as StepName] }),
      /envelope\.command\.steps\[1\] is not one of/,
    ],
    [
      { kind: "finish", key: key("route", 1), outcome: { ...DONE, retriable: 1 }, next: true },
      /outcome\.retriable/,
    ],
    [{ kind: "configure", config: { ...config(), groups: [{ id: "x" }] }, hash: "h" }, /groups\[0\]\.mode/],
    [
      { kind: "configure", config: config([group({ id: "__proto__" })]), hash: "h" },
      /groups\[0\]\.id is not a name/,
    ],
    [
      {
        kind: "configure",
        config: config([group({ retry: { limit: -1, backoffMs: 0, backoffMaxMs: 0 } })]),
        hash: "h",
      },
      /retry\.limit/,
    ],
    [null, /envelope\.command is not an object/],
  ];
  for (const [command, reason] of cases) {
    const applied = apply(EMPTY_STATE, at, envelope(command));
    assert.equal(applied.accepted, false);
    assert.match(applied.reason, reason);
  }
});

test("names from Object.prototype are not groups or witnesses", () => {
  const log = started();
  for (const name of ["__proto__", "constructor", "toString"]) {
    refuses(log, { kind: "hold", group: name, by: "ann", reason: "" }, /no group/);
    refuses(log, { kind: "stale", witness: witnessId(name) }, /no witness/);
    refuses(log, decideCommand({ group: name }), /no group/);
  }
});

// configure

test("a document gives each witness and group its record, in its own order", () => {
  const log = started(config([group({ id: "zebra" }), group({ id: "ape", mode: "hold" })]));
  assert.deepEqual(Object.keys(log.state.groups), ["zebra", "ape"]);
  assert.deepEqual(Object.keys(log.state.witnesses), [...W]);
  assert.equal(log.state.groups["ape"]?.mode, "hold");
  assert.equal(log.state.witnesses["w-a"]?.stale, true);
  const document = config([group({ id: "ape" }), group({ id: "new" }), group({ id: "zebra" })], {
    version: 2,
  });
  log.must({ kind: "hold", group: "zebra", by: "ann", reason: "kept" });
  log.must({ kind: "configure", config: document, hash: "h2" });
  assert.deepEqual(Object.keys(log.state.groups), ["ape", "new", "zebra"]);
  assert.equal(log.state.groups["zebra"]?.holdReason, "ann: kept");
  assert.equal(log.state.groups["ape"]?.mode, "hold", "the mode is the group's own after its start");
  assert.equal(log.state.configHash, "h2");
});

test("a document that would strand something is refused with the remedy", () => {
  const log = withPrimary();
  const next = (change: object, groups = [group()]) => ({ ...config(groups, { version: 2 }), ...change });
  const without = (...gone: string[]) =>
    group({ sites: group().sites.filter(({ site }) => !gone.includes(site)) });
  const configure = (document: ReturnType<typeof next>): Command => ({
    kind: "configure",
    config: document,
    hash: "h",
  });
  refuses(log, configure(next({ version: 1 })), /version 1 is not above 1/);
  refuses(log, configure(next({ cluster: "other" })), /of cluster other, not test/);
  refuses(
    log,
    configure(next({ witnesses: config().witnesses.slice(1) })),
    /leaves out witness w-a, which votes/,
  );
  refuses(log, configure(next({}, [group(), group()])), /shop stands twice/);
  refuses(log, configure(next({}, [without("a")])), /site a has the ticket of shop: switch over/);
  log.must(decideCommand({ epoch: epoch(2), plan: "failover", from: A, to: B }));
  refuses(log, configure(next({}, [without("b")])), /site b of shop is in a plan under way/);
  refuses(log, configure(next({}, [])), /has a plan under way \(epoch 2\)/);
  assert.equal(configureRefusal(log.state, next({}, [without("c")])), null);
  log.must({ kind: "close", group: "shop", epoch: epoch(2), status: "rolled_back", reason: "x", hold: null });
  refuses(log, configure(next({}, [])), /has a plan under way/);
});

test("addresses of witnesses may change, and observations of targets that went away are forgotten", () => {
  const log = started();
  log.must({
    kind: "observe",
    witness: W[0],
    abstaining: false,
    observations: [seen("shop/a/web", "up"), seen("shop/a/db", "up")],
  });
  const [first] = group().sites[0]?.targets ?? [];
  assert.ok(first);
  const sites = group().sites.map((at) => ({ ...at, targets: [first] }));
  const witnesses = config().witnesses.map((witness) => ({ ...witness, peers: ["192.0.2.1:1"] }));
  log.must({ kind: "configure", config: config([group({ sites })], { version: 2, witnesses }), hash: "h2" });
  assert.deepEqual(Object.keys(log.state.witnesses["w-a"]?.observations ?? {}), ["shop/a/web"]);
});

// observe, stale

test("an opinion keeps its since and index until it changes; its evidence is always the newest", () => {
  const log = started();
  const observe = (opinion: "up" | "down", count: number) =>
    log.must(
      {
        kind: "observe",
        witness: W[1],
        abstaining: false,
        observations: [seen("shop/a/web", opinion, { count })],
      },
      100,
    );
  observe("up", 2);
  const since = log.nowMs;
  const first = log.state.appliedIndex;
  assert.deepEqual(observe("up", 50).records, []);
  const kept = log.state.witnesses["w-b"]?.observations["shop/a/web"];
  assert.deepEqual([kept?.sinceMs, kept?.index, kept?.evidence.count], [since, first, 50]);
  const [record] = observe("down", 3).records;
  assert.equal(
    record?.message,
    "site a of shop: target web seen down by w-b (connection refused by 10.1.0.10:80)",
  );
  assert.equal(record?.kind, "observation");
  assert.equal(log.state.witnesses["w-b"]?.observations["shop/a/web"]?.sinceMs, log.nowMs);
});

test("unknown targets and witnesses are dropped, and equal views have equal encodings", () => {
  const log = started();
  refuses(
    log,
    { kind: "observe", witness: witnessId("w-x"), abstaining: false, observations: [] },
    /no witness w-x/,
  );
  const observations = [seen("shop/c/db", "up"), seen("shop/zzz/web", "down"), seen("shop/a/web", "unknown")];
  log.must({ kind: "observe", witness: W[0], abstaining: false, observations });
  log.must({ kind: "observe", witness: W[1], abstaining: false, observations: [...observations].reverse() });
  const keys = W.slice(0, 2).map((id) => Object.keys(log.state.witnesses[id]?.observations ?? {}));
  assert.deepEqual(keys, [
    ["shop/a/web", "shop/c/db"],
    ["shop/a/web", "shop/c/db"],
  ]);
});

test("a witness that falls silent, abstains or is heard again is told once, with its own since", () => {
  const log = started();
  const observe = (abstaining: boolean): Command => ({
    kind: "observe",
    witness: W[0],
    abstaining,
    observations: [],
  });
  const messages = (command: Command) => log.must(command, 10).records.map(({ message }) => message);
  assert.deepEqual(messages(observe(false)), ["witness w-a is heard again"]);
  const since = log.nowMs;
  assert.deepEqual(messages(observe(false)), []);
  assert.equal(log.state.witnesses["w-a"]?.sinceMs, since);
  assert.match(messages(observe(true))[0] ?? "", /abstains after a stall of its own/);
  assert.match(messages(observe(false))[0] ?? "", /judges again/);
  assert.match(messages({ kind: "stale", witness: W[0] })[0] ?? "", /not heard of/);
  assert.equal(log.state.witnesses["w-a"]?.sinceMs, log.nowMs);
  refuses(log, { kind: "stale", witness: W[0] }, /stale already/);
});

// decide

test("an automatic decision that was on its way when the hold came is a no-op; a person's and an owed rollback pass", () => {
  for (const plan of ["failover", "failback"] as const) {
    const log = withPrimary();
    log.must({ kind: "hold", group: "shop", by: "me", reason: "work" });
    refuses(log, decideCommand({ epoch: epoch(2), plan, from: A, to: B }), /shop is on hold/);
  }
  const first = started();
  first.must({ kind: "hold", group: "shop", by: "me", reason: "work" });
  refuses(first, decideCommand({ plan: "initial" }), /shop is on hold/);
  const log = withPrimary();
  log.must({ kind: "hold", group: "shop", by: "me", reason: "work" });
  log.must(decideCommand({ epoch: epoch(2), plan: "switchover", from: A, to: B }));
  log.must({ kind: "close", group: "shop", epoch: epoch(2), status: "rolled_back", reason: "r", hold: null });
  log.must(decideCommand({ epoch: epoch(3), plan: "rollback", from: null, to: A }));
});

test("a decision that no longer fits is a no-op", () => {
  const log = started();
  refuses(log, decideCommand({ epoch: epoch(2) }), /epoch 2 is not the one after 0/);
  refuses(log, decideCommand({ to: siteId("x") }), /has no site x/);
  refuses(log, decideCommand({ from: B }), /taken from nobody, not b/);
  refuses(log, decideCommand({ steps: [] }), /out of order/);
  refuses(log, decideCommand({ steps: ["route", "precheck"] }), /out of order/);
  refuses(log, decideCommand({ steps: ["route", "route"] }), /out of order/);
  refuses(log, decideCommand({ plan: "rollback" }), /no rollback of shop is owed/);
  log.must(decideCommand());
  refuses(log, decideCommand({ epoch: epoch(2) }), /a plan of shop runs \(epoch 1\)/);
});

test("a decision revokes the ticket in the same entry, and the first one leaves none", () => {
  const log = started();
  log.must(decideCommand());
  assert.deepEqual(log.group.ticket, { status: "none", site: null, epoch: 0, grantedAtMs: 0 });
  runToEnd(log);
  const { grantedAtMs } = log.group.ticket;
  refuses(log, decideCommand({ epoch: epoch(2), to: B, from: C }), /taken from a, not c/);
  refuses(log, decideCommand({ epoch: epoch(2), to: B, from: null }), /taken from a, not nobody/);
  const [record] = log.must(decideCommand({ epoch: epoch(2), plan: "failover", from: A, to: B })).records;
  assert.deepEqual(log.group.ticket, { status: "revoked", site: A, epoch: 1, grantedAtMs });
  assert.equal(record?.message, "failover of shop from a to b, epoch 2, by policy: because");
  assert.deepEqual(record?.detail, ["a line"]);
  assert.equal(log.plan.index, log.state.appliedIndex);
});

test("a ticket that goes back to its last holder is taken from nobody", () => {
  const log = withPrimary();
  refuses(
    log,
    decideCommand({ epoch: epoch(2), plan: "switchover", from: A, to: A }),
    /taken from nobody, not a/,
  );
  log.must(decideCommand({ epoch: epoch(2), plan: "switchover", from: null, to: A }));
  assert.equal(log.group.ticket.status, "revoked");
  runToEnd(log);
  assert.deepEqual([log.group.ticket.site, log.group.ticket.epoch], [A, 2]);
});

// begin, finish, grant

test("only the step at the cursor begins, attempts follow one another, and what stands begun may be begun again", () => {
  const log = switching();
  refuses(log, { kind: "begin", key: key("drain", 1), leader: LEADER }, /stands at precheck, not drain/);
  refuses(log, { kind: "begin", key: key("precheck", 1, 1), leader: LEADER }, /epoch 2, not 1/);
  refuses(
    log,
    { kind: "begin", key: key("precheck", 2), leader: LEADER },
    /attempt 2 of precheck does not follow 0/,
  );
  log.must({ kind: "begin", key: key("precheck", 1), leader: LEADER });
  refuses(
    log,
    { kind: "begin", key: key("precheck", 1), leader: W[1] },
    /attempt 1 of precheck does not follow 1/,
  );
  const [record] = log.must({ kind: "begin", key: key("precheck", 2), leader: W[1] }).records;
  assert.match(
    record?.message ?? "",
    /precheck begun by w-b, begun again: w-a left attempt 1 without an outcome/,
  );
  assert.deepEqual([record?.kind, record?.step, record?.epoch], ["step_begun", "precheck", 2]);
  assert.deepEqual([log.plan.steps[0]?.attempt, log.plan.steps[0]?.by], [2, W[1]]);
});

test("an outcome counts only for the attempt that runs", () => {
  const log = switching();
  const finish = (attempt: number, change: object = {}): Command => ({
    kind: "finish",
    key: key("precheck", attempt),
    outcome: DONE,
    next: true,
    ...change,
  });
  refuses(log, finish(0), /stands at attempt 0, pending/);
  log.must({ kind: "begin", key: key("precheck", 1), leader: LEADER });
  log.must({ kind: "begin", key: key("precheck", 2), leader: W[1] });
  refuses(log, finish(1), /stands at attempt 2, begun, not at attempt 1/);
  refuses(log, finish(2, { outcome: FAILED }), /precheck failed may not pass/);
  refuses(log, finish(2, { next: false }), /precheck done may not stay/);
  log.must(finish(2, { outcome: { ...FAILED, detail: "line 1\nline 2" }, next: false }));
  assert.deepEqual([log.plan.cursor, log.plan.steps[0]?.status], [0, "failed"]);
  assert.deepEqual(log.state.history.at(-1)?.detail, ["line 1", "line 2"]);
  refuses(log, finish(2), /stands at attempt 2, failed/);
  log.must({ kind: "begin", key: key("precheck", 3), leader: W[1] });
  log.must(finish(3));
  assert.equal(log.plan.cursor, 1);
  refuses(log, finish(3), /stands at drain, not precheck/);
});

test("the grant waits for the steps before it, and the steps of the new primary wait for the grant", () => {
  const log = switching();
  const grant = (change: object = {}): Command => ({
    kind: "grant",
    group: "shop",
    epoch: epoch(2),
    site: B,
    ...change,
  });
  for (const name of ["precheck", "drain", "fence"] as const) {
    refuses(log, grant(), new RegExp(`step ${name} comes before the grant`));
    step(log, name);
  }
  refuses(
    log,
    { kind: "begin", key: key("promote", 1), leader: LEADER },
    /promote before the grant of epoch 2/,
  );
  refuses(log, grant({ site: C }), /for b at epoch 2, not c/);
  refuses(log, grant({ epoch: epoch(1) }), /not b at 1/);
  log.must(grant());
  assert.deepEqual([log.group.ticket.status, log.group.ticket.site, log.group.ticket.epoch], ["held", B, 2]);
  refuses(log, grant(), /held by b/);
  step(log, "promote");
});

test("the names point at the new site when the route step is done, not before", () => {
  const log = switching();
  for (const name of ["precheck", "drain", "fence"] as const) step(log, name);
  log.must({ kind: "grant", group: "shop", epoch: epoch(2), site: B });
  step(log, "promote");
  log.must({ kind: "begin", key: key("route", 1), leader: LEADER });
  log.must({ kind: "finish", key: key("route", 1), outcome: { ...FAILED, kind: "unknown" }, next: false });
  assert.deepEqual(log.group.routed, { site: A, epoch: 1 });
  step(log, "route", 2);
  assert.deepEqual(log.group.routed, { site: B, epoch: 2 });
});

test("a failed announce may be passed over and is marked as skipped", () => {
  const log = started();
  log.must(decideCommand({ steps: ["precheck", "announce"] }));
  step(log, "precheck");
  log.must({ kind: "grant", group: "shop", epoch: epoch(1), site: A });
  log.must({ kind: "begin", key: key("announce", 1, 1), leader: LEADER });
  const [record] = log.must({
    kind: "finish",
    key: key("announce", 1, 1),
    outcome: FAILED,
    next: true,
  }).records;
  assert.match(record?.message ?? "", /failed \[exit_1\]: broke \(skipped: the plan goes on without it\)/);
  assert.equal(log.plan.steps[1]?.status, "skipped");
  log.must({ kind: "close", group: "shop", epoch: epoch(1), status: "done", reason: "", hold: null });
});

// close

test("a plan is not done before its last step and its grant", () => {
  const log = started();
  const close: Command = {
    kind: "close",
    group: "shop",
    epoch: epoch(1),
    status: "done",
    reason: "",
    hold: null,
  };
  refuses(log, close, /no plan of shop runs/);
  log.must(decideCommand({ steps: ["precheck", "promote"] }));
  refuses(log, close, /is not at its end/);
  step(log, "precheck");
  refuses(log, close, /is not at its end/);
  log.must({ kind: "grant", group: "shop", epoch: epoch(1), site: A });
  refuses(log, close, /is not at its end/);
  step(log, "promote");
  refuses(log, { ...close, epoch: epoch(2) }, /epoch 1, not 2/);
  log.must(close);
  refuses(log, close, /no plan of shop runs/);
});

test("a plan whose steps are all finished is not done before its grant either", () => {
  const log = started();
  log.must(decideCommand({ steps: ["precheck"] }));
  step(log, "precheck");
  const close: Command = {
    kind: "close",
    group: "shop",
    epoch: epoch(1),
    status: "done",
    reason: "",
    hold: null,
  };
  refuses(log, close, /is not at its end/);
  log.must({ kind: "grant", group: "shop", epoch: epoch(1), site: A });
  log.must(close);
});

test("a finished switch starts the hold-down and ends what was noted; the first grant starts none", () => {
  const log = withPrimary();
  assert.equal(log.group.lastSwitchAtMs, null);
  log.must({ kind: "note", group: "shop", code: "hold_down", message: "m", evidence: [] });
  log.must(decideCommand({ epoch: epoch(2), plan: "failover", from: A, to: B }));
  runToEnd(log);
  assert.equal(log.group.lastSwitchAtMs, log.nowMs);
  assert.equal(log.group.notedCode, null);
  assert.deepEqual([log.plan.status, log.plan.endedAtMs], ["done", log.nowMs]);
});

test("a site is left behind when the switch had become its own to carry, and only then", () => {
  const cases: {
    plan: "initial" | "failover" | "failback" | "switchover";
    granted: boolean;
    at: StepName;
    blamed: boolean;
  }[] = [
    { plan: "failover", granted: false, at: "precheck", blamed: false },
    { plan: "failover", granted: false, at: "fence", blamed: false },
    { plan: "failover", granted: true, at: "promote", blamed: true },
    { plan: "switchover", granted: true, at: "promote", blamed: false },
    { plan: "failback", granted: false, at: "precheck", blamed: false },
    { plan: "failback", granted: false, at: "fence", blamed: true },
    { plan: "failback", granted: true, at: "promote", blamed: true },
  ];
  for (const { plan, granted, at, blamed } of cases) {
    const log = withPrimary();
    log.must(
      decideCommand({ epoch: epoch(2), plan, from: A, to: B, steps: ["precheck", "fence", "promote"] }),
    );
    if (at !== "precheck") step(log, "precheck");
    if (granted) {
      step(log, "fence");
      log.must({ kind: "grant", group: "shop", epoch: epoch(2), site: B });
    }
    log.must({ kind: "close", group: "shop", epoch: epoch(2), status: "failed", reason: "x", hold: null });
    assert.deepEqual(log.group.failedSites, blamed ? [B] : [], `${plan} at ${at}`);
    assert.equal(log.group.ticket.status, granted ? "held" : "revoked");
  }
});

test("a closed switchover that owes a rollback admits nothing else, and a rollback only to where it came from", () => {
  const log = switching();
  log.must({ kind: "close", group: "shop", epoch: epoch(2), status: "rolled_back", reason: "x", hold: null });
  refuses(
    log,
    decideCommand({ epoch: epoch(3), plan: "failover", from: A, to: B }),
    /a rollback of shop to a is owed first/,
  );
  refuses(
    log,
    decideCommand({ epoch: epoch(3), plan: "rollback", from: A, to: B }),
    /a rollback of shop to a is owed first/,
  );
  log.must(decideCommand({ epoch: epoch(3), plan: "rollback", from: null, to: A }));
  const again: Command = {
    kind: "close",
    group: "shop",
    epoch: epoch(3),
    status: "rolled_back",
    reason: "x",
    hold: null,
  };
  refuses(log, again, /nowhere to roll back to/);
  runToEnd(log);
  assert.deepEqual([log.group.ticket.site, log.group.ticket.epoch, log.group.lastEpoch], [A, 3, 3]);
});

test("a plan that needs a person puts the group on hold with what to do", () => {
  const log = switching();
  const { records } = log.must({
    kind: "close",
    group: "shop",
    epoch: epoch(2),
    status: "failed",
    reason: "x",
    hold: "look at the zone",
  });
  assert.deepEqual([log.group.mode, log.group.holdReason], ["hold", "look at the zone"]);
  assert.deepEqual(
    records.map(({ kind, seq }) => [kind, seq]),
    [
      ["plan_failed", 0],
      ["hold", 1],
    ],
  );
});

// hold, resume, note, history

test("resume ends a hold and forgives, and says when there is nothing to resume", () => {
  const log = withPrimary();
  refuses(log, { kind: "resume", group: "shop", by: "ann" }, /not on hold/);
  log.must({ kind: "hold", group: "shop", by: "ann", reason: "works" });
  assert.deepEqual([log.group.mode, log.group.holdReason], ["hold", "ann: works"]);
  log.must({ kind: "resume", group: "shop", by: "bob" });
  assert.deepEqual([log.group.mode, log.group.holdReason], ["automatic", null]);
});

test("a standing reason is noted once, and its end too", () => {
  const log = withPrimary();
  const note = (code: string | null): Command => ({
    kind: "note",
    group: "shop",
    code,
    message: "m",
    evidence: ["e"],
  });
  refuses(log, note(null), /noted already/);
  log.must(note("all_down"));
  refuses(log, note("all_down"), /noted already/);
  assert.match(log.must(note(null)).records[0]?.message ?? "", /no longer all_down/);
});

test("the history keeps the newest records and no more than its limit", () => {
  const log = started();
  for (let i = 0; i < HISTORY_MAX + 10; i++)
    log.must({ kind: "hold", group: "shop", by: "ann", reason: `${i}` });
  assert.equal(log.state.history.length, HISTORY_MAX);
  assert.equal(log.state.history.at(-1)?.message, `shop is on hold (ann: ${HISTORY_MAX + 9})`);
});
