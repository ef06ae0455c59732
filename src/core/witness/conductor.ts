/**
 * What a leader does besides replicating: it writes down what the witnesses see, decides, and drives plans.
 *
 * It looks at the replicated state and says what should be written next; nothing is done before what allows it is
 * committed and applied. It keeps nothing that a successor would need: which steps it runs itself, and outcomes that
 * are not in the log yet. If it dies, the next leader finds the step begun and begins it again.
 */
import { type Epoch, epoch, type Term, type WitnessId } from "../base/ids.js";
import { judgeGroup } from "../health/health.js";
import { configureRefusal } from "../model/apply-config.js";
import type { Command } from "../model/command.js";
import { allTargets, type ClusterConfig, type GroupConfig, type TargetKey } from "../model/config.js";
import type { SiteVerdict } from "../model/observation.js";
import type { Plan, State, StepKey, StepOutcome } from "../model/state.js";
import { judgeOutcome, nextAction, planSteps } from "../plan/plan.js";
import { decide, type PolicyInput } from "../policy/policy.js";
import type { Effect } from "./contract.js";
import type { Views } from "./views.js";

/** The moment at which duties are looked at. */
export interface Moment {
  readonly monoMs: number;
  /** Cluster time. */
  readonly nowMs: number;
}

/** What the conductor may do to the world: propose under a key, and have effects performed. */
export interface Podium {
  readonly self: WitnessId;
  propose(key: string, command: Command): void;
  busy(key: string): boolean;
  effect(effect: Effect): void;
}

/** A step key as text, for sets. */
function keyText(key: StepKey): string {
  return `${key.group}:${key.epoch}:${key.step}:${key.attempt}`;
}

export class Conductor {
  private readonly podium: Podium;
  /** The leader's own document and its hash. */
  private readonly own: { readonly config: ClusterConfig; readonly hash: string };
  private leadingSince: Moment | null = null;
  /**
   * By group: the attempt that this leadership began last, and its outcome. Of a group one attempt counts,
   * the latest.
   */
  private readonly mine = new Map<string, string>();
  private readonly outcomes = new Map<string, StepOutcome>();
  private readonly running = new Map<string, StepKey>();
  private known: { readonly config: ClusterConfig; readonly targets: ReadonlySet<TargetKey> } | null = null;
  private judged: {
    readonly config: ClusterConfig;
    readonly witnesses: State["witnesses"];
    readonly verdicts: Map<string, readonly SiteVerdict[]>;
  } | null = null;
  /** Why the own document was refused, as last said. */
  private refusal: string | null = null;

  constructor(podium: Podium, own: { readonly config: ClusterConfig; readonly hash: string }) {
    this.podium = podium;
    this.own = own;
  }

  /** This witness became leader, or was confirmed as leader after it had stood still: it begins to listen. */
  begin(at: Moment): void {
    this.leadingSince = at;
  }

  /** This witness leads no longer: what it runs is stopped, and nothing of it is believed any more. */
  end(): void {
    this.leadingSince = null;
    for (const key of this.running.values()) this.podium.effect({ kind: "cancel", key });
    this.running.clear();
    this.mine.clear();
    this.outcomes.clear();
  }

  /** A `begin` was applied; if this leader wrote it in this leadership, the step is its own to run. */
  onBegun(key: StepKey, leader: WitnessId, entryTerm: Term, ownTerm: Term): void {
    if (this.leadingSince === null || leader !== this.podium.self || entryTerm !== ownTerm) return;
    this.mine.set(key.group, keyText(key));
    this.outcomes.delete(key.group);
  }

  /** A step that this leader ran has ended. */
  onActuated(key: StepKey, outcome: StepOutcome): void {
    const text = keyText(key);
    this.running.delete(text);
    if (this.mine.get(key.group) === text) this.outcomes.set(key.group, outcome);
  }

  /** The witnesses' records as this leader may believe them. */
  believed(state: State, views: Views): ReturnType<Views["believed"]> {
    const sinceMonoMs = this.leadingSince?.monoMs ?? Number.POSITIVE_INFINITY;
    return views.believed(state.witnesses, sinceMonoMs);
  }

  /** The targets of the replicated document. */
  private targetsOf(config: ClusterConfig): ReadonlySet<TargetKey> {
    if (this.known?.config !== config) {
      this.known = { config, targets: new Set(allTargets(config).map(({ key }) => key)) };
    }
    return this.known.targets;
  }

  /** Does all that is due now. */
  conduct(state: State, views: Views, at: Moment): void {
    const since = this.leadingSince;
    if (since === null) return;
    this.configure(state);
    const config = state.config;
    if (config === null) return;
    for (const { id } of config.witnesses) {
      const key = `observe ${id}`;
      if (this.podium.busy(key)) continue;
      const command = views.duty(id, state, {
        monoMs: at.monoMs,
        sinceMonoMs: since.monoMs,
        viewTimeoutMs: config.timings.viewTimeoutMs,
        targets: this.targetsOf(config),
      });
      if (command !== null) this.podium.propose(key, command);
    }
    const { witnesses, isComplete } = this.believed(state, views);
    for (const group of config.groups) {
      const current = state.groups[group.id];
      if (current === undefined || this.podium.busy(`group ${group.id}`)) continue;
      const verdicts = this.verdictsOf(config, group, witnesses);
      const input = { config, group, state: current, verdicts, nowMs: at.nowMs };
      if (current.plan?.status === "running") this.drive(input, current.plan, at.monoMs - since.monoMs);
      else this.decide(input, isComplete);
    }
  }

