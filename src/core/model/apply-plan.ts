/**
 * `decide`, `begin`, `finish`, `grant` and `close`: the life of a plan in the log.
 *
 * Everything is compare-and-set on the group's epoch, the step at the cursor and its attempt. The safety of the ticket
 * rests here and not on any leader's good sense:
 * - `decide` takes the next epoch and revokes the ticket in the same entry; a second decision finds the plan running;
 * - `grant` gives it to the running plan's target only, and only when no step is left that has to come before;
 * - a step that acts for the new primary cannot begin before the grant.
 * So at every index at most one site holds the ticket, and its epoch has been used by one plan only.
 */
import type { SiteId } from "../base/ids.js";
import { type Change, refused, type Stamp, type Told, withGroup } from "./change.js";
import type { Command } from "./command.js";
import { findGroup } from "./config.js";
import {
  currentStep,
  isGrantDue,
  isGranted,
  needsTicket,
  own,
  rollbackOwed,
  runningPlan,
  STEP_ORDER,
  takenFrom,
} from "./group.js";
import type { AuditKind, GroupState, Plan, PlanKind, State, StepKey, StepName, StepRecord } from "./state.js";

type Of<K extends Command["kind"]> = Extract<Command, { kind: K }>;

/** Starts a plan under the next epoch and takes the ticket away. */
export function decide(state: State, stamp: Stamp, command: Of<"decide">): Change {
  const group = own(state.groups, command.group);
  const config = state.config === null ? undefined : findGroup(state.config, command.group);
  if (group === undefined || config === undefined) return refused(`no group ${command.group} is configured`);
  const refusal = decideRefusal(group, command);
  if (refusal !== null) return refused(refusal);
  if (!config.sites.some(({ site }) => site === command.to)) {
    return refused(`${command.group} has no site ${command.to}`);
  }
  const plan: Plan = {
    group: group.id,
    epoch: command.epoch,
    kind: command.plan,
    from: command.from,
    to: command.to,
    reason: command.reason,
    evidence: command.evidence,
    by: command.by,
    status: "running",
    index: stamp.index,
    startedAtMs: stamp.nowMs,
    endedAtMs: null,
    endReason: null,
    cursor: 0,
    steps: command.steps.map(pendingStep),
  };
  const { ticket } = group;
  const after: GroupState = {
    ...group,
    ticket: ticket.status === "held" ? { ...ticket, status: "revoked" } : ticket,
    lastEpoch: command.epoch,
    plan,
  };
  const path = `${command.from === null ? "" : `from ${command.from} `}to ${command.to}`;
  return withGroup(
    state,
    after,
    told(
      plan,
      "decision",
      `${command.plan} of ${group.id} ${path}, epoch ${plan.epoch}, by ${plan.by}: ${plan.reason}`,
      [...plan.evidence],
    ),
  );
}

/** Kinds that only policy decides and that a hold stops; a person's switchover and a rollback that is owed pass it. */
const AUTOMATIC: ReadonlySet<PlanKind> = new Set<PlanKind>(["initial", "failover", "failback"]);

function decideRefusal(group: GroupState, command: Of<"decide">): string | null {
  const running = runningPlan(group);
  if (running !== null) return `a plan of ${group.id} runs (epoch ${running.epoch})`;
  if (command.epoch !== group.lastEpoch + 1) {
    return `epoch ${command.epoch} is not the one after ${group.lastEpoch}`;
  }
  const from = takenFrom(group.ticket, command.to);
  if (command.from !== from)
    return `the ticket is taken from ${from ?? "nobody"}, not ${command.from ?? "nobody"}`;
  // Decided before the hold was known: the two were on their way to the log together.
  if (group.mode === "hold" && AUTOMATIC.has(command.plan)) return `${group.id} is on hold`;
  const owed = rollbackOwed(group);
  if (owed !== (command.plan === "rollback" ? command.to : null)) {
    return owed === null
      ? `no rollback of ${group.id} is owed`
      : `a rollback of ${group.id} to ${owed} is owed first`;
  }
  return isOrdered(command.steps) ? null : `steps ${command.steps.join(", ")} are out of order`;
}

