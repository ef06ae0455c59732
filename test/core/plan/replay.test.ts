/**
 * S6 by replay: whatever leader dies where, and however steps end, a plan that began comes to an end.
 *
 * A small world drives `decide` and `nextAction` through the real `apply`, as a leader does: leaders change,
 * outcomes are lost, verdicts waver, deposed leaders' commands arrive late. What a leader proposes from the
 * current state must be accepted.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { epoch, type SiteId, type WitnessId } from "../../../src/core/base/ids.js";
import type { Command } from "../../../src/core/model/command.js";
import type { GroupConfig } from "../../../src/core/model/config.js";
import { needsTicket, STEP_ORDER } from "../../../src/core/model/group.js";
import type { Opinion, SiteVerdict } from "../../../src/core/model/observation.js";
import type { StepKey, StepOutcome } from "../../../src/core/model/state.js";
import { judgeOutcome, nextAction, planSteps } from "../../../src/core/plan/plan.js";
import { decide, judgeSwitchover, standing } from "../../../src/core/policy/policy.js";
import {
  A,
  B,
  C,
  config,
  DONE,
  decideCommand,
  FAILED,
  group,
  type Log,
  started,
  W,
  withPrimary,
} from "../model/fixture.js";

const TAKEOVER_MS = 2_000;

/** What befalls a running step: an outcome, the loss of its outcome, or the loss of its leader. */
type Fate = StepOutcome | "silence" | "crash" | "crash-after-begin";

class World {
  readonly log: Log;
  readonly group: GroupConfig;
  leader: WitnessId = W[0];
  leaderSinceMs: number;
  opinions: Record<string, Opinion> = { a: "up", b: "up", c: "up" };
  private readonly mine = new Set<string>();
  /** What deposed leaders wished and did not get into the log in time. */
  readonly late: Command[] = [];
  /** Every hand-over to an actuator, in order. */
  readonly runs: StepKey[] = [];
  decisions = 0;

  constructor(log: Log) {
    this.log = log;
    this.group = log.state.config?.groups[0] ?? group();
    this.leaderSinceMs = log.nowMs;
  }

  verdicts(): SiteVerdict[] {
    return [A, B, C].map((site) => {
      const verdict = this.opinions[site] ?? "unknown";
      return { site, verdict, sinceMs: verdict === "unknown" ? null : -1e9, targets: [] };
    });
  }

  private policyInput() {
    const document = this.log.state.config ?? config();
    return {
      config: document,
      group: this.group,
      state: this.log.group,
      verdicts: this.verdicts(),
      nowMs: this.log.nowMs,
    };
  }

  newLeader(): void {
    this.leader = W[(W.indexOf(this.leader as (typeof W)[number]) + 1) % W.length] ?? W[0];
    this.log.leader = this.leader as typeof this.log.leader;
    this.leaderSinceMs = this.log.nowMs;
    this.mine.clear();
  }

  private propose(command: Command): void {
    const applied = this.log.push(command);
    assert.ok(applied.accepted, `the leader's own ${command.kind} was refused: ${applied.reason}`);
  }

  get standing() {
    return standing(this.policyInput());
  }

  /** One duty of the leader. False: there is nothing to do. */
  step(fate: (key: StepKey) => Fate): boolean {
    const plan = this.log.group.plan;
    if (plan?.status !== "running") return this.decideNext();
    const action = nextAction({
      ...this.policyInput(),
      me: this.leader,
      mine: (key) => this.mine.has(JSON.stringify(key)),
      takeoverMs: TAKEOVER_MS,
      leaderSinceMs: this.leaderSinceMs,
    });
    switch (action.kind) {
      case "begin":
        this.propose({ kind: "begin", key: action.key, leader: this.leader });
        this.mine.add(JSON.stringify(action.key));
        return true;
      case "run":
        this.run(action.key, fate(action.key), action.deadlineMs);
        return true;
      case "grant":
        this.propose({ kind: "grant", group: "shop", epoch: action.epoch, site: action.site });
        return true;
      case "finish":
        this.propose({ kind: "finish", key: action.key, outcome: action.outcome, next: action.next });
        return true;
      case "close":
        this.propose({
          kind: "close",
          group: "shop",
          epoch: plan.epoch,
          status: action.status,
          reason: action.reason,
          hold: action.hold,
        });
        return true;
      case "wait":
        assert.ok(action.untilMs !== null && action.untilMs > this.log.nowMs, action.why);
        this.log.nowMs = action.untilMs;
        return true;
    }
  }

  private decideNext(): boolean {
    const decision = decide(this.policyInput());
    if (decision.kind === "stay") return false;
    const { plan, from, to, reason, evidence } = decision;
    this.decide(plan, from, to, reason, evidence, "policy");
    return true;
  }

