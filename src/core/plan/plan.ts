/**
 * Plans: what the leader does next for a decision that is in the log. The door of the room.
 *
 * The plan itself is replicated data; this room only reads it and names the next thing to write or to run. A
 * leader that keeps asking `nextAction` and does as it says ends every plan: done, failed with the next
 * candidate up to policy, rolled back, or on hold with a sentence that tells a person what to do.
 * Whichever leader finishes it, a plan uses one epoch.
 *
 * How failures end, after `retry.limit` attempts or at once where trying again cannot help:
 * - somebody else changed the record, or it carries a higher epoch: hold. Nothing is written over a stranger's record,
 *   and no rollback either.
 * - fence, in any plan that is not rolled back: hold. The old primary may still serve; another candidate
 *   would not change that.
 * - switchover and failback: closed as `rolled_back`; that owes a rollback, which policy decides next under
 *   the next epoch. A rollback is never rolled back: hold. A switchover that took the ticket from nobody has
 *   no way back: hold.
 * - failover and first grant: as `onFailure` says, the next candidate, or hold.
 * - announce: the plan goes on without it. Verify is not so lenient: if the servers or the listed resolvers
 *   do not agree in the end, clients may still go to the old site, and the plan has failed.
 *
 * A step that another leader (or this one in another leadership) began and did not finish is begun again, as a new
 * attempt, once this leader has led for `takeoverMs`: by then the other has noticed that it leads no longer and has
 * stopped what it ran. Takeovers may exceed `retry.limit`, by one a witness: a step that kills its leader ends too.
 * A hold by an operator does not stop a running plan, nor the rollback that it owes.
 */

import { assert } from "../base/assert.js";
import type { Epoch, SiteId, WitnessId } from "../base/ids.js";
import type { ClusterConfig, GroupConfig } from "../model/config.js";
import { currentStep, isGrantDue, runningPlan } from "../model/group.js";
import type { SiteVerdict } from "../model/observation.js";
import type {
  GroupState,
  Plan,
  PlanKind,
  StepKey,
  StepName,
  StepOutcome,
  StepRecord,
} from "../model/state.js";
import { canRetry, deadlineMs, retryAtMs, stepsOf } from "./steps.js";

export type PlanAction =
  /** Propose `begin`. */
  | { readonly kind: "begin"; readonly key: StepKey }
  /**
   * Hand to the actuator, once a key; it may take `deadlineMs` in all. Given again and again until the step
   * is finished.
   */
  | { readonly kind: "run"; readonly key: StepKey; readonly deadlineMs: number }
  | { readonly kind: "grant"; readonly epoch: Epoch; readonly site: SiteId }
  /** Propose `finish`: the core itself knows the outcome. */
  | { readonly kind: "finish"; readonly key: StepKey; readonly outcome: StepOutcome; readonly next: boolean }
  | {
      readonly kind: "close";
      readonly status: "done" | "failed" | "rolled_back";
      readonly reason: string;
      readonly hold: string | null;
    }
  /** `untilMs`: cluster time at which to ask again at the latest; null: when the state changes. */
  | { readonly kind: "wait"; readonly untilMs: number | null; readonly why: string };

/** Times are cluster time. */
export interface PlanInput {
  readonly config: ClusterConfig;
  readonly group: GroupConfig;
  readonly state: GroupState;
  readonly verdicts: readonly SiteVerdict[];
  readonly nowMs: number;
  readonly me: WitnessId;
  /** This leader, in this leadership, began that attempt and can know its outcome. */
  readonly mine: (key: StepKey) => boolean;
  readonly takeoverMs: number;
  readonly leaderSinceMs: number;
}

/** The steps of a plan for the group, in order; `from` is the site that gives the ticket up, or null. */
export function planSteps(group: GroupConfig, kind: PlanKind, from: SiteId | null): readonly StepName[] {
  return stepsOf(group, kind, from);
}

/** What the leader should do next for the group's running plan. */
export function nextAction(input: PlanInput): PlanAction {
  const { group, state } = input;
  const plan = runningPlan(state);
  if (plan === null) return { kind: "wait", untilMs: null, why: `no plan of ${group.id} runs` };
  if (isGrantDue(state, plan)) return { kind: "grant", epoch: plan.epoch, site: plan.to };
  const record = currentStep(plan);
  if (record === null) {
    return {
      kind: "close",
      status: "done",
      reason: `all steps are finished; ${plan.to} is primary`,
      hold: null,
    };
  }
  switch (record.status) {
    case "pending":
      return { kind: "begin", key: keyOf(plan, record.step, record.attempt + 1) };
    case "begun":
      return begunAction(input, plan, record);
    case "failed":
    case "unknown":
      return failedAction(input, plan, record);
    case "done":
    case "skipped":
      assert(false, () => `${plan.group} epoch ${plan.epoch}: cursor stands at finished step ${record.step}`);
  }
}

/** Whether an outcome lets the plan go on to the next step: `next` of the `finish` command. */
export function judgeOutcome(
  group: GroupConfig,
  _plan: Plan,
  key: StepKey,
  outcome: StepOutcome,
): { readonly next: boolean } {
  if (outcome.kind === "done") return { next: true };
  const last = !outcome.retriable || key.attempt >= group.retry.limit;
  return { next: key.step === "announce" && last };
}

