/**
 * The published bound: how long a failover of a group takes at most, in parts, computed from its configuration.
 *
 * Detection + one commit + hooks + route step. A killed service is definite
 * evidence: interval x fall + timeout. A dead host is silence, and takes as many probes as `falseAlarm`
 * demands of a clean line; on a line that loses packets, more. The bound says nothing of a plan step that
 * fails and is retried.
 */
import { silencesNeeded } from "../../core/health/health.js";
import type {
  ClusterConfig,
  ExecHook,
  GroupConfig,
  RouteConfig,
  TargetConfig,
} from "../../core/model/config.js";

/** The parts of the bound. Unit: ms. */
export interface FailoverBound {
  /**
   * The slowest required target of any site, until one witness settles on down although nothing answers (a
   * dead host).
   */
  readonly detectMs: number;
  /** The same for a service that is gone from a living host, which says so. */
  readonly detectKilledMs: number;
  /** A majority's opinions are committed: a lost view is re-sent, a lost append is repeated with the heartbeat. */
  readonly agreeMs: number;
  /** A new leader, when the old one went with the site: silence until the election, and one election. */
  readonly electMs: number;
  readonly fenceMs: number;
  readonly promoteMs: number;
  /** The slowest route; routes run side by side, the servers of one are tried in turn. */
  readonly routeMs: number;
  /** The longest time to live of the group's records: until then caches may hold the old answer. */
  readonly cacheMs: number;
  /** Until the authoritative answer has changed, with the leader alive. Without `electMs` and `cacheMs`. */
  readonly totalMs: number;
  /** The same when the leader is lost together with the site. */
  readonly totalWithElectionMs: number;
}

/** The bound of one group. */
export function failoverBound(config: ClusterConfig, group: GroupConfig): FailoverBound {
  const { heartbeatMs, electionMaxMs, viewIntervalMs } = config.timings;
  const detectMs = slowest(group, silentMs);
  const agreeMs = viewIntervalMs + 2 * heartbeatMs;
  const electMs = 2 * electionMaxMs;
  const fenceMs = group.fence.kind === "exec" ? hookMs(group.fence.hook) : 0;
  const promoteMs = hookMs(group.promote);
  const routeMs = Math.max(
    0,
    ...group.route.map((route) => (route.kind === "rfc2136" ? route.timeoutMs * route.servers.length : 0)),
  );
  const totalMs = detectMs + agreeMs + fenceMs + promoteMs + routeMs;
  return {
    detectMs,
    detectKilledMs: slowest(group, killedMs),
    agreeMs,
    electMs,
    fenceMs,
    promoteMs,
    routeMs,
    cacheMs: cacheSeconds(config, group) * 1000,
    totalMs,
    totalWithElectionMs: totalMs + electMs,
  };
}

/** Until one witness has settled on down, whichever required target it is that fails. */
function slowest(group: GroupConfig, ms: (target: TargetConfig) => number): number {
  const required = group.sites.flatMap((at) => at.targets.filter((target) => target.required));
  return Math.max(0, ...required.map(ms));
}

function killedMs({ intervalMs, fall, timeoutMs }: TargetConfig): number {
  return intervalMs * fall + timeoutMs;
}

/** Probes of one target do not overlap, so each silence costs its timeout when that is the longer. */
function silentMs(target: TargetConfig): number {
  const silences = Math.max(target.fall, silencesNeeded(target.falseAlarm));
  return silences * Math.max(target.intervalMs, target.timeoutMs) + target.timeoutMs;
}

function hookMs(hook: ExecHook | null): number {
  return hook === null ? 0 : hook.timeoutMs;
}

/** The longest time to live that any route of the group gives. Unit: s. */
export function cacheSeconds(config: ClusterConfig, group: GroupConfig): number {
  return Math.max(0, ...group.route.map((route) => routeTtlSeconds(config, route)));
}

/** The time to live that a route gives its records. Unit: s. */
export function routeTtlSeconds(config: ClusterConfig, route: RouteConfig): number {
  if (route.kind === "rfc2136") return route.ttlSeconds;
  return config.dns?.zones.find((zone) => zone.name === route.zone)?.ttlSeconds ?? 0;
}
