/**
 * Policy: what should happen to a group's ticket, and why. The door of the room.
 *
 * A pure function of the replicated state, the majority's verdicts and cluster time. It moves a ticket only
 * on a positive finding (the primary is down and a candidate is up), never on a lack of knowledge, and it
 * answers "why not" with the same care as "why": every stay has a stable code, a sentence and the evidence.
 *
 * The order of the questions: a running plan or an owed rollback; a switch that failed and was not settled; no primary
 * yet; the primary's verdict. A hold is asked last, so that it can say what it holds back.
 *
 * Rules that are decisions of ours:
 * - First grant: to the highest-priority site that is up and stable. A higher one that is up but not stable
 *   yet, or that the majority has no opinion of, is waited for without limit: nothing serves yet, so nothing
 *   is lost, and a person may switch over to another one at once.
 * - A switch that failed for good does not wait for the hold-down: the service is down, and since `failedSites` only
 *   grows until a person resumes, it cannot go round in circles. It is taken up again at the ticket's holder if that is
 *   a candidate (a person resumed), else at the next one in priority order.
 * - The first grant starts no hold-down; every other finished plan does, a person's switchover too.
 */
import type { SiteId } from "../base/ids.js";
import type { Standing } from "../model/admin.js";
import type { RefusalCode } from "../model/code.js";
import { majority } from "../model/config.js";
import { currentStep, isUnsettled, rollbackOwed, runningPlan, takenFrom } from "../model/group.js";
import type { Plan, PlanKind } from "../model/state.js";
import {
  firstCandidate,
  holdDownLeftMs,
  isAllDown,
  type PolicyInput,
  verdictOn,
  whyNotCandidate,
  whyNotUp,
} from "./candidates.js";
import { duration, names, siteBecause, siteEvidence } from "./words.js";

export type { PolicyInput } from "./candidates.js";

/** Every code of a standing, and what it means. Stable: programs branch on them. */
export const POLICY_CODES = {
  initial: "the group gets its first primary",
  failover: "the primary is down and a candidate takes over",
  failback: "a site of higher priority takes over again, as configured",
  rollback: "a failed switchover or failback is undone",
  plan_running: "a plan is under way",
  primary_up: "the primary is up; nothing to do",
  failback_waits: "the primary is up; a site of higher priority is not ready for the failback yet",
  primary_unknown: "the majority has no opinion of the primary",
  all_down: "a majority sees every site down: the witnesses' own network is the likelier fault",
  hold_down: "the primary is down, but the last switch was too short ago",
  no_candidate: "a new primary is needed and no site could become it",
  initial_waits: "no site was ever primary; the preferred one is up and not stable yet",
  initial_unknown: "no site was ever primary; the majority has no opinion of a preferred one",
  hold: "on hold, and nothing would be done anyway",
  hold_blocks: "on hold, although something is wrong or would be done",
} as const satisfies Record<string, string>;

export type PolicyCode = keyof typeof POLICY_CODES;

export type Decision =
  | {
      readonly kind: "switch";
      readonly plan: PlanKind;
      /** Who gives the ticket up; null when nobody does. */
      readonly from: SiteId | null;
      readonly to: SiteId;
      readonly reason: string;
      readonly evidence: readonly string[];
    }
  | { readonly kind: "stay"; readonly standing: Standing };

/** What should be done with the group now. */
export function decide(input: PolicyInput): Decision {
  const { state } = input;
  const plan = runningPlan(state);
  if (plan !== null) return { kind: "stay", standing: planStanding(input, plan) };
  const owed = rollbackOwed(state);
  if (owed !== null) {
    const failed = state.plan;
    const reason = `${failed?.kind ?? "the switch"} to ${failed?.to ?? "?"} (epoch ${failed?.epoch ?? state.lastEpoch}) failed: ${failed?.endReason ?? ""}`;
    return switchTo(input, "rollback", owed, reason);
  }
  const wanted = decideWithoutHold(input);
  return state.mode === "automatic" ? wanted : held(input, wanted);
}

