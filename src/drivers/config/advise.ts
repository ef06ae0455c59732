/**
 * What is legal and unwise: warnings of `config check`, each with a stable code, a path and a remedy.
 *
 * Pure functions of the configuration (and of round trips, where somebody measured them). A warning never
 * stops a witness: a laboratory has two sites on one host, and knows it.
 */
import type { WitnessId } from "../../core/base/ids.js";
import type {
  ClusterConfig,
  ExecHook,
  GroupConfig,
  GroupSite,
  TargetConfig,
} from "../../core/model/config.js";
import { majority } from "../../core/model/config.js";
import { cacheSeconds, failoverBound, routeTtlSeconds } from "./bound.js";
import { formatDuration } from "./leaf.js";
import { isSecretName, type Path } from "./problem.js";
import { isInside } from "./zone-names.js";

/** The closed list of warnings, each with what it means; docs/configuration.md says more. */
export const ADVICE_CODES = {
  few_witnesses: "losing one witness stops every decision",
  even_witnesses: "the last witness adds no safety",
  site_holds_majority: "the loss of one site stops every decision, just when one is needed",
  single_peer_address: "the witnesses reach this one over one path only",
  election_below_rtt: "the election timeout is short for the measured round trip",
  view_timeout_tight: "few lost views make a healthy witness count as unknown",
  probe_timeout_over_interval: "a probe may take longer than the time until the next one",
  exec_probe_fast: "a process is started at a high rate",
  duplicate_probe: "two targets are probed in the same way",
  false_alarm_extreme: "silence is judged too eagerly or too late",
  tls_unverified: "the probe accepts any certificate",
  unfenced: "nothing keeps the old primary from serving",
  nothing_moves: "a switch changes nothing outside",
  single_site_group: "there is no site to switch to",
  ttl_over_failover: "caches hold the old answer for longer than a failover takes",
  hold_down_below_ttl: "a second switch may come before caches know of the first",
  verify_below_ttl: "resolvers cannot agree in the time that verify has",
  no_resolvers: "nobody checks what users' resolvers answer",
  unsigned_update: "anyone who can send from an allowed address may change the zone",
  name_server_without_address: "the zone names a server without an address for it",
  webhook_clear_text: "the announcement is sent unencrypted",
  command_with_secret: "a secret seems to stand in a command line",
} as const satisfies Record<string, string>;

export type AdviceCode = keyof typeof ADVICE_CODES;

/** One warning. */
export interface Advice {
  readonly code: AdviceCode;
  /** Place in the document. */
  readonly path: Path;
  readonly message: string;
  readonly remedy: string;
}

/** A measured round trip between two witnesses. */
export interface MeasuredRtt {
  readonly from: WitnessId;
  readonly to: WitnessId;
  readonly rttMs: number;
}

/** An election needs a round trip, and a heartbeat lost must not start one: ten round trips leave room for both. */
const ELECTION_RTTS = 10;
/** An exchange over a WAN takes so long, whatever the interval; overlapping probes are meant below it. Unit: ms. */
const TIMEOUT_SENSIBLE_MS = 250;
/** Below this a time to live buys little: resolvers have minima of their own, and questions cost. Unit: ms. */
const TTL_SENSIBLE_MS = 10_000;
const EXEC_INTERVAL_SENSIBLE_MS = 1000;
const FALSE_ALARM_SENSIBLE = { min: 1e-12, max: 1e-3 };

/** Everything unwise in the configuration, in no promised order. */
export function adviseConfig(config: ClusterConfig, measured: readonly MeasuredRtt[] = []): Advice[] {
  const advice: Advice[] = [];
  const warn: Warn = (code, path, message, remedy) => {
    advice.push({ code, path, message, remedy });
  };
  adviseWitnesses(config, warn);
  adviseTimings(config, measured, warn);
  adviseZones(config, warn);
  for (const group of config.groups) adviseGroup(config, group, warn);
  return advice;
}

type Warn = (code: AdviceCode, path: Path, message: string, remedy: string) => void;

function adviseWitnesses(config: ClusterConfig, warn: Warn): void {
  const { witnesses } = config;
  const count = witnesses.length;
  const needed = majority(config);
  if (count < 3) {
    const names =
      count === 1 ? "one witness decides alone" : "two witnesses need each other for every decision";
    warn("few_witnesses", ["witnesses"], names, "Use three: one at each site and one anywhere else.");
  } else if (count % 2 === 0) {
    const message = `${count} witnesses bear the loss of ${count - needed}, as ${count - 1} do`;
    warn("even_witnesses", ["witnesses"], message, "Use an odd number.");
  }
  for (const site of count < 3 ? [] : config.sites) {
    const here = witnesses.filter((witness) => witness.site === site.id);
    if (count - here.length >= needed) continue;
    const message = `site ${site.id} holds ${here.length} of ${count} witnesses: without it there is no majority`;
    warn(
      "site_holds_majority",
      ["witnesses"],
      message,
      "Move a witness elsewhere, best to a place that is no site.",
    );
  }
  for (const witness of count < 2 ? [] : witnesses) {
    if (witness.peers.length > 1) continue;
    const message = `witness ${witness.id} has one address: a fault of that carrier cuts it off`;
    warn(
      "single_peer_address",
      ["witnesses", witness.id, "peer"],
      message,
      "List one address for each carrier.",
    );
  }
}