function isOrdered(steps: readonly StepName[]): boolean {
  const places = steps.map((step) => STEP_ORDER.indexOf(step));
  return places.length > 0 && places.every((place, i) => i === 0 || place > (places[i - 1] ?? place));
}

function pendingStep(step: StepName): StepRecord {
  return {
    step,
    status: "pending",
    attempt: 0,
    begunAtMs: null,
    finishedAtMs: null,
    by: null,
    outcome: null,
  };
}

/** Begins the step at the cursor, or begins it again: after a failure, or where a former leader left it. */
export function begin(state: State, stamp: Stamp, command: Of<"begin">): Change {
  const at = standingAt(state, command.key);
  if (typeof at === "string") return refused(at);
  const { group, plan, record } = at;
  const { step, attempt } = command.key;
  if (attempt !== record.attempt + 1)
    return refused(`attempt ${attempt} of ${step} does not follow ${record.attempt}`);
  if (needsTicket(step) && !isGranted(group, plan))
    return refused(`${step} before the grant of epoch ${plan.epoch}`);
  const again =
    record.status === "begun"
      ? `, begun again: ${record.by ?? "a former leader"} left attempt ${record.attempt} without an outcome`
      : attempt > 1
        ? `, attempt ${attempt}`
        : "";
  const begun: StepRecord = {
    ...record,
    status: "begun",
    attempt,
    begunAtMs: stamp.nowMs,
    finishedAtMs: null,
    by: command.leader,
    outcome: null,
  };
  return withGroup(
    state,
    { ...group, plan: withStep(plan, begun, plan.cursor) },
    told(plan, "step_begun", `${title(plan)}: ${step} begun by ${command.leader}${again}`, [], step),
  );
}

/** Records how the running attempt ended; `next` moves the plan on. */
export function finish(state: State, stamp: Stamp, command: Of<"finish">): Change {
  const at = standingAt(state, command.key);
  if (typeof at === "string") return refused(at);
  const { group, plan, record } = at;
  const { step, attempt } = command.key;
  const { outcome, next } = command;
  if (record.status !== "begun" || attempt !== record.attempt) {
    return refused(
      `${step} stands at attempt ${record.attempt}, ${record.status}, not at attempt ${attempt}`,
    );
  }
  // Only telling people about it may fail without stopping the plan.
  if (next ? outcome.kind !== "done" && step !== "announce" : outcome.kind === "done") {
    return refused(`${step} ${outcome.kind} may not ${next ? "pass" : "stay"}`);
  }
  const skipped = next && outcome.kind !== "done";
  const finished: StepRecord = {
    ...record,
    status: skipped ? "skipped" : outcome.kind,
    finishedAtMs: stamp.nowMs,
    outcome,
  };
  const routed =
    step === "route" && outcome.kind === "done" ? { site: plan.to, epoch: plan.epoch } : group.routed;
  const words = `${outcome.kind}${outcome.kind === "done" ? "" : ` [${outcome.code}]`}: ${outcome.message}`;
  return withGroup(
    state,
    { ...group, routed, plan: withStep(plan, finished, plan.cursor + (next ? 1 : 0)) },
    told(
      plan,
      "step_finished",
      `${title(plan)}: ${step} ${words}${skipped ? " (skipped: the plan goes on without it)" : ""}`,
      outcome.detail === "" ? [] : outcome.detail.split("\n"),
      step,
    ),
  );
}

/** Gives the ticket to the running plan's target. */
export function grant(state: State, stamp: Stamp, command: Of<"grant">): Change {
  const group = own(state.groups, command.group);
  const plan = group === undefined ? null : runningPlan(group);
  if (group === undefined || plan === null) return refused(`no plan of ${command.group} runs`);
  if (command.epoch !== plan.epoch || command.site !== plan.to) {
    return refused(
      `the running plan is for ${plan.to} at epoch ${plan.epoch}, not ${command.site} at ${command.epoch}`,
    );
  }
  if (group.ticket.status === "held")
    return refused(`the ticket of ${group.id} is held by ${group.ticket.site ?? "?"}`);
  if (!isGrantDue(group, plan))
    return refused(`step ${currentStep(plan)?.step ?? "?"} comes before the grant`);
  return withGroup(
    state,
    { ...group, ticket: { status: "held", site: plan.to, epoch: plan.epoch, grantedAtMs: stamp.nowMs } },
    told(plan, "grant", `${plan.to} is primary of ${group.id}, epoch ${plan.epoch}`),
  );
}