/** What status shows: why the group moves or stays at this moment. */
export function standing(input: PolicyInput): Standing {
  const decision = decide(input);
  if (decision.kind === "stay") return decision.standing;
  return {
    action: "switch",
    code: decision.plan,
    message: `${decision.plan} to ${decision.to}: ${decision.reason}`,
    evidence: decision.evidence,
    noteworthy: decision.plan === "failover" || decision.plan === "rollback",
  };
}

/** What would have to change for the group to move by itself, one line each; empty when it is about to. */
export function explainMissing(input: PolicyInput): readonly string[] {
  const { config, group, state } = input;
  const plan = runningPlan(state);
  if (plan !== null) return [`the running plan has to end: ${planWords(plan)}`];
  if (decide(input).kind === "switch") return [];
  const lines: string[] = [];
  if (state.mode === "hold")
    lines.push(`a person has to resume the group: on hold (${state.holdReason ?? "no reason given"})`);
  const primary = state.ticket.status === "held" && !isUnsettled(state) ? state.ticket.site : null;
  const verdict = primary === null ? null : verdictOn(input, primary);
  if (verdict !== null && verdict.verdict !== "down") {
    const needed = `${majority(config)} of ${config.witnesses.length} witnesses have to see one required target of ${verdict.site} down`;
    const counts = verdict.targets
      .filter((target) => target.required)
      .map((target) => `${target.target} ${target.down.length}`);
    lines.push(`${needed}; now: ${counts.length === 0 ? "no target is judged" : counts.join(", ")}`);
  }
  if (primary !== null && holdDownLeftMs(input) > 0) {
    lines.push(`the hold-down has to pass: ${duration(holdDownLeftMs(input))} to go`);
  }
  const first = state.ticket.site === null && !isUnsettled(state) ? decideWithoutHold(input) : null;
  if (first?.kind === "stay") lines.push(first.standing.message);
  const { site, passed } = firstCandidate(input, otherSites(input, primary));
  if (site === null && first === null) lines.push(...passed.map((line) => `a candidate is needed: ${line}`));
  if (isAllDown(input))
    lines.push("some site has to be seen up: all look down, which is likelier the witnesses' own network");
  if (primary !== null && verdict?.verdict === "up" && group.failback.kind === "automatic") {
    for (const line of failbackObstacles(input, primary)) lines.push(`for a failback: ${line}`);
  }
  return lines;
}

/**
 * Whether a person may switch the group over to `to` now. Neither hold nor hold-down stops a person, nor a failure of
 * that site in the past; a running plan, and a site that is not up and stable, do. The present primary is refused
 * unless its last switch failed or the names point elsewhere: then the switchover repairs it.
 */
export function judgeSwitchover(
  input: PolicyInput,
  to: SiteId,
):
  | { readonly kind: "ok"; readonly from: SiteId | null; readonly evidence: readonly string[] }
  | { readonly kind: "refused"; readonly code: RefusalCode; readonly message: string } {
  const { group, state } = input;
  const refuse = (code: RefusalCode, message: string) => ({ kind: "refused", code, message }) as const;
  if (!group.sites.some(({ site }) => site === to)) {
    return refuse(
      "unknown_site",
      `group ${group.id} has no site ${to}; it has ${names(group.sites.map(({ site }) => site))}`,
    );
  }
  const plan = runningPlan(state);
  if (plan !== null) return refuse("plan_running", `${planWords(plan)}; wait for its end`);
  const owed = rollbackOwed(state);
  if (owed !== null)
    return refuse("plan_running", `a rollback of ${group.id} to ${owed} is about to begin; wait for its end`);
  const { ticket, routed } = state;
  const settled = !isUnsettled(state) && (routed === null || routed.site === to);
  if (ticket.status === "held" && ticket.site === to && settled) {
    return refuse("already_primary", `site ${to} is primary of ${group.id} already, epoch ${ticket.epoch}`);
  }
  const why = whyNotUp(input, to, group.stabilityMs);
  if (why !== null) return refuse("not_eligible", `site ${to} ${why}; wait until it is up and stable`);
  return { kind: "ok", from: takenFrom(ticket, to), evidence: allEvidence(input) };
}

