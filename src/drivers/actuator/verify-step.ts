/**
 * The verify step: every authoritative server of every zone, and the listed resolvers, say what was ordered.
 *
 * After a failover a name server at the dead site may be dead too. It misleads nobody, because it answers
 * nobody, and waiting for it would turn every loss of a site into a failed plan. So after an unplanned switch
 * a server that gives no answer at all for a while is reported and passed over, provided that another
 * authoritative server (and, where resolvers are listed, a resolver) agrees. One that answers wrongly is
 * never passed over. A planned move has time and an old site to go back to: there every server must agree;
 * but not every witness, whose embedded server follows the log as soon as it is back.
 */
import { setMaxListeners } from "node:events";
import type { RouteConfig } from "../../core/model/config.js";
import type { StepOutcome } from "../../core/model/state.js";
import type { DnsVerifyOutcome, DnsVerifyReport, DnsVerifyRequest } from "./dns-verify.js";
import { done, failed, join, type Part } from "./outcome.js";
import { recordsOf } from "./route-step.js";
import { type StepContext, targetSite } from "./step-context.js";

/** The verification of one zone: `verifyDns` of dns-verify.ts. */
export type VerifyDns = (
  request: DnsVerifyRequest,
  signal: AbortSignal,
  onProgress: (report: DnsVerifyReport) => void,
) => Promise<DnsVerifyOutcome>;

/** How long a silent server is asked again before it is passed over: three questions. Unit: ms. */
const SILENCE_PATIENCE_MS = 3000;

/** Asks until all agree. Never rejects for what the world does. */
export async function verifyStep(context: StepContext, verifyDns: VerifyDns): Promise<StepOutcome> {
  const target = targetSite(context);
  if (target === undefined) {
    const { group, plan } = context;
    return failed(
      "unknown_site",
      `group ${group.id} has no site ${plan.to} in the configuration any more`,
      false,
    );
  }
  const { route } = context.group;
  const zones = new Map<string, RouteConfig[]>();
  for (const one of route) zones.set(one.zone, [...(zones.get(one.zone) ?? []), one]);
  const parts = [...zones].map(async ([zone, routes]): Promise<Part> => {
    const first = routes[0];
    const records = first === undefined ? [] : recordsOf(target, first, route);
    const request: DnsVerifyRequest = { zone, records, ...whomToAsk(zone, routes, context) };
    const { kind } = context.plan;
    const isPlanned = kind === "switchover" || kind === "failback";
    const isStrict = isPlanned && !routes.some((one) => one.kind === "embedded");
    return { name: `zone ${zone}`, outcome: await verifyZone(request, context.signal, isStrict, verifyDns) };
  });
  if (parts.length === 0) return done("the group has no route: there is nothing to verify");
  return join(await Promise.all(parts));
}

/**
 * Servers of a zone: for an updated one those that the operator lists, else the updated servers and all that its NS
 * records name; for an embedded one every witness that answers DNS.
 */
function whomToAsk(
  zone: string,
  routes: readonly RouteConfig[],
  { group, config, deadlineMs }: StepContext,
): Pick<DnsVerifyRequest, "servers" | "authoritative" | "resolvers" | "timeoutMs"> {
  const { servers, resolvers, timeoutMs: limitMs } = group.verify;
  const timeoutMs = Math.min(limitMs, deadlineMs);
  const updated = routes.flatMap((route) => (route.kind === "rfc2136" ? route.servers : []));
  const own = routes.some((route) => route.kind === "embedded" && route.zone === zone)
    ? config.witnesses.flatMap((witness) => witness.dns ?? [])
    : [];
  if (own.length === 0) return { servers: updated, authoritative: servers, resolvers, timeoutMs };
  const authoritative = [...new Set([...own, ...(updated.length > 0 ? [...updated, ...servers] : [])])];
  return { servers: authoritative, authoritative, resolvers, timeoutMs };
}

async function verifyZone(
  request: DnsVerifyRequest,
  signal: AbortSignal,
  isStrict: boolean,
  verifyDns: VerifyDns,
): Promise<StepOutcome> {
  const enough = new AbortController();
  const latest = new Map<string, DnsVerifyReport>();
  // Who has once answered wrongly is alive, and stays so: one lost answer later does not make it silent.
  const wrong = new Set<string>();
  let patience: NodeJS.Timeout | null = null;
  let isPatienceOver = false;
  const consider = (): void => {
    if (isPatienceOver && agreesButSilent([...latest.values()], wrong)) enough.abort();
  };
  const until = AbortSignal.any([signal, enough.signal]);
  // Every question under way listens; that is no leak, whatever Node would say on stderr.
  setMaxListeners(0, until);
  const outcome = await verifyDns(request, until, (report) => {
    latest.set(nameOf(report), report);
    if (report.agreedAfterMs === null && !report.isSilent) wrong.add(nameOf(report));
    if (isStrict) return;
    patience ??= setTimeout(() => {
      isPatienceOver = true;
      consider();
    }, SILENCE_PATIENCE_MS);
    consider();
  });
  if (patience !== null) clearTimeout(patience);
  const { reports, ...plain } = outcome;
  if (outcome.kind === "done" || isStrict || signal.aborted || !agreesButSilent(reports, wrong)) return plain;
  const agreed = reports.filter((report) => report.agreedAfterMs !== null).length;
  const silent = reports.filter((report) => report.agreedAfterMs === null).map((report) => report.server);
  const message = `${agreed} of ${reports.length} servers agree; no answer from ${silent.join(", ")}, passed over`;
  return done(message, outcome.detail);
}

function nameOf(report: DnsVerifyReport): string {
  return `${report.role} ${report.server}`;
}

/** Someone of each role agrees, and whoever does not never gave an answer at all. */
function agreesButSilent(reports: readonly DnsVerifyReport[], wrong: ReadonlySet<string>): boolean {
  const isHeard = (role: DnsVerifyReport["role"]): boolean =>
    reports.some((report) => report.role === role && report.agreedAfterMs !== null);
  const hasResolvers = reports.some((report) => report.role === "resolver");
  return (
    isHeard("authoritative") &&
    (!hasResolvers || isHeard("resolver")) &&
    reports.every(
      (report) => report.agreedAfterMs !== null || (report.isSilent && !wrong.has(nameOf(report))),
    )
  );
}