function begunAction(input: PlanInput, plan: Plan, record: StepRecord): PlanAction {
  const { group, nowMs } = input;
  const key = keyOf(plan, record.step, record.attempt);
  // Judged from the state alone, so any leader may say how it ended, and needs no takeover.
  if (record.step === "precheck") return finishAction(group, plan, key, precheck(input, plan));
  if (input.mine(key)) {
    const allowedMs = deadlineMs(group, record.step);
    const overdueAtMs = (record.begunAtMs ?? 0) + allowedMs + input.takeoverMs;
    if (nowMs < overdueAtMs) return { kind: "run", key, deadlineMs: allowedMs };
    return finishAction(group, plan, key, {
      kind: "unknown",
      code: "deadline",
      message: `no outcome within ${allowedMs} ms; it may have happened`,
      retriable: true,
      detail: "",
    });
  }
  const takeoverAtMs = input.leaderSinceMs + input.takeoverMs;
  const by = record.by ?? "a former leader";
  if (nowMs < takeoverAtMs) {
    return {
      kind: "wait",
      untilMs: takeoverAtMs,
      why: `${by} began ${record.step}, and may only now learn that it leads no longer`,
    };
  }
  if (record.attempt < group.retry.limit + input.config.witnesses.length) {
    return { kind: "begin", key: keyOf(plan, record.step, record.attempt + 1) };
  }
  return finishAction(group, plan, key, {
    kind: "unknown",
    code: "leader_lost",
    message: `${record.attempt} attempts, and the leader was lost in the last one (${by}); it may have happened`,
    retriable: false,
    detail: "",
  });
}

function failedAction(input: PlanInput, plan: Plan, record: StepRecord): PlanAction {
  const { group, nowMs } = input;
  if (!canRetry(group, record)) return giveUp(group, plan, record);
  const atMs = retryAtMs(group, record);
  if (nowMs < atMs) {
    return {
      kind: "wait",
      untilMs: atMs,
      why: `${record.step} ended ${record.status}; attempt ${record.attempt + 1} after the backoff`,
    };
  }
  return { kind: "begin", key: keyOf(plan, record.step, record.attempt + 1) };
}

/** Outcomes after which nothing more may be written: the present is not what this plan believes it to be. */
const STRANGER: ReadonlySet<string> = new Set(["foreign_change", "stale_epoch"]);

function giveUp(group: GroupConfig, plan: Plan, record: StepRecord): PlanAction {
  const { step, outcome, attempt } = record;
  const what = `${step} ${record.status} after ${attempt} ${attempt === 1 ? "attempt" : "attempts"} [${outcome?.code ?? "?"}]: ${outcome?.message ?? "no outcome"}`;
  const told = /[.?!]$/.test(what) ? what : `${what}.`;
  const failed = (hold: string | null): PlanAction => ({
    kind: "close",
    status: "failed",
    reason: what,
    hold,
  });
  const how = `${plan.kind} to ${plan.to} (epoch ${plan.epoch}) stopped`;
  if (outcome !== null && STRANGER.has(outcome.code)) {
    return failed(
      `${how}: ${told} Nothing was written over it. Find out who changed it, put it right, then resume or switch over`,
    );
  }
  if (plan.kind === "rollback") {
    return failed(
      `${how}: ${told} See that ${plan.to} serves and the names point at it, then resume or switch over`,
    );
  }
  if (plan.kind === "switchover" || plan.kind === "failback") {
    if (plan.from !== null) return { kind: "close", status: "rolled_back", reason: what, hold: null };
    return failed(
      `${how}: ${told} No site gave the ticket up, so there is no way back. Remove the cause, then resume or switch over`,
    );
  }
  if (step === "fence") {
    return failed(
      `${how}: ${told} ${plan.from ?? "The old primary"} may still serve: make sure that it does not, see that the fence hook succeeds, then resume`,
    );
  }
  return failed(
    group.onFailure === "next"
      ? null
      : `${how}: ${told} Remove the cause, then resume, or switch over to another site`,
  );
}

/** Is the target fit to take over at this moment? */
function precheck(input: PlanInput, plan: Plan): StepOutcome {
  const site = input.verdicts.find((candidate) => candidate.site === plan.to);
  const verdict = site?.verdict ?? "unknown";
  const detail = (site?.targets ?? []).map((target) => `${target.target}: ${target.verdict}`).join("\n");
  // The way back may have been fenced or drained by us a moment ago: what is seen of it is told and does not decide.
  if (verdict === "up" || plan.kind === "rollback") {
    return {
      kind: "done",
      code: "ok",
      message: `site ${plan.to} is ${verdict} in the majority's view`,
      retriable: true,
      detail,
    };
  }
  return {
    kind: "failed",
    code: verdict === "down" ? "target_down" : "target_unknown",
    message: `site ${plan.to} is ${verdict} in the majority's view`,
    // Silence may pass in a moment; a site that is down is left for another candidate.
    retriable: verdict === "unknown",
    detail,
  };
}

function finishAction(group: GroupConfig, plan: Plan, key: StepKey, outcome: StepOutcome): PlanAction {
  return { kind: "finish", key, outcome, next: judgeOutcome(group, plan, key, outcome).next };
}

function keyOf(plan: Plan, step: StepName, attempt: number): StepKey {
  return { group: plan.group, epoch: plan.epoch, step, attempt };
}
