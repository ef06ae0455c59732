/**
 * Which steps a plan has, how long each may take, and when it is worth trying again.
 */
import type { SiteId } from "../base/ids.js";
import type { GroupConfig, RouteConfig } from "../model/config.js";
import { STEP_ORDER } from "../model/group.js";
import type { PlanKind, StepName, StepRecord } from "../model/state.js";

/**
 * What an actuator may need on top of a hook's or a server's own timeout: starting a program, reading files.
 * Unit: ms.
 */
const OVERHEAD_MS = 1_000;

/**
 * The steps of a plan, in order. `from`: who gives the ticket up; where nobody does there is nobody to drain
 * or to fence. A drain asks the old site to stop gracefully, so only planned moves have it, and before the
 * fence, which may switch the site off (ADR 10); a rollback fences what it takes the ticket from.
 */
export function stepsOf(group: GroupConfig, kind: PlanKind, from: SiteId | null): readonly StepName[] {
  const { verify } = group;
  const has: Record<StepName, boolean> = {
    precheck: true,
    fence: group.fence.kind !== "none" && from !== null,
    drain: group.drain !== null && from !== null && (kind === "switchover" || kind === "failback"),
    promote: group.promote !== null,
    route: group.route.length > 0,
    verify: group.route.length + verify.servers.length + verify.resolvers.length > 0,
    announce: group.announce.length > 0,
  };
  return STEP_ORDER.filter((step) => has[step]);
}

/** The longest that one attempt of a step may take, retries inside included. Unit: ms. */
export function deadlineMs(group: GroupConfig, step: StepName): number {
  switch (step) {
    case "precheck":
      return 0;
    case "fence":
      return OVERHEAD_MS + (group.fence.kind === "exec" ? group.fence.hook.timeoutMs : 0);
    case "drain":
      return OVERHEAD_MS + (group.drain?.timeoutMs ?? 0);
    case "promote":
      return OVERHEAD_MS + (group.promote?.timeoutMs ?? 0);
    case "route":
      // Routes run side by side; the servers of one are tried in turn.
      return OVERHEAD_MS + Math.max(0, ...group.route.map(routeMs));
    case "verify":
      return OVERHEAD_MS + group.verify.timeoutMs;
    case "announce":
      return (
        OVERHEAD_MS +
        Math.max(0, ...group.announce.map((to) => (to.kind === "exec" ? to.hook.timeoutMs : to.timeoutMs)))
      );
  }
}

function routeMs(route: RouteConfig): number {
  return route.kind === "rfc2136" ? route.timeoutMs * Math.max(1, route.servers.length) : 0;
}

/** Whether trying the step again is allowed and can help. */
export function canRetry(group: GroupConfig, record: StepRecord): boolean {
  return record.outcome?.retriable !== false && record.attempt < group.retry.limit;
}

/** The cluster time from which the step may be tried again: backoff doubled with each attempt, counted from its end. */
export function retryAtMs(group: GroupConfig, record: StepRecord): number {
  const { backoffMs, backoffMaxMs } = group.retry;
  // 2^30 is far past any maximum; more would only lose precision.
  const doubled = backoffMs * 2 ** Math.min(30, Math.max(0, record.attempt - 1));
  return (record.finishedAtMs ?? 0) + Math.min(backoffMaxMs, doubled);
}
