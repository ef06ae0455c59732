/**
 * `configure`: a newer document replaces the replicated one, and the state takes its form.
 *
 * What a document may not do while it would strand something: change who votes (a membership change, which Raft
 * has to carry: apply-members.ts), take away a group or a site that a running plan or an owed rollback needs, or
 * the site that holds a ticket or that the names point at. Each refusal names the remedy. A group that goes away
 * takes its epoch with it; if it comes back, the targets that compare epochs refuse the low ones loudly, which is
 * safe.
 */
import { type Epoch, epoch, type SiteId } from "../base/ids.js";
import { documentMembersRefusal, membersAfterDocument } from "./apply-members.js";
import { type Change, refused, type Stamp } from "./change.js";
import type { Command } from "./command.js";
import { allTargets, type ClusterConfig, findGroup, type GroupConfig } from "./config.js";
import { own, rollbackOwed, runningPlan } from "./group.js";
import { firstMembers } from "./members.js";
import type { GroupState, RecordedObservation, State, WitnessRecord } from "./state.js";

/** Why `config` may not replace the replicated document now, or null when it may. */
export function configureRefusal(state: State, config: ClusterConfig): string | null {
  const twice =
    duplicate(config.witnesses.map(({ id }) => id)) ??
    duplicate(config.groups.map(({ id }) => id)) ??
    duplicate(config.groups.flatMap((group) => group.sites.map(({ site }) => `${group.id}/${site}`))) ??
    duplicate(allTargets(config).map(({ key }) => key));
  if (twice !== null) return `${twice} stands twice in the document`;
  const present = state.config;
  if (present === null) return null;
  if (config.cluster !== present.cluster)
    return `the document is of cluster ${config.cluster}, not ${present.cluster}`;
  if (config.version <= present.version) return `version ${config.version} is not above ${present.version}`;
  const strange = documentMembersRefusal(state, config);
  if (strange !== null) return strange;
  for (const group of Object.values(state.groups)) {
    const reason = groupRefusal(group, findGroup(config, group.id));
    if (reason !== null) return reason;
  }
  return null;
}

/** Replaces the document, and gives each witness and group its record in the order of the new one. */
export function configure(
  state: State,
  stamp: Stamp,
  command: Extract<Command, { kind: "configure" }>,
): Change {
  const { config } = command;
  const refusal = configureRefusal(state, config);
  if (refusal !== null) return refused(refusal);
  const known = new Set(allTargets(config).map(({ key }) => key));
  const witnesses: Record<string, WitnessRecord> = {};
  for (const { id } of config.witnesses) {
    const old = own(state.witnesses, id);
    witnesses[id] =
      old === undefined
        ? { witness: id, stale: true, abstaining: false, sinceMs: stamp.nowMs, observations: {} }
        : { ...old, observations: keep(old.observations, known) };
  }
  const groups: Record<string, GroupState> = {};
  for (const group of config.groups) {
    const old = own(state.groups, group.id);
    groups[group.id] =
      old === undefined ? newGroup(group) : { ...old, failedSites: sitesIn(group, old.failedSites) };
  }
  const membership =
    state.config === null
      ? firstMembers(config.witnesses, stamp.nowMs)
      : { members: membersAfterDocument(state, config) };
  const message =
    state.config === null
      ? `configuration: first document, version ${config.version}, by ${stamp.leader}`
      : `configuration: version ${config.version} replaces ${state.config.version}, by ${stamp.leader}`;
  return {
    kind: "changed",
    state: { ...state, config, configHash: command.hash, ...membership, witnesses, groups },
    told: [
      {
        kind: "config",
        group: null,
        epoch: null,
        step: null,
        message,
        detail: [
          `hash ${command.hash}`,
          `witnesses ${config.witnesses.map(({ id }) => id).join(", ")}`,
          `groups ${config.groups.map(({ id }) => id).join(", ")}`,
        ],
      },
    ],
  };
}

function duplicate(names: readonly string[]): string | null {
  return names.find((name, i) => names.indexOf(name) !== i) ?? null;
}

function groupRefusal(state: GroupState, next: GroupConfig | undefined): string | null {
  const plan = runningPlan(state) ?? (rollbackOwed(state) === null ? null : state.plan);
  if (next === undefined) {
    return plan === null
      ? null
      : `group ${state.id} has a plan under way (epoch ${plan.epoch}): wait for its end`;
  }
  const has = (site: SiteId): boolean => next.sites.some((at) => at.site === site);
  for (const site of [plan?.from, plan?.to]) {
    if (site != null && !has(site))
      return `site ${site} of ${state.id} is in a plan under way: wait for its end`;
  }
  if (state.ticket.site !== null && !has(state.ticket.site)) {
    return `site ${state.ticket.site} has the ticket of ${state.id}: switch over to another site first`;
  }
  if (state.routed !== null && !has(state.routed.site)) {
    return `the names of ${state.id} point at site ${state.routed.site}: switch over to another site first`;
  }
  return null;
}

function keep(
  observations: WitnessRecord["observations"],
  known: ReadonlySet<string>,
): Record<string, RecordedObservation> {
  return Object.fromEntries(Object.entries(observations).filter(([key]) => known.has(key)));
}

function sitesIn(group: GroupConfig, sites: readonly SiteId[]): readonly SiteId[] {
  return sites.filter((site) => group.sites.some((at) => at.site === site));
}

const NO_EPOCH: Epoch = epoch(0);

function newGroup(group: GroupConfig): GroupState {
  return {
    id: group.id,
    ticket: { status: "none", site: null, epoch: NO_EPOCH, grantedAtMs: 0 },
    mode: group.mode,
    holdReason: group.mode === "hold" ? "the document starts the group on hold" : null,
    routed: null,
    lastEpoch: NO_EPOCH,
    plan: null,
    lastSwitchAtMs: null,
    failedSites: [],
    notedCode: null,
  };
}