function decideWithoutHold(input: PolicyInput): Decision {
  const { ticket } = input.state;
  if (isUnsettled(input.state) || ticket.status === "revoked") return settle(input);
  if (ticket.site === null) return firstGrant(input);
  const verdict = verdictOn(input, ticket.site);
  if (verdict.verdict === "up") return primaryUp(input, ticket.site);
  if (verdict.verdict === "down") return primaryDown(input, ticket.site);
  return stay(
    input,
    "primary_unknown",
    `site ${ticket.site} is primary, and a majority has no opinion of it (${siteBecause(verdict)}); nothing moves on silence`,
  );
}

function firstGrant(input: PolicyInput): Decision {
  if (isAllDown(input)) return allDown(input);
  const passed: string[] = [];
  for (const { site } of input.group.sites) {
    const why = whyNotCandidate(input, site, input.group.stabilityMs);
    if (why === null) {
      const reason = ["no site was primary yet", ...passed, `site ${site} is up and stable`].join("; ");
      return switchTo(input, "initial", site, reason);
    }
    const { verdict } = verdictOn(input, site);
    if (verdict !== "down" && !input.state.failedSites.includes(site)) {
      const code = verdict === "up" ? "initial_waits" : "initial_unknown";
      return stay(input, code, `no site is primary yet; waiting for site ${site}, which ${why}`);
    }
    passed.push(`site ${site} ${why}`);
  }
  return stay(input, "no_candidate", `no site is primary yet, and none can be: ${passed.join("; ")}`);
}

function primaryUp(input: PolicyInput, primary: SiteId): Decision {
  const { failback } = input.group;
  const better = betterSites(input, primary);
  if (failback.kind === "manual" || better.length === 0) {
    return stay(input, "primary_up", `site ${primary} is primary and up`);
  }
  const upForMs = Math.max(failback.afterMs, input.group.stabilityMs);
  const ready = better.find((site) => whyNotCandidate(input, site, upForMs) === null);
  if (ready !== undefined && holdDownLeftMs(input) === 0) {
    return switchTo(
      input,
      "failback",
      ready,
      `site ${ready} goes before ${primary} and is up for ${duration(upForMs)} or longer`,
    );
  }
  return stay(
    input,
    "failback_waits",
    `site ${primary} is primary and up; no failback yet: ${failbackObstacles(input, primary).join("; ")}`,
  );
}

/** Why no failback from `primary` happens now, one line each. */
function failbackObstacles(input: PolicyInput, primary: SiteId): string[] {
  const { failback, stabilityMs } = input.group;
  const upForMs = failback.kind === "automatic" ? Math.max(failback.afterMs, stabilityMs) : 0;
  const lines = betterSites(input, primary).flatMap((site) => {
    const why = whyNotCandidate(input, site, upForMs);
    return why === null ? [] : [`site ${site} ${why}`];
  });
  const leftMs = holdDownLeftMs(input);
  return leftMs > 0 ? [...lines, `the hold-down has ${duration(leftMs)} to go`] : lines;
}

function primaryDown(input: PolicyInput, primary: SiteId): Decision {
  if (isAllDown(input)) return allDown(input);
  const down = `site ${primary} is primary and down (${siteBecause(verdictOn(input, primary))})`;
  const leftMs = holdDownLeftMs(input);
  if (leftMs > 0) {
    return stay(
      input,
      "hold_down",
      `${down}; the last switch was ${duration(input.group.holdDownMs - leftMs)} ago, the hold-down has ${duration(leftMs)} to go`,
    );
  }
  const { site, passed } = firstCandidate(input, otherSites(input, primary));
  if (site === null)
    return stay(
      input,
      "no_candidate",
      `${down}, and no site could take over: ${passed.join("; ") || "there is no other"}`,
    );
  return switchTo(input, "failover", site, [down, ...passed, `site ${site} is up and stable`].join("; "));
}

