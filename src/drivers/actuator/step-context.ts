/**
 * What one running of a step knows: the plan, the group, and how long it may take.
 *
 * `describeStep` is what hooks and webhooks are told. Names are stable; new ones may be added.
 */
import type { ClusterConfig, GroupConfig, GroupSite } from "../../core/model/config.js";
import type { Plan, StepKey } from "../../core/model/state.js";

export interface StepContext {
  readonly key: StepKey;
  readonly plan: Plan;
  readonly group: GroupConfig;
  /** The configuration of this witness now: cluster name, embedded zones, witnesses. */
  readonly config: ClusterConfig;
  /** The witness that runs the step. */
  readonly witness: string;
  /** Budget of this step. */
  readonly deadlineMs: number;
  /** Ends the step early: its deadline, a cancel, or the end of the process. */
  readonly signal: AbortSignal;
}

/** What a hook reads as JSON and a webhook receives. */
export interface StepDescription {
  readonly cluster: string;
  readonly group: string;
  /** The site that gives the ticket up, or null. */
  readonly from: string | null;
  readonly to: string;
  readonly epoch: number;
  readonly step: string;
  readonly attempt: number;
  readonly kind: string;
  /** Equal for every attempt of one step: do the work once. */
  readonly idempotencyKey: string;
  readonly witness: string;
  readonly by: string;
  readonly reason: string;
  readonly evidence: readonly string[];
}

/** The facts of a step for programs outside. */
export function describeStep({ key, plan, config, witness }: StepContext): StepDescription {
  return {
    cluster: config.cluster,
    group: key.group,
    from: plan.from,
    to: plan.to,
    epoch: key.epoch,
    step: key.step,
    attempt: key.attempt,
    kind: plan.kind,
    idempotencyKey: `${key.group}:${key.epoch}:${key.step}`,
    witness,
    by: plan.by,
    reason: plan.reason,
    evidence: plan.evidence,
  };
}

/** The site that the plan moves to, as the group has it; undefined when it left the configuration meanwhile. */
export function targetSite({ plan, group }: StepContext): GroupSite | undefined {
  return group.sites.find((at) => at.site === plan.to);
}
