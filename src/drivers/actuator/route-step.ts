/**
 * The route step: every route of the group side by side, done only when all are.
 *
 * A route is in charge of the names inside its zone (of the most specific zone, where zones overlap). The
 * embedded name server needs no work here: it answers from the replicated state, and the commit of this
 * step's end is the routing.
 */
import type { DnsRecordSet, GroupSite, Rfc2136Route, RouteConfig } from "../../core/model/config.js";
import type { StepOutcome } from "../../core/model/state.js";
import { SecretError, type SecretRef } from "../config/secret.js";
import { routesOf } from "../config/zone-names.js";
import type { TsigKey } from "../dns/tsig.js";
import type { DnsRouteRequest } from "./dns-route.js";
import { done, failed, join, type Part } from "./outcome.js";
import { type StepContext, targetSite } from "./step-context.js";

/** Fetches a secret; rejects with `SecretError`. */
export type Secrets = (ref: SecretRef) => Promise<Buffer>;

/** The update of one zone: `routeDns` of dns-route.ts. */
export type RouteDns = (request: DnsRouteRequest, signal: AbortSignal) => Promise<StepOutcome>;

/** Points the group's names at the plan's target. Never rejects for what the world does. */
export async function routeStep(
  context: StepContext,
  routeDns: RouteDns,
  secrets: Secrets,
): Promise<StepOutcome> {
  const { group, plan } = context;
  const target = targetSite(context);
  if (target === undefined) {
    return failed(
      "unknown_site",
      `group ${group.id} has no site ${plan.to} in the configuration any more`,
      false,
    );
  }
  const parts = group.route.map(async (route): Promise<Part> => {
    if (route.kind === "embedded") {
      const message = `zone ${route.zone} points at ${plan.to} with the commit of this step`;
      return { name: `embedded zone ${route.zone}`, outcome: done(message) };
    }
    const name = `zone ${route.zone} at ${route.servers.join(", ")}`;
    return { name, outcome: await routeZone(route, target, context, routeDns, secrets) };
  });
  return join(await Promise.all(parts));
}

async function routeZone(
  route: Rfc2136Route,
  target: GroupSite,
  context: StepContext,
  routeDns: RouteDns,
  secrets: Secrets,
): Promise<StepOutcome> {
  const { group, key } = context;
  let tsig: TsigKey | null = null;
  if (route.key !== null) {
    const { name, algorithm, secret } = route.key;
    try {
      tsig = { name, algorithm, secret: await secrets(secret) };
    } catch (error) {
      if (!(error instanceof SecretError)) throw error;
      return failed(error.code, `TSIG key ${name}: ${error.message}`, error.retriable);
    }
  }
  const request: DnsRouteRequest = {
    group: group.id,
    epoch: key.epoch,
    site: target.site,
    zone: route.zone,
    servers: route.servers,
    key: tsig,
    ttlSeconds: route.ttlSeconds,
    records: recordsOf(target, route, group.route),
    knownValues: group.sites.map((at) => ({ site: at.site, records: recordsOf(at, route, group.route) })),
    timeoutMs: Math.min(context.deadlineMs, route.timeoutMs * route.servers.length),
  };
  return routeDns(request, context.signal);
}

/** The site's records that this route is in charge of. */
export function recordsOf(at: GroupSite, route: RouteConfig, routes: readonly RouteConfig[]): DnsRecordSet[] {
  return at.records.filter((set) => routesOf(set.name, routes).includes(route));
}