/** The last plan failed for good and left the ticket where it was: go on with the best candidate. */
function settle(input: PolicyInput): Decision {
  const { plan, ticket } = input.state;
  if (isAllDown(input)) return allDown(input);
  const failed = `the ${plan?.kind ?? "switch"} to ${plan?.to ?? "?"} (epoch ${plan?.epoch ?? input.state.lastEpoch}) failed`;
  const holder = ticket.status === "held" ? ticket.site : null;
  const order = holder === null ? otherSites(input, null) : [holder, ...otherSites(input, holder)];
  const { site, passed } = firstCandidate(input, order);
  if (site === null)
    return stay(input, "no_candidate", `${failed}, and no site could take over: ${passed.join("; ")}`);
  const kind = ticket.site === null ? "initial" : "failover";
  return switchTo(input, kind, site, [failed, ...passed, `site ${site} is up and stable`].join("; "));
}

function allDown(input: PolicyInput): Decision {
  return stay(
    input,
    "all_down",
    `a majority of the witnesses sees every site of ${input.group.id} down; their own network is the likelier fault, so nothing is moved`,
  );
}

/** What a hold makes of a decision. */
function held(input: PolicyInput, wanted: Decision): Decision {
  const hold = `on hold (${input.state.holdReason ?? "no reason given"})`;
  if (wanted.kind === "switch") {
    return stay(
      input,
      "hold_blocks",
      `${hold}; without it: ${wanted.plan} to ${wanted.to}: ${wanted.reason}`,
    );
  }
  const { message, noteworthy } = wanted.standing;
  return stay(input, noteworthy ? "hold_blocks" : "hold", `${hold}; ${message}`);
}

/** The stays that are worth a note: something is wrong, and nothing is done about it. */
const NOTEWORTHY: ReadonlySet<PolicyCode> = new Set<PolicyCode>([
  "primary_unknown",
  "all_down",
  "hold_down",
  "no_candidate",
  "initial_unknown",
  "hold_blocks",
]);

function stay(input: PolicyInput, code: PolicyCode, message: string): Decision {
  return {
    kind: "stay",
    standing: {
      action: "stay",
      code,
      message,
      evidence: allEvidence(input),
      noteworthy: NOTEWORTHY.has(code),
    },
  };
}

function switchTo(input: PolicyInput, plan: PlanKind, to: SiteId, reason: string): Decision {
  return {
    kind: "switch",
    plan,
    from: takenFrom(input.state.ticket, to),
    to,
    reason,
    evidence: allEvidence(input),
  };
}

function planStanding(input: PolicyInput, plan: Plan): Standing {
  return {
    action: "plan",
    code: "plan_running" satisfies PolicyCode,
    message: `${planWords(plan)}; begun ${duration(input.nowMs - plan.startedAtMs)} ago because ${plan.reason}`,
    evidence: plan.evidence,
    noteworthy: false,
  };
}

function planWords(plan: Plan): string {
  const step = currentStep(plan);
  const at =
    step === null
      ? "all steps are finished"
      : `${step.step} is ${step.status}${step.attempt === 0 ? "" : `, attempt ${step.attempt}`}${step.by === null ? "" : `, by ${step.by}`}`;
  return `${plan.kind} of ${plan.group} to ${plan.to} (epoch ${plan.epoch}) is under way: ${at}`;
}

function allEvidence(input: PolicyInput): string[] {
  return input.group.sites.flatMap(({ site }) => siteEvidence(verdictOn(input, site), input.nowMs));
}

/** The sites that go before `primary` in the order of priority. */
function betterSites(input: PolicyInput, primary: SiteId): SiteId[] {
  const sites = input.group.sites.map(({ site }) => site);
  return sites.slice(0, Math.max(0, sites.indexOf(primary)));
}

/** All sites but `primary`, in the order of priority. */
function otherSites(input: PolicyInput, primary: SiteId | null): SiteId[] {
  return input.group.sites.map(({ site }) => site).filter((site) => site !== primary);
}
