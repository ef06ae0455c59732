/**
 * Properties of `apply`: total on any commands, equal on every witness, and no epoch given twice.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Epoch, epoch, logIndex, type SiteId, siteId, term } from "../../../src/core/base/ids.js";
import { apply } from "../../../src/core/model/apply.js";
import {
  type Command,
  decodeEnvelope,
  type Envelope,
  encodeEnvelope,
} from "../../../src/core/model/command.js";
import { takenFrom } from "../../../src/core/model/group.js";
import { EMPTY_STATE, type State, type StepName } from "../../../src/core/model/state.js";
import { A, ALL_STEPS, B, C, config, DONE, FAILED, group, Log, seen, started, W } from "./fixture.js";

const RUNS = 400;

/** Two documents: another version, another order, another group. */
const documents = [
  config(),
  config([group({ id: "other" }), group()], { version: 2 }),
  config([], { version: 3 }),
];

const sites = fc.constantFrom<SiteId>(A, B, C, siteId("x"));
const smallEpoch = fc.nat({ max: 6 }).map((n): Epoch => epoch(n));
const stepName = fc.constantFrom<StepName>(...ALL_STEPS);
const groupName = fc.constantFrom("shop", "shop", "shop", "other", "__proto__");
const stepKey = fc.record({
  group: groupName,
  epoch: smallEpoch,
  step: stepName,
  attempt: fc.nat({ max: 4 }),
});
const outcome = fc.constantFrom(DONE, FAILED, { ...FAILED, kind: "unknown" as const });

/** Commands that are well formed and mostly make no sense at the moment. */
const anyCommand: fc.Arbitrary<Command> = fc.oneof(
  fc
    .constantFrom(...documents)
    .map((document): Command => ({ kind: "configure", config: document, hash: "h" })),
  fc.record({
    kind: fc.constant("observe" as const),
    witness: fc.constantFrom(...W),
    abstaining: fc.boolean(),
    observations: fc.array(
      fc
        .tuple(
          fc.constantFrom("shop/a/web", "shop/b/db", "other/a/web", "x/y/z"),
          fc.constantFrom("up", "down", "unknown" as const),
        )
        .map(([target, opinion]) => seen(target, opinion)),
      { maxLength: 4 },
    ),
  }),
  fc.record({ kind: fc.constant("stale" as const), witness: fc.constantFrom(...W) }),
  fc.record({
    kind: fc.constant("decide" as const),
    group: groupName,
    epoch: smallEpoch,
    plan: fc.constantFrom("initial", "failover", "failback", "switchover", "rollback" as const),
    from: fc.option(sites),
    to: sites,
    steps: fc.subarray([...ALL_STEPS]),
    reason: fc.string(),
    evidence: fc.array(fc.string(), { maxLength: 2 }),
    by: fc.constant("policy"),
  }),
  fc.record({ kind: fc.constant("begin" as const), key: stepKey, leader: fc.constantFrom(...W) }),
  fc.record({ kind: fc.constant("finish" as const), key: stepKey, outcome, next: fc.boolean() }),
  fc.record({ kind: fc.constant("grant" as const), group: groupName, epoch: smallEpoch, site: sites }),
  fc.record({
    kind: fc.constant("close" as const),
    group: groupName,
    epoch: smallEpoch,
    status: fc.constantFrom("done", "failed", "rolled_back" as const),
    reason: fc.string(),
    hold: fc.option(fc.string()),
  }),
  fc.record({ kind: fc.constant("hold" as const), group: groupName, by: fc.string(), reason: fc.string() }),
  fc.record({ kind: fc.constant("resume" as const), group: groupName, by: fc.string() }),
  fc.record({
    kind: fc.constant("note" as const),
    group: groupName,
    code: fc.option(fc.constantFrom("hold_down", "all_down")),
    message: fc.string(),
    evidence: fc.array(fc.string(), { maxLength: 2 }),
  }),
);