  /** What `judgeGroup` says; judged anew only when a record or the document changed: most inputs leave both. */
  private verdictsOf(
    config: ClusterConfig,
    group: GroupConfig,
    witnesses: State["witnesses"],
  ): readonly SiteVerdict[] {
    if (this.judged?.config !== config || !sameRecords(this.judged.witnesses, witnesses))
      this.judged = { config, witnesses, verdicts: new Map() };
    const known = this.judged.verdicts.get(group.id) ?? judgeGroup(config, group, witnesses);
    this.judged.verdicts.set(group.id, known);
    return known;
  }

  /** A newer document than the replicated one is replicated; the same version with other words is not touched. */
  private configure(state: State): void {
    const { config, hash } = this.own;
    if (state.config !== null && state.config.version >= config.version) return;
    if (this.podium.busy("configure")) return;
    const refusal = configureRefusal(state, config);
    if (refusal === null) {
      this.podium.propose("configure", { kind: "configure", config, hash });
    } else if (refusal !== this.refusal) {
      const message = `the document of this leader, version ${config.version}, is not taken: ${refusal}`;
      this.podium.effect({ kind: "publish", event: { kind: "warning", code: "config_refused", message } });
    }
    this.refusal = refusal;
  }

  /**
   * Decides on a group without a running plan. `isComplete`: every witness that is not stale was heard in
   * this leadership.
   */
  private decide(input: PolicyInput, isComplete: boolean): void {
    const { group, state: current } = input;
    const propose = (command: Command): void => this.podium.propose(`group ${group.id}`, command);
    const decision = decide(input);
    if (decision.kind === "switch") {
      propose({
        kind: "decide",
        group: group.id,
        epoch: nextEpoch(current.lastEpoch),
        plan: decision.plan,
        from: decision.from,
        to: decision.to,
        steps: planSteps(group, decision.plan, decision.from),
        reason: decision.reason,
        evidence: decision.evidence,
        by: "policy",
      });
      return;
    }
    const { code, message, evidence, noteworthy } = decision.standing;
    const noted = noteworthy ? code : null;
    // A leader that has not heard everybody yet would note what it only does not know yet.
    if (noted === current.notedCode || !isComplete) return;
    propose({ kind: "note", group: group.id, code: noted, message, evidence });
  }

  /** Does what the running plan needs next. `leadingMs`: how long this leader has led. */
  private drive(input: PolicyInput, plan: Plan, leadingMs: number): void {
    const { config, group } = input;
    const propose = (command: Command): void => this.podium.propose(`group ${group.id}`, command);
    const ended = this.outcomeOf(plan);
    if (ended !== null) {
      const { next } = judgeOutcome(group, plan, ended.key, ended.outcome);
      propose({ kind: "finish", key: ended.key, outcome: ended.outcome, next });
      return;
    }
    const action = nextAction({
      ...input,
      me: this.podium.self,
      mine: (key) => this.mine.get(key.group) === keyText(key),
      takeoverMs: config.timings.electionMaxMs,
      // By the own monotonic clock: cluster time leaps when a new leader learns the stamps of its predecessor.
      leaderSinceMs: input.nowMs - leadingMs,
    });
    switch (action.kind) {
      case "begin":
        return propose({ kind: "begin", key: action.key, leader: this.podium.self });
      case "run":
        return this.run(action.key, action.deadlineMs, plan, group);
      case "finish":
        // An overdue step is given up: what still runs of it must not run beside the next attempt.
        this.abandon(action.key);
        return propose({ kind: "finish", key: action.key, outcome: action.outcome, next: action.next });
      case "grant":
        return propose({ kind: "grant", group: group.id, epoch: action.epoch, site: action.site });
      case "close":
        return propose({
          kind: "close",
          group: group.id,
          epoch: plan.epoch,
          status: action.status,
          reason: action.reason,
          hold: action.hold,
        });
      case "wait":
        return;
    }
  }

  private run(key: StepKey, deadlineMs: number, plan: Plan, group: GroupConfig): void {
    const text = keyText(key);
    if (this.running.has(text) || this.outcomes.has(key.group)) return;
    this.running.set(text, key);
    this.podium.effect({ kind: "actuate", key, plan, group, deadlineMs });
  }

  private abandon(key: StepKey): void {
    if (this.running.delete(keyText(key))) this.podium.effect({ kind: "cancel", key });
  }

  /** The outcome of the plan's current step, if this leader ran it and the log does not know it yet. */
  private outcomeOf(plan: Plan): { key: StepKey; outcome: StepOutcome } | null {
    const record = plan.steps[plan.cursor];
    if (record === undefined || record.status !== "begun") return null;
    const key = { group: plan.group, epoch: plan.epoch, step: record.step, attempt: record.attempt };
    const outcome = this.mine.get(key.group) === keyText(key) ? this.outcomes.get(key.group) : undefined;
    return outcome === undefined ? null : { key, outcome };
  }
}

/** True when both hold the very same records; they are replaced, never changed. */
function sameRecords(a: State["witnesses"], b: State["witnesses"]): boolean {
  const ids = Object.keys(a);
  return ids.length === Object.keys(b).length && ids.every((id) => a[id] === b[id]);
}

/** The epoch after `last`. */
export function nextEpoch(last: Epoch): Epoch {
  return epoch(last + 1);
}
