/**
 * Outcomes of steps, made and joined in one place: done, failed, or unknown (it may have happened).
 */
import type { StepOutcome } from "../../core/model/state.js";

export function done(message: string, detail = ""): StepOutcome {
  return { kind: "done", code: "ok", message, retriable: false, detail };
}

export function failed(code: string, message: string, retriable: boolean, detail = ""): StepOutcome {
  return { kind: "failed", code, message, retriable, detail };
}

/** It may have happened; trying again is safe, because every step is idempotent by group, epoch and step. */
export function unknown(code: string, message: string, detail = ""): StepOutcome {
  return { kind: "unknown", code, message, retriable: true, detail };
}

/** One part of a step that has several. */
export interface Part {
  /** What it was: "zone example.com", "webhook https://chat.example.com". */
  readonly name: string;
  readonly outcome: StepOutcome;
}

/**
 * The outcome of the whole: done when every part is. Else the gravest part speaks: one that can never
 * succeed, then one of which nobody knows, then one that may be tried again. Every part is in the detail.
 */
export function join(parts: readonly Part[]): StepOutcome {
  const detail = parts
    .map(({ name, outcome }) =>
      [`${name}: ${outcome.kind}: ${outcome.message}`, outcome.detail]
        .filter((text) => text !== "")
        .join("\n"),
    )
    .join("\n");
  const open = parts.map((part) => part.outcome).filter((outcome) => outcome.kind !== "done");
  if (open.length === 0) return done(parts.map(({ outcome }) => outcome.message).join("; "), detail);
  const gravest =
    open.find((outcome) => !outcome.retriable) ??
    open.find((outcome) => outcome.kind === "unknown") ??
    open[0];
  const { kind, code, retriable } = gravest ?? failed("bug", "", false);
  const message = open.map((outcome) => outcome.message).join("; ");
  const some = open.length < parts.length ? ` (${parts.length - open.length} of ${parts.length} done)` : "";
  return { kind, code, message: `${message}${some}`, retriable, detail };
}