/** Ends the running plan. */
export function close(state: State, stamp: Stamp, command: Of<"close">): Change {
  const group = own(state.groups, command.group);
  const plan = group === undefined ? null : runningPlan(group);
  if (group === undefined || plan === null) return refused(`no plan of ${command.group} runs`);
  if (command.epoch !== plan.epoch)
    return refused(`the running plan has epoch ${plan.epoch}, not ${command.epoch}`);
  const { status } = command;
  if (status === "done" && (currentStep(plan) !== null || !isGranted(group, plan))) {
    return refused(`${title(plan)} is not at its end`);
  }
  if (status === "rolled_back" && (plan.from === null || plan.kind === "rollback")) {
    return refused(`${title(plan)} has nowhere to roll back to`);
  }
  const ended: Plan = { ...plan, status, endedAtMs: stamp.nowMs, endReason: command.reason };
  const after: GroupState = {
    ...group,
    plan: ended,
    failedSites: failedSitesAfter(group, plan, status),
    ...(status === "done" ? { notedCode: null } : {}),
    // The first grant moves nothing, so no hold-down follows it.
    ...(status === "done" && plan.kind !== "initial" ? { lastSwitchAtMs: stamp.nowMs } : {}),
    ...(command.hold === null ? {} : { mode: "hold" as const, holdReason: command.hold }),
  };
  const tail: Told[] =
    command.hold === null ? [] : [told(plan, "hold", `${group.id} is on hold: ${command.hold}`)];
  return withGroup(
    state,
    after,
    told(plan, `plan_${status}`, `${title(plan)} ${STATUS_WORDS[status]}: ${command.reason}`),
    ...tail,
  );
}

const STATUS_WORDS = { done: "is done", failed: "failed", rolled_back: "failed and is rolled back" } as const;

/**
 * Which sites are left behind after a plan. A target is blamed when the switch was already its own to carry
 * (the ticket was granted to it), not for a precheck or for a fence that failed elsewhere. A failback that
 * got past its precheck is blamed in any case, so that it is not tried again and again by itself; a
 * switchover is a person's, who may try again.
 */
function failedSitesAfter(group: GroupState, plan: Plan, status: Of<"close">["status"]): readonly SiteId[] {
  if (status === "done") return group.failedSites.filter((site) => site !== plan.to);
  const blamed =
    plan.kind === "failback"
      ? currentStep(plan)?.step !== "precheck"
      : (plan.kind === "failover" || plan.kind === "initial") && isGranted(group, plan);
  return blamed && !group.failedSites.includes(plan.to) ? [...group.failedSites, plan.to] : group.failedSites;
}

/** The running plan and the record that `key` names, or why it names none. */
function standingAt(
  state: State,
  key: StepKey,
): { readonly group: GroupState; readonly plan: Plan; readonly record: StepRecord } | string {
  const group = own(state.groups, key.group);
  const plan = group === undefined ? null : runningPlan(group);
  if (group === undefined || plan === null) return `no plan of ${key.group} runs`;
  if (key.epoch !== plan.epoch) return `the running plan has epoch ${plan.epoch}, not ${key.epoch}`;
  const record = currentStep(plan);
  if (record === null || record.step !== key.step)
    return `the plan stands at ${record?.step ?? "its end"}, not ${key.step}`;
  return { group, plan, record };
}

function withStep(plan: Plan, record: StepRecord, cursor: number): Plan {
  return { ...plan, cursor, steps: plan.steps.map((old) => (old.step === record.step ? record : old)) };
}

function title(plan: Plan): string {
  return `${plan.kind} of ${plan.group} to ${plan.to} (epoch ${plan.epoch})`;
}

function told(
  plan: Plan,
  kind: AuditKind,
  message: string,
  detail: readonly string[] = [],
  step: StepName | null = null,
): Told {
  return { kind, group: plan.group, epoch: plan.epoch, step, message, detail };
}
