/**
 * `observe` and `stale`: what each witness is committed to see.
 *
 * `sinceMs` and `index` of an observation move only with the opinion, so that "down since" is the moment of
 * the change and not of the last repetition; evidence is refreshed each time. Only changes of opinion, and a
 * witness that falls silent or is heard again, are told.
 */
import { type Change, refused, type Stamp, type Told } from "./change.js";
import type { Command } from "./command.js";
import { allTargets } from "./config.js";
import { own } from "./group.js";
import type { Observation } from "./observation.js";
import type { RecordedObservation, State, WitnessRecord } from "./state.js";

/** Takes one witness's view into the state; targets that are not configured are dropped. */
export function observe(state: State, stamp: Stamp, command: Extract<Command, { kind: "observe" }>): Change {
  const before = own(state.witnesses, command.witness);
  if (before === undefined || state.config === null)
    return refused(`no witness ${command.witness} is configured`);
  const seen = new Map(command.observations.map((observation) => [observation.target, observation]));
  const told: Told[] = [];
  const observations: Record<string, RecordedObservation> = {};
  // Rebuilt in the order of the document, so that equal views have equal encodings.
  for (const { key, group, site, target } of allTargets(state.config)) {
    const old = own(before.observations, key);
    const now = seen.get(key);
    const record = now === undefined ? old : recorded(old, now, stamp);
    if (record === undefined) continue;
    observations[key] = record;
    if (record.opinion === (old?.opinion ?? "unknown")) continue;
    told.push({
      kind: "observation",
      group: group.id,
      epoch: null,
      step: null,
      message: `site ${site} of ${group.id}: target ${target.id} ${SEEN[record.opinion]} by ${before.witness} (${because(record)})`,
      detail: [],
    });
  }
  const after: WitnessRecord = {
    witness: before.witness,
    stale: false,
    abstaining: command.abstaining,
    sinceMs: before.stale || before.abstaining !== command.abstaining ? stamp.nowMs : before.sinceMs,
    observations,
  };
  return withWitness(state, after, [...conditionTold(before, after), ...told]);
}

/** Marks a witness as not heard of; all its opinions count as unknown from here. */
export function stale(state: State, stamp: Stamp, command: Extract<Command, { kind: "stale" }>): Change {
  const before = own(state.witnesses, command.witness);
  if (before === undefined) return refused(`no witness ${command.witness} is configured`);
  if (before.stale) return refused(`witness ${command.witness} is stale already`);
  const after: WitnessRecord = { ...before, stale: true, sinceMs: stamp.nowMs };
  return withWitness(state, after, conditionTold(before, after));
}

const SEEN = { up: "seen up", down: "seen down", unknown: "no longer judged" } as const;

function recorded(old: RecordedObservation | undefined, now: Observation, stamp: Stamp): RecordedObservation {
  if (old !== undefined && old.opinion === now.opinion) return { ...old, evidence: now.evidence };
  return {
    opinion: now.opinion,
    sinceMs: stamp.nowMs,
    sinceWallMs: stamp.wallMs,
    index: stamp.index,
    evidence: now.evidence,
  };
}

function because({ evidence }: RecordedObservation): string {
  return evidence.text === "" ? evidence.kind : evidence.text;
}

function conditionTold(before: WitnessRecord, after: WitnessRecord): Told[] {
  const message =
    before.stale !== after.stale
      ? after.stale
        ? `witness ${after.witness} is not heard of; what it saw counts as unknown`
        : `witness ${after.witness} is heard again${after.abstaining ? ", and abstains after a stall of its own" : ""}`
      : before.abstaining !== after.abstaining
        ? after.abstaining
          ? `witness ${after.witness} abstains after a stall of its own; what it saw counts as unknown`
          : `witness ${after.witness} judges again`
        : null;
  return message === null
    ? []
    : [{ kind: "witness", group: null, epoch: null, step: null, message, detail: [] }];
}

function withWitness(state: State, record: WitnessRecord, told: readonly Told[]): Change {
  return {
    kind: "changed",
    state: { ...state, witnesses: { ...state.witnesses, [record.witness]: record } },
    told,
  };
}