function adviseTimings({ timings }: ClusterConfig, measured: readonly MeasuredRtt[], warn: Warn): void {
  const worst = measured.reduce<MeasuredRtt | null>(
    (a, b) => (a === null || b.rttMs > a.rttMs ? b : a),
    null,
  );
  if (worst !== null && timings.electionMinMs < worst.rttMs * ELECTION_RTTS) {
    const rtt = `${Math.round(worst.rttMs * 10) / 10}ms`;
    const message = `${formatDuration(timings.electionMinMs)} is less than ${ELECTION_RTTS} round trips of ${rtt} (${worst.from} to ${worst.to})`;
    const least = formatDuration(Math.ceil((worst.rttMs * ELECTION_RTTS) / 100) * 100);
    warn("election_below_rtt", ["timings", "electionMin"], message, `Write at least ${least}.`);
  }
  if (timings.viewTimeoutMs < timings.viewIntervalMs * 4) {
    const message = `${formatDuration(timings.viewTimeoutMs)} bears the loss of ${Math.floor(timings.viewTimeoutMs / timings.viewIntervalMs) - 1} views in a row`;
    warn(
      "view_timeout_tight",
      ["timings", "viewTimeout"],
      message,
      `Write at least ${formatDuration(timings.viewIntervalMs * 4)}.`,
    );
  }
}

function adviseZones({ dns }: ClusterConfig, warn: Warn): void {
  for (const zone of dns?.zones ?? []) {
    for (const server of zone.nameServers) {
      const hasAddress = zone.records.some(
        (set) => set.name === server && (set.type === "A" || set.type === "AAAA"),
      );
      if (hasAddress || !isInside(server, zone.name)) continue;
      const path = ["dns", "zones", zone.name, "nameServers"];
      warn(
        "name_server_without_address",
        path,
        `${server} has no A or AAAA record`,
        "Add one under the zone's `records`.",
      );
    }
  }
}

function adviseGroup(config: ClusterConfig, group: GroupConfig, warn: Warn): void {
  const path = ["groups", group.id];
  if (group.sites.length === 1) {
    warn("single_site_group", [...path, "sites"], "the group has one site", "Add a standby.");
  }
  if (group.fence.kind === "none") {
    const message = "unfenced: nothing keeps a site that is cut off from serving on";
    const remedy =
      "Give a command that takes the old site out of service (fence: { exec: [...] }), or accept it for stateless services.";
    warn("unfenced", [...path, "fence"], message, remedy);
  }
  if (group.route.length === 0 && group.promote === null) {
    warn(
      "nothing_moves",
      [...path, "route"],
      "neither a route nor a promote hook",
      "Add `route:` or `promote:`.",
    );
  }
  adviseRoutes(config, group, path, warn);
  for (const at of group.sites) {
    for (const target of at.targets)
      adviseTarget(target, [...path, "sites", at.site, "targets", target.id], warn);
  }
  adviseDuplicates(group, path, warn);
  const hooks: [Path, ExecHook | null][] = [
    [["fence"], group.fence.kind === "exec" ? group.fence.hook : null],
    [["drain"], group.drain],
    [["promote"], group.promote],
    ...group.announce.map((one, at): [Path, ExecHook | null] => [
      ["announce", at],
      one.kind === "exec" ? one.hook : null,
    ]),
  ];
  for (const [key, hook] of hooks) adviseCommand(hook?.command ?? [], [...path, ...key, "exec"], warn);
  group.announce.forEach((one, at) => {
    if (one.kind !== "webhook" || !one.url.startsWith("http:")) return;
    warn("webhook_clear_text", [...path, "announce", at, "webhook"], "sent over http", "Use https.");
  });
}

