/**
 * Readings of a group's state that `apply`, policy and plan must agree on.
 *
 * Each is one question with one answer: who gives the ticket up when it goes to a site, is a rollback owed,
 * which steps need the ticket. They live beside the state because a second opinion on any of them would be a
 * split brain in the small.
 */
import type { SiteId } from "../base/ids.js";
import type { GroupState, Plan, StepName, StepRecord, Ticket } from "./state.js";

/**
 * Every step in the order in which a plan runs them; a plan is a part of this list. Drain goes before fence:
 * ADR 10.
 */
export const STEP_ORDER: readonly StepName[] = [
  "precheck",
  "drain",
  "fence",
  "promote",
  "route",
  "verify",
  "announce",
];

/** True for the steps that act on behalf of the new primary: they run only while the plan's epoch holds the ticket. */
export function needsTicket(step: StepName): boolean {
  return STEP_ORDER.indexOf(step) >= STEP_ORDER.indexOf("promote");
}

/**
 * Which site gives the ticket up when it goes to `to`: the holder, or the last holder of a revoked ticket.
 * Null when there is nobody, or when it goes back to that same site: a site is never fenced in its own favour.
 */
export function takenFrom(ticket: Ticket, to: SiteId): SiteId | null {
  return ticket.site === to ? null : ticket.site;
}

/** The plan under way, or null. */
export function runningPlan(group: GroupState): Plan | null {
  return group.plan?.status === "running" ? group.plan : null;
}

/** The record at the plan's cursor; null when all steps are finished. */
export function currentStep(plan: Plan): StepRecord | null {
  return plan.steps[plan.cursor] ?? null;
}

/** The plan's epoch holds the ticket. */
export function isGranted(group: GroupState, plan: Plan): boolean {
  return group.ticket.status === "held" && group.ticket.epoch === plan.epoch;
}

/** The plan has no step left to run before its ticket may be granted. */
export function isGrantDue(group: GroupState, plan: Plan): boolean {
  const step = currentStep(plan);
  return !isGranted(group, plan) && (step === null || needsTicket(step.step));
}

/**
 * The site that a failed switchover or failback must be rolled back to, or null when nothing is owed.
 * A closed plan with status `rolled_back` is the promise; the next plan keeps it, whoever leads by then.
 */
export function rollbackOwed(group: GroupState): SiteId | null {
  const { plan } = group;
  return plan?.status === "rolled_back" ? plan.from : null;
}

/** The last plan failed and nothing has been decided since: the ticket stands where the plan left it. */
export function isUnsettled(group: GroupState): boolean {
  return group.plan?.status === "failed";
}

/** A value of a record by a key that came from outside; never one of `Object.prototype`. */
export function own<T>(record: Readonly<Record<string, T>>, key: string): T | undefined {
  return Object.hasOwn(record, key) ? record[key] : undefined;
}
