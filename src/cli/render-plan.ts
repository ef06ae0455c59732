/**
 * A plan in two to four lines: what, why, and each step with how long it took.
 *
 * The sentence of a failed step stands in its outcome, in the plan's end, in the reason of the rollback, and
 * in the hold that waits for a person. Here it is said once: what was told above, or in a line before, is
 * left out.
 */
import type { Plan, StepRecord } from "../core/model/state.js";
import { span } from "./render-words.js";
import type { Paint } from "./terminal.js";

/** The lines of a plan; `nowMs` is cluster time, `told` what stands above it on the same screen. */
export function renderPlan(plan: Plan, nowMs: number, paint: Paint, told = ""): string[] {
  const sentences = plan.steps.flatMap((step) => (step.outcome === null ? [] : [step.outcome.message]));
  let above = told;
  const once = (text: string): string => {
    const isKnown = (sentence: string): boolean => sentence !== "" && above.includes(sentence);
    const brief = sentences.filter(isKnown).reduce((left, known) => left.replace(`: ${known}`, ""), text);
    above += `\n${text}`;
    return brief;
  };
  const lines = [
    once(`${plan.kind} ${plan.from ?? "(none)"} → ${plan.to}, epoch ${plan.epoch}: `) +
      planStatus(plan, nowMs, paint, once),
    once(`because ${plan.reason}${askedBy(plan)}`),
    plan.steps.map((step) => renderStep(step, nowMs, paint)).join(paint.dim(" · ")),
  ];
  for (const step of plan.steps) {
    const trouble = stepTrouble(step, above);
    if (trouble !== null) lines.push(paint.red(trouble));
  }
  return lines;
}

/** Who asked, when that is a person whom the reason does not name already. */
function askedBy(plan: Plan): string {
  return plan.by === "policy" || plan.reason.includes(plan.by) ? "" : ` (asked by ${plan.by})`;
}

function planStatus(plan: Plan, nowMs: number, paint: Paint, once: (text: string) => string): string {
  if (plan.status === "running" || plan.endedAtMs === null) {
    return paint.yellow(`running for ${span(nowMs - plan.startedAtMs)}`);
  }
  const took = span(plan.endedAtMs - plan.startedAtMs);
  const ago = span(nowMs - plan.endedAtMs);
  if (plan.status === "done") return `${paint.green("done")} in ${took}, ${ago} ago`;
  const word = plan.status === "failed" ? "failed" : "rolled back";
  return `${paint.red(word)} after ${took}, ${ago} ago: ${once(plan.endReason ?? "no reason was kept")}`;
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

/** What went wrong in a step that is not done, or null; of a sentence that is `told` already only the place is left. */
export function stepTrouble(step: StepRecord, told = ""): string | null {
  if (step.outcome === null || step.outcome.kind === "done") return null;
  const { message, code, detail } = step.outcome;
  const place = detail.replaceAll(message, "").replace(/[:\s]+$/, "");
  if (message !== "" && told.includes(message)) return place === "" ? null : `${step.step}: ${place}`;
  return `${step.step}: ${message} (${code})${place === "" ? "" : ` [${place}]`}`;
}