/** What a leader that knows the state would write next for the group: drives random logs deep into plans. */
function sensible(state: State, choice: number): Command {
  const at = state.groups["shop"];
  if (at === undefined) {
    return {
      kind: "configure",
      config: config([group()], { version: (state.config?.version ?? 0) + 1 }),
      hash: "h",
    };
  }
  const { plan } = at;
  if (plan === null || plan.status !== "running") {
    const owed = plan?.status === "rolled_back" ? plan.from : null;
    const to = owed ?? [A, B, C][choice % 3] ?? A;
    const kinds = ["initial", "failover", "failback", "switchover"] as const;
    return {
      kind: "decide",
      group: "shop",
      epoch: epoch(at.lastEpoch + 1),
      plan: owed === null ? (kinds[choice % 4] ?? "failover") : "rollback",
      from: takenFrom(at.ticket, to),
      to,
      steps: ALL_STEPS.filter((_, i) => i === 0 || (choice >> i) % 2 === 0),
      reason: "r",
      evidence: [],
      by: "policy",
    };
  }
  const record = plan.steps[plan.cursor];
  const close = (status: "done" | "failed" | "rolled_back"): Command => ({
    kind: "close",
    group: "shop",
    epoch: plan.epoch,
    status,
    reason: "r",
    hold: choice % 5 === 0 ? "look" : null,
  });
  if (choice % 11 === 0) return close(choice % 2 === 0 ? "failed" : "rolled_back");
  if (at.ticket.status !== "held" && choice % 3 === 0)
    return { kind: "grant", group: "shop", epoch: plan.epoch, site: plan.to };
  if (record === undefined) return close("done");
  const key = { group: "shop", epoch: plan.epoch, step: record.step, attempt: record.attempt };
  if (record.status === "begun" && choice % 4 !== 0) {
    const done = choice % 3 !== 0;
    return { kind: "finish", key, outcome: done ? DONE : FAILED, next: done || record.step === "announce" };
  }
  return { kind: "begin", key: { ...key, attempt: record.attempt + 1 }, leader: W[choice % 3] ?? W[0] };
}

/** Choices of one log: a number for a sensible command, or a command that makes little sense. */
const choices = fc.array(
  fc.oneof({ weight: 4, arbitrary: fc.nat({ max: 10_000 }) }, { weight: 1, arbitrary: anyCommand }),
  { minLength: 1, maxLength: 60, size: "max" },
);

function play(
  chosen: readonly (number | Command)[],
  watch: (before: State, log: Log, command: Command, accepted: boolean) => void,
): Log {
  const log = new Log();
  for (const choice of chosen) {
    const before = log.state;
    const command = typeof choice === "number" ? sensible(before, choice) : choice;
    const { accepted } = log.push(command, typeof choice === "number" ? choice % 50 : -7);
    watch(before, log, command, accepted);
  }
  return log;
}

test("apply is total: no envelope makes it throw, and what it refuses changes nothing but position and time", () => {
  const garbage = fc.oneof(
    fc.anything(),
    fc.record({
      atMs: fc.nat(),
      wallMs: fc.nat(),
      leader: fc.string(),
      request: fc.constant(null),
      command: fc.anything(),
    }),
    fc.tuple(anyCommand, fc.string(), fc.jsonValue()).map(([command, field, value]) => ({
      atMs: 5,
      wallMs: 5,
      leader: "w-a",
      request: null,
      // A well-formed command with one field replaced by anything.
      command: {
        ...command,
        [Object.keys(command)[field.length % Object.keys(command).length] ?? "kind"]: value,
      },
    })),
  );
  const base = started().state;
  fc.assert(
    fc.property(garbage, fc.boolean(), (envelope, empty) => {
      const state = empty ? EMPTY_STATE : base;
      const at = { index: logIndex(state.appliedIndex + 1), term: term(3) };
      const applied = apply(state, at, envelope as Envelope);
      assert.equal(applied.state.appliedIndex, at.index);
      if (applied.accepted) return;
      assert.notEqual(applied.reason, "");
      const { clusterTimeMs } = applied.state;
      assert.deepEqual(applied.state, {
        ...state,
        appliedIndex: at.index,
        appliedTerm: at.term,
        clusterTimeMs,
      });
    }),
    { numRuns: 3_000 },
  );
});

