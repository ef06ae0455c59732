/**
 * The published bound: how long a failover of a group takes at most, in parts, computed from its configuration.
 *
 * DESIGN section 4 (S4): interval x fall + timeout + one commit + fencing wait + route step. It holds for definite evidence and
 * for silence on a clean line; on a line that loses packets, silence takes as many probes more as `falseAlarm` demands.
 * It says nothing of a plan step that fails and is retried.
 */
import type {
  ClusterConfig,
  ExecHook,
  GroupConfig,
  GroupSite,
  RouteConfig,
} from "../../core/model/config.js";

/** The parts of the bound. Unit: ms. */
export interface FailoverBound {
  /** The slowest required target of any site, until one witness settles on down. */
  readonly detectMs: number;
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
  const detectMs = Math.max(0, ...group.sites.map(detectionMs));
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
function detectionMs(at: GroupSite): number {
  const required = at.targets.filter((target) => target.required);
  return Math.max(0, ...required.map((target) => target.intervalMs * target.fall + target.timeoutMs));
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
