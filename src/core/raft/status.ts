/** A copy of what a member knows, for status, logs and the simulator's checks. */
import { toConfState } from "./configuration.js";
import type { Member } from "./member.js";
import type { ProgressStatus, Status } from "./types.js";

/** `r` as it is now; nothing in it changes later. */
export function statusOf(r: Member): Status {
  return {
    id: r.id,
    term: r.term,
    vote: r.vote,
    commit: r.log.committed,
    applied: r.log.applied,
    lastIndex: r.log.lastIndex,
    lead: r.lead,
    state: r.state,
    leadTransferee: r.leadTransferee,
    voters: r.tracker.voters,
    learners: r.tracker.config.learners,
    confState: toConfState(r.tracker.config),
    firstIndex: r.log.firstIndex,
    progress: r.state === "StateLeader" ? progressOf(r) : [],
    recovering: r.recovering,
    anomalyCount: r.anomalyCount,
    lastAnomaly: r.lastAnomaly,
  };
}

function progressOf(r: Member): readonly ProgressStatus[] {
  return r.tracker.ids.flatMap((id) => {
    const p = r.tracker.progress(id);
    if (p === undefined) return [];
    const active = p.recentActive || p.formerlyActive;
    const { match, next, state, recentActive, paused, isLearner, recovering } = p;
    const { count: inflight, full: inflightFull } = p.inflights;
    const flow = { paused, inflight, inflightFull, pendingSnapshot: p.pendingSnapshot };
    return [{ id, match, next, state, recentActive, active, ...flow, isLearner, recovering }];
  });
}
