/**
 * What the quorum makes of the witnesses' opinions. Pure functions of the configuration and the replicated records.
 *
 * The majority is of all configured witnesses, not of those that answered: with two of five cut off, three
 * must agree. A witness that is missing, stale or abstaining counts as unknown, never as up or down.
 *
 *   target: up or down when a majority says so, else unknown
 *   site:   down when any required target is down; up when all required targets are up; else unknown. A site without
 *           required targets (which configuration refuses) is unknown: absence of evidence is not health.
 */
import type { SiteId, WitnessId } from "../base/ids.js";
import {
  type ClusterConfig,
  type GroupConfig,
  majority,
  type TargetKey,
  targetKey,
} from "../model/config.js";
import type { Opinion, SiteVerdict, TargetVerdict } from "../model/observation.js";
import type { State } from "../model/state.js";

type Records = State["witnesses"];

/** The majority's conclusion on one target, with the evidence of those that say down. */
export function judgeTarget(
  config: ClusterConfig,
  target: TargetKey,
  required: boolean,
  witnesses: Records,
): TargetVerdict {
  const voters: Record<Opinion, WitnessId[]> = { up: [], down: [], unknown: [] };
  const since: Record<Opinion, number[]> = { up: [], down: [], unknown: [] };
  const reasons: { witness: WitnessId; text: string }[] = [];
  for (const { id } of config.witnesses) {
    const record = witnesses[id];
    const observation = record?.observations[target];
    const heard = record !== undefined && observation !== undefined && !record.stale && !record.abstaining;
    const opinion = heard ? observation.opinion : "unknown";
    voters[opinion].push(id);
    // An opinion counts from when it was formed and from when its witness could be believed again.
    if (heard) since[opinion].push(Math.max(observation.sinceMs, record.sinceMs));
    if (heard && opinion === "down") reasons.push({ witness: id, text: observation.evidence.text });
  }
  const quorum = majority(config);
  const verdict = voters.up.length >= quorum ? "up" : voters.down.length >= quorum ? "down" : "unknown";
  return {
    target,
    required,
    verdict,
    ...voters,
    sinceMs: verdict === "unknown" ? null : quorumSince(since[verdict], quorum),
    reasons,
  };
}

/**
 * Since when a majority agrees: the `quorum`-th smallest of the times at which each that agrees began to. At
 * that moment the last one needed had joined, and those first `quorum` have not wavered since. (Another
 * majority may have held before; it is not counted, so a time of stability is never overstated.)
 */
function quorumSince(times: readonly number[], quorum: number): number | null {
  return [...times].sort((a, b) => a - b)[quorum - 1] ?? null;
}

/** The conclusion on one site of a group. */
export function judgeSite(
  config: ClusterConfig,
  group: GroupConfig,
  site: SiteId,
  witnesses: Records,
): SiteVerdict {
  const configured = group.sites.find((candidate) => candidate.site === site)?.targets ?? [];
  const targets = configured.map(({ id, required }) =>
    judgeTarget(config, targetKey(group.id, site, id), required, witnesses),
  );
  const required = targets.filter((target) => target.required);
  const down = required.filter((target) => target.verdict === "down");
  if (down.length > 0) return { site, verdict: "down", sinceMs: Math.min(...sinceOf(down)), targets };
  if (required.length > 0 && required.every((target) => target.verdict === "up")) {
    return { site, verdict: "up", sinceMs: Math.max(...sinceOf(required)), targets };
  }
  return { site, verdict: "unknown", sinceMs: null, targets };
}

/** The conclusions on all sites of a group, in its order of priority. */
export function judgeGroup(
  config: ClusterConfig,
  group: GroupConfig,
  witnesses: Records,
): readonly SiteVerdict[] {
  return group.sites.map(({ site }) => judgeSite(config, group, site, witnesses));
}

function sinceOf(targets: readonly TargetVerdict[]): number[] {
  return targets.map((target) => target.sinceMs ?? 0);
}
