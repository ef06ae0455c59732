/**
 * A plan in two to four lines: what, why, and each step with how long it took.
 */
import type { Plan, StepRecord } from "../core/model/state.js";
import { span } from "./render-words.js";
import type { Paint } from "./terminal.js";

/** The lines of a plan; `nowMs` is cluster time. */
export function renderPlan(plan: Plan, nowMs: number, paint: Paint): string[] {
  const lines = [
    `${plan.kind} ${plan.from ?? "(none)"} → ${plan.to}, epoch ${plan.epoch}: ${planStatus(plan, nowMs, paint)}`,
    `because ${plan.reason}${askedBy(plan)}`,
    plan.steps.map((step) => renderStep(step, nowMs, paint)).join(paint.dim(" · ")),
  ];
  for (const step of plan.steps) {
    const trouble = stepTrouble(step);
    if (trouble !== null) lines.push(paint.red(trouble));
  }
  return lines;
}

/** Who asked, when that is a person whom the reason does not name already. */
function askedBy(plan: Plan): string {
  return plan.by === "policy" || plan.reason.includes(plan.by) ? "" : ` (asked by ${plan.by})`;
}

function planStatus(plan: Plan, nowMs: number, paint: Paint): string {
  if (plan.status === "running" || plan.endedAtMs === null) {
    return paint.yellow(`running for ${span(nowMs - plan.startedAtMs)}`);
  }
  const took = span(plan.endedAtMs - plan.startedAtMs);
  const ago = span(nowMs - plan.endedAtMs);
  if (plan.status === "done") return `${paint.green("done")} in ${took}, ${ago} ago`;
  const word = plan.status === "failed" ? "failed" : "rolled back";
  return `${paint.red(word)} after ${took}, ${ago} ago: ${plan.endReason ?? "no reason was kept"}`;
}

/** "route 45 ms", "verify ×3 running 1.2 s", "fence skipped". */
export function renderStep(step: StepRecord, nowMs: number, paint: Paint): string {
  const attempt = step.attempt > 1 ? ` ×${step.attempt}` : "";
  const took = step.begunAtMs === null ? "" : ` ${span((step.finishedAtMs ?? nowMs) - step.begunAtMs)}`;
  switch (step.status) {
    case "done":
      return `${step.step}${attempt}${took}`;
    case "pending":
    case "skipped":
      return paint.dim(`${step.step} ${step.status}`);
    case "begun":
      return paint.yellow(`${step.step}${attempt} running${took}`);
    case "failed":
      return paint.red(`${step.step}${attempt} failed${took}`);
    case "unknown":
      return paint.red(`${step.step}${attempt} unknown${took}`);
  }
}

/** What went wrong in a step that is not done, or null. */
export function stepTrouble(step: StepRecord): string | null {
  if (step.outcome === null || step.outcome.kind === "done") return null;
  const detail = step.outcome.detail === "" ? "" : ` [${step.outcome.detail}]`;
  return `${step.step}: ${step.outcome.message} (${step.outcome.code})${detail}`;
}