  private decide(
    plan: "rollback" | "failover" | "failback" | "initial" | "switchover",
    from: SiteId | null,
    to: SiteId,
    reason: string,
    evidence: readonly string[],
    by: string,
  ): void {
    this.decisions++;
    const at = epoch(this.log.group.lastEpoch + 1);
    const steps = planSteps(this.group, plan, from);
    this.propose({ kind: "decide", group: "shop", epoch: at, plan, from, to, steps, reason, evidence, by });
  }

  switchover(to: SiteId): void {
    const judged = judgeSwitchover(this.policyInput(), to);
    assert.ok(judged.kind === "ok", "switchover refused");
    this.decide("switchover", judged.from, to, "asked", judged.evidence, "ann");
  }

  private run(key: StepKey, fate: Fate, deadlineMs: number): void {
    const { plan, ticket } = this.log.group;
    assert.ok(plan !== null && plan.epoch === key.epoch, "a step runs under its plan's epoch only");
    for (const record of plan.steps.slice(0, plan.cursor))
      assert.ok(["done", "skipped"].includes(record.status));
    if (needsTicket(key.step))
      assert.deepEqual([ticket.status, ticket.epoch, ticket.site], ["held", plan.epoch, plan.to]);
    else assert.notEqual(ticket.status, "held", "nobody holds the ticket before the grant");
    this.runs.push(key);
    const finish = (outcome: StepOutcome): Command => ({
      kind: "finish",
      key,
      outcome,
      next: judgeOutcome(this.group, plan, key, outcome).next,
    });
    if (fate === "silence") {
      this.log.nowMs += deadlineMs + TAKEOVER_MS;
    } else if (fate === "crash" || fate === "crash-after-begin") {
      if (fate === "crash") this.late.push(finish(DONE), finish(FAILED));
      this.late.push({ kind: "begin", key: { ...key, attempt: key.attempt + 1 }, leader: this.leader });
      this.newLeader();
    } else {
      this.propose(finish(fate));
    }
  }

  /** Drives until nothing is to do, and says how the group then stands. */
  end(fate: (key: StepKey) => Fate): "done" | "hold" | "nobody" {
    for (let i = 0; i < 1_000; i++) {
      if (this.step(fate)) continue;
      const { group: at } = this.log;
      assert.notEqual(at.plan?.status, "running");
      if (at.mode === "hold") {
        assert.notEqual(at.holdReason, null);
        return "hold";
      }
      if (at.ticket.status === "held" && at.plan?.status === "done") {
        assert.equal(at.ticket.site, at.plan.to);
        return "done";
      }
      assert.ok(this.standing.noteworthy, `ended in silence: ${this.standing.message}`);
      return "nobody";
    }
    return assert.fail("the plan does not end");
  }

  /** Within one epoch steps ran in order, and epochs in order. */
  checkRuns(): void {
    for (const [i, key] of this.runs.entries()) {
      const before = this.runs[i - 1];
      if (before === undefined || key.epoch > before.epoch) continue;
      assert.equal(key.epoch, before.epoch);
      const [now, then] = [key, before].map(({ step }) => STEP_ORDER.indexOf(step));
      assert.ok(
        (now ?? 0) > (then ?? 0) || (now === then && key.attempt >= before.attempt),
        `${before.step} then ${key.step}`,
      );
    }
  }
}

const FOREIGN: StepOutcome = { ...FAILED, code: "foreign_change", retriable: false };
const OUTCOMES: readonly StepOutcome[] = [
  DONE,
  FAILED,
  { ...FAILED, kind: "unknown" },
  { ...FAILED, retriable: false },
  FOREIGN,
];

/** The commands of one switchover that goes well. */
function nominal(): Log {
  const world = new World(withPrimary());
  world.switchover(B);
  assert.equal(
    world.end(() => DONE),
    "done",
  );
  return world.log;
}

test("after any prefix of a switchover, a new leader brings it to an end, whatever the outcomes", () => {
  const { envelopes } = nominal();
  const first = envelopes.findIndex(
    ({ command }) => command.kind === "decide" && command.plan === "switchover",
  );
  assert.ok(envelopes.length - first > 15, "the switchover has all its commands");
  const ends = new Set<string>();
  for (let cut = first + 1; cut <= envelopes.length; cut++) {
    for (const outcome of OUTCOMES) {
      const log = started();
      for (const envelope of envelopes.slice(1, cut)) log.must(envelope.command);
      const closed = log.plan.status === "done";
      const world = new World(log);
      world.newLeader();
      const end = world.end(() => outcome);
      ends.add(end);
      world.checkRuns();
      if (outcome === DONE) {
        assert.equal(end, "done");
        assert.deepEqual(
          [log.group.ticket.site, log.group.lastEpoch, world.decisions],
          [B, 2, 0],
          `cut at ${cut}`,
        );
      } else if (!closed && outcome === FOREIGN && log.plan.status === "failed") {
        assert.deepEqual([end, world.decisions], ["hold", 0], "no rollback over a stranger's record");
      } else {
        assert.ok(world.decisions <= 1, "one epoch more, for the rollback");
      }
      // A step runs again only under a new attempt: at most once more for the leader that was lost.
      const texts = world.runs.map((key) => JSON.stringify(key));
      assert.equal(new Set(texts).size, texts.length);
    }
  }
  assert.deepEqual([...ends].sort(), ["done", "hold"]);
});