test("epochs and times only grow, a running plan is never replaced, and one site holds an epoch's ticket", () => {
  const reached = { grants: 0, rollbacks: 0, done: 0 };
  fc.assert(
    fc.property(choices, (chosen) => {
      /** Of the group's present life: who was the target of each epoch, and who ever held it. */
      let targets = new Map<Epoch, SiteId>();
      let holders = new Map<Epoch, SiteId>();
      play(chosen, (before, log, command, accepted) => {
        const { state } = log;
        assert.ok(state.clusterTimeMs >= before.clusterTimeMs);
        const was = before.groups["shop"];
        const is = state.groups["shop"];
        if (is === undefined || was === undefined) {
          targets = new Map();
          holders = new Map();
          return;
        }
        const decided = accepted && command.kind === "decide" && command.group === "shop";
        assert.equal(is.lastEpoch, was.lastEpoch + (decided ? 1 : 0));
        assert.equal(is.plan?.epoch ?? 0, is.lastEpoch);
        if (decided) targets.set(is.lastEpoch, command.to);
        if (was.plan?.status === "running") assert.equal(is.plan?.epoch, was.plan.epoch);
        if (is.plan?.status === "running" && is.plan.epoch !== is.ticket.epoch)
          assert.notEqual(is.ticket.status, "held");
        if (is.ticket.status === "held") {
          const { site, epoch: at } = is.ticket;
          assert.ok(site !== null);
          assert.equal(targets.get(at), site, "only the target of the epoch's plan holds its ticket");
          assert.equal(holders.get(at) ?? site, site);
          holders.set(at, site);
          // From one holder to the next the way leads through a revoked ticket.
          if (was.ticket.status === "held") assert.deepEqual(is.ticket, was.ticket);
          else reached.grants++;
        }
        if (is.plan?.status === "done" && was.plan?.status === "running") reached.done++;
        if (is.plan?.kind === "rollback" && decided) reached.rollbacks++;
      });
    }),
    { numRuns: RUNS },
  );
  // The logs must have gone where the rules are.
  for (const [what, count] of Object.entries(reached)) assert.ok(count > 20, `${what}: ${count}`);
});

test("audit records stand in log order, and each tells something", () => {
  fc.assert(
    fc.property(choices, (chosen) => {
      const { history } = play(chosen, () => {}).state;
      for (const [i, record] of history.entries()) {
        const next = history[i + 1];
        assert.notEqual(record.message, "");
        assert.ok(
          next === undefined ||
            next.index > record.index ||
            (next.index === record.index && next.seq === record.seq + 1),
        );
        assert.ok(next === undefined || next.atMs >= record.atMs);
      }
    }),
    { numRuns: RUNS / 4 },
  );
});

test("equal logs give equal states to the byte, also through their encoding", () => {
  fc.assert(
    fc.property(choices, (chosen) => {
      const log = play(chosen, () => {});
      let state = EMPTY_STATE;
      for (const envelope of log.envelopes) {
        const decoded = decodeEnvelope(encodeEnvelope(envelope));
        assert.ok(!("error" in decoded));
        state = apply(state, { index: logIndex(state.appliedIndex + 1), term: term(1) }, decoded).state;
      }
      assert.equal(JSON.stringify(state), JSON.stringify(log.state));
      assert.deepEqual(
        JSON.parse(JSON.stringify(log.state)),
        log.state,
        "nothing in the state is lost by JSON",
      );
    }),
    { numRuns: RUNS / 4 },
  );
});
