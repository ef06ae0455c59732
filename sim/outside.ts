/**
 * The world outside the witnesses: services that can be killed or fall silent, and a name server that
 * compares epochs before it changes its record, as a real one does by the update's prerequisites.
 */
import type { SiteId } from "../src/core/base/ids.js";
import type { TargetKey } from "../src/core/model/config.js";
import type { ProbeResult } from "../src/core/model/observation.js";
import type { Plan, StepKey, StepOutcome } from "../src/core/model/state.js";

export type ServiceState = "up" | "refused" | "silent";

export interface NameRecord {
  readonly site: SiteId;
  readonly epoch: number;
}

export class Outside {
  private readonly services = new Map<TargetKey, ServiceState>();
  private readonly names = new Map<string, NameRecord>();
  /** Every change of a name, in order; the checker reads it. */
  readonly changes: { readonly group: string; readonly record: NameRecord }[] = [];

  set(target: TargetKey, state: ServiceState): void {
    this.services.set(target, state);
  }

  probe(target: TargetKey, rttMs: number): ProbeResult {
    switch (this.services.get(target) ?? "up") {
      case "up":
        return { kind: "ok", rttMs, text: "200" };
      case "refused":
        return { kind: "definite", rttMs, text: "connection refused" };
      case "silent":
        return { kind: "ambiguous", text: "no answer" };
    }
  }

  name(group: string): NameRecord | undefined {
    return this.names.get(group);
  }

  /** Carries out a step at the moment at which the order reaches the outside. */
  actuate(key: StepKey, plan: Plan): StepOutcome {
    const done: StepOutcome = { kind: "done", code: "ok", message: "done", retriable: false, detail: "" };
    if (key.step === "verify") {
      const record = this.names.get(key.group);
      if (record?.site === plan.to) return done;
      return {
        kind: "failed",
        code: "disagree",
        message: "another site answers",
        retriable: true,
        detail: "",
      };
    }
    if (key.step !== "route") return done;
    const current = this.names.get(key.group);
    if (current !== undefined && current.epoch > key.epoch) {
      const message = `the record carries epoch ${current.epoch}`;
      return { kind: "failed", code: "stale_epoch", message, retriable: false, detail: "" };
    }
    const record = { site: plan.to, epoch: key.epoch };
    this.names.set(key.group, record);
    this.changes.push({ group: key.group, record });
    return done;
  }
}