function adviseRoutes(config: ClusterConfig, group: GroupConfig, path: Path, warn: Warn): void {
  if (group.route.length === 0) return;
  const ttlMs = cacheSeconds(config, group) * 1000;
  const ttl = formatDuration(ttlMs);
  const { totalMs } = failoverBound(config, group);
  group.route.forEach((route, at) => {
    const ownMs = routeTtlSeconds(config, route) * 1000;
    if (ownMs > Math.max(totalMs, TTL_SENSIBLE_MS)) {
      const message = `caches may hold the old answer for ${formatDuration(ownMs)}, a failover takes at most ${formatDuration(totalMs)}`;
      const place =
        route.kind === "rfc2136" ? [...path, "route", at, "rfc2136"] : ["dns", "zones", route.zone];
      warn("ttl_over_failover", [...place, "ttl"], message, "Lower the ttl.");
    }
    if (route.kind === "rfc2136" && route.key === null) {
      warn(
        "unsigned_update",
        [...path, "route", at, "rfc2136"],
        "updates are not signed",
        "Give a TSIG key: key: { name, secretFile }.",
      );
    }
  });
  if (group.holdDownMs < ttlMs) {
    const message = `${formatDuration(group.holdDownMs)} is shorter than the ttl of ${ttl}`;
    warn("hold_down_below_ttl", [...path, "holdDown"], message, `Write at least ${ttl}.`);
  }
  if (group.verify.resolvers.length === 0) {
    const message = "no resolvers are listed: only the authoritative servers are asked";
    warn(
      "no_resolvers",
      [...path, "verify"],
      message,
      "List the resolvers that your users ask: verify: { resolvers: [...] }.",
    );
  } else if (group.verify.timeoutMs <= ttlMs) {
    const message = `${formatDuration(group.verify.timeoutMs)} is not longer than the ttl of ${ttl}, for which resolvers may keep the old answer`;
    warn("verify_below_ttl", [...path, "verify", "timeout"], message, `Write more than ${ttl}.`);
  }
}

function adviseTarget(target: TargetConfig, path: Path, warn: Warn): void {
  const { probe, intervalMs, timeoutMs, falseAlarm } = target;
  if (timeoutMs > Math.max(intervalMs, TIMEOUT_SENSIBLE_MS)) {
    const message = `timeout ${formatDuration(timeoutMs)} is longer than the interval ${formatDuration(intervalMs)}`;
    warn(
      "probe_timeout_over_interval",
      [...path, "timeout"],
      message,
      "Shorten the timeout or lengthen the interval.",
    );
  }
  if (falseAlarm < FALSE_ALARM_SENSIBLE.min || falseAlarm > FALSE_ALARM_SENSIBLE.max) {
    const effect =
      falseAlarm > FALSE_ALARM_SENSIBLE.max
        ? "a lossy line will look like a dead target"
        : "a dead target on a lossy line is noticed very late";
    const remedy = `Write ${FALSE_ALARM_SENSIBLE.min} to ${FALSE_ALARM_SENSIBLE.max}; the default is 1e-6.`;
    warn("false_alarm_extreme", [...path, "falseAlarm"], `with ${falseAlarm} ${effect}`, remedy);
  }
  if (probe.kind === "exec") {
    if (intervalMs < EXEC_INTERVAL_SENSIBLE_MS) {
      const message = `every witness starts a process each ${formatDuration(intervalMs)}`;
      warn("exec_probe_fast", [...path, "interval"], message, "Write 1s or more for exec probes.");
    }
    adviseCommand(probe.command, [...path, "exec"], warn);
  }
  if (probe.kind === "http" && !probe.tls.verify) {
    warn(
      "tls_unverified",
      [...path, "http", "tls"],
      "certificates are not verified",
      "Give the issuer instead: tls: { caFile: /etc/... }.",
    );
  }
}

/**
 * The same probe twice is a slip of copy and paste; at two sites it makes both fail together, and no standby
 * is left.
 */
function adviseDuplicates(group: GroupConfig, path: Path, warn: Warn): void {
  const seen = new Map<string, { at: GroupSite; target: TargetConfig }>();
  for (const at of group.sites) {
    for (const target of at.targets) {
      const key = JSON.stringify(target.probe);
      const first = seen.get(key);
      seen.set(key, first ?? { at, target });
      if (first === undefined || isLocalProbe(target)) continue;
      const place = [...path, "sites", at.site, "targets", target.id];
      const message = `is probed exactly like ${first.at.site}/${first.target.id}`;
      warn("duplicate_probe", place, message, "Correct the address, or drop one of the two.");
    }
  }
}

/** A plain command may tell sites apart by its own means; only one with arguments names what it checks. */
function isLocalProbe({ probe }: TargetConfig): boolean {
  return probe.kind === "exec" && probe.command.length === 1;
}

function adviseCommand(command: readonly string[], path: Path, warn: Warn): void {
  const suspicious = command
    .slice(1)
    .some((argument) => /^-{0,2}[\w-]+=/.test(argument) && isSecretName(argument.split("=", 1)[0] ?? ""));
  if (!suspicious) return;
  warn(
    "command_with_secret",
    path,
    "an argument looks like a secret",
    "Let the command read its secret from a file.",
  );
}