test("a leader lost in every step in turn: the next ones finish it under one epoch", () => {
  for (const kind of ["failover", "switchover"] as const) {
    const world = new World(withPrimary());
    if (kind === "failover") world.opinions["a"] = "down";
    else world.switchover(B);
    const crashed = new Set<string>();
    const end = world.end(({ step: at }) => {
      if (crashed.has(at)) return DONE;
      crashed.add(at);
      return "crash";
    });
    assert.equal(end, "done");
    assert.equal(crashed.size, kind === "failover" ? 5 : 6);
    assert.deepEqual([world.log.group.lastEpoch, world.log.group.ticket.site], [2, B]);
    for (const command of world.late)
      assert.equal(world.log.push(command).accepted, false, "a late wish is a no-op");
  }
});

const fates: fc.Arbitrary<Fate> = fc.oneof(
  { weight: 5, arbitrary: fc.constant<Fate>(DONE) },
  { weight: 3, arbitrary: fc.constantFrom<Fate>(...OUTCOMES) },
  { weight: 2, arbitrary: fc.constantFrom<Fate>("silence", "crash", "crash-after-begin") },
);

const turn = fc.record({
  fate: fates,
  /** Before this turn: a new leader, a late command of an old one, a change of view, a person. */
  event: fc.oneof(
    { weight: 8, arbitrary: fc.constant("none") },
    { weight: 1, arbitrary: fc.constantFrom("leader", "late", "hold", "resume") },
    {
      weight: 1,
      arbitrary: fc.constantFrom("a down", "a up", "b down", "b unknown", "b up", "c down", "c up"),
    },
  ),
});

const shapes = fc.record({
  fence: fc.constantFrom<GroupConfig["fence"]>(group().fence, { kind: "none" }),
  onFailure: fc.constantFrom("next", "wait" as const),
  failback: fc.constantFrom<GroupConfig["failback"]>({ kind: "manual" }, { kind: "automatic", afterMs: 1 }),
  holdDownMs: fc.constantFrom(0, 60_000),
  retry: fc.constantFrom(
    { limit: 0, backoffMs: 1, backoffMaxMs: 1 },
    { limit: 2, backoffMs: 50, backoffMaxMs: 60 },
  ),
});

test("random outcomes, crashes, views and people: every plan ends loudly, in order, one epoch a switch", () => {
  const ends = { done: 0, hold: 0, nobody: 0 };
  fc.assert(
    fc.property(
      shapes,
      fc.option(fc.constantFrom(B, C)),
      fc.array(turn, { maxLength: 80, size: "max" }),
      fc.constantFrom(...OUTCOMES),
      (shape, asked, turns, last) => {
        const world = new World(withPrimary(config([group(shape)])));
        if (asked !== null) world.switchover(asked);
        else world.opinions["a"] = "down";
        for (const { fate, event } of turns) {
          const before = world.log.group.lastEpoch;
          happen(world, event);
          assert.equal(world.log.group.lastEpoch, before, "only a decision takes an epoch");
          world.step(() => fate);
        }
        ends[world.end(() => last)]++;
        world.checkRuns();
        assert.equal(world.log.group.lastEpoch, 1 + world.decisions);
      },
    ),
    { numRuns: 400 },
  );
  // The seed is a new one each time: about 20 of the rarest end, so that none would be a change of the test itself.
  for (const [end, count] of Object.entries(ends)) assert.ok(count > 0, `${end}: ${count}`);
});

function happen(world: World, event: string): void {
  const { log } = world;
  if (event === "leader") world.newLeader();
  else if (event === "late") log.push(world.late.pop() ?? decideCommand());
  else if (event === "hold") log.push({ kind: "hold", group: "shop", by: "ann", reason: "" });
  else if (event === "resume") log.push({ kind: "resume", group: "shop", by: "ann" });
  else if (event !== "none") {
    const [site = "", opinion = ""] = event.split(" ");
    world.opinions[site] = opinion as Opinion;
  }
}
