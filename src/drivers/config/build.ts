/**
 * From the sections as written to the configuration as the core sees it: names into place, defaults filled in.
 *
 * Judges nothing but what needs two keys at once to be read: a record's value, whose form its type decides. Relations
 * between sections are check.ts.
 */
import { isIPv4, isIPv6 } from "node:net";
import { type SiteId, siteId, witnessId } from "../../core/base/ids.js";
import type {
  AnnounceConfig,
  DnsRecordSet,
  DnsRecordType,
  EmbeddedDnsConfig,
  ExecHook,
  GroupConfig,
  ProbeSpec,
  RouteConfig,
  TargetConfig,
  Timings,
  TsigKeyRef,
  WitnessConfig,
} from "../../core/model/config.js";
import { dnsName, splitHostPort } from "./leaf.js";
import { type Finding, type Path, showValue } from "./problem.js";
import { DEFAULTS, PROFILES, type Profile } from "./profile.js";
import type {
  AnnounceSection,
  DnsSection,
  GroupSection,
  HookSection,
  ProbesSection,
  RecordsSection,
  RouteSection,
  TargetSection,
  TimingsSection,
  WitnessesSection,
} from "./schema.js";

/** Witnesses in the order of the document, which is the order of their Raft ids. */
export function buildWitnesses(section: WitnessesSection): WitnessConfig[] {
  return Object.entries(section).map(([id, one]) => ({
    id: witnessId(id),
    site: one.site ?? null,
    peers: one.peer,
    admin: one.admin,
    dns: one.dns ?? null,
  }));
}

/** The profile's timings with what was set alone. */
export function buildTimings(section: TimingsSection): Timings {
  const base = PROFILES[section.profile ?? "wan"].timings;
  return {
    profile: base.profile,
    tickMs: section.tick ?? base.tickMs,
    heartbeatMs: section.heartbeat ?? base.heartbeatMs,
    electionMinMs: section.electionMin ?? base.electionMinMs,
    electionMaxMs: section.electionMax ?? base.electionMaxMs,
    viewIntervalMs: section.viewInterval ?? base.viewIntervalMs,
    viewTimeoutMs: section.viewTimeout ?? base.viewTimeoutMs,
  };
}

/** What stands above a group and decides its defaults. */
export interface GroupDefaults {
  readonly profile: Profile;
  readonly probes: ProbesSection;
}

/** One group; wrong record values go to `findings`. */
export function buildGroup(
  id: string,
  section: GroupSection,
  defaults: GroupDefaults,
  path: Path,
  findings: Finding[],
): GroupConfig {
  const { profile } = defaults;
  const { failback, fence, retry, verify } = section;
  return {
    id,
    mode: section.mode ?? "automatic",
    sites: Object.entries(section.sites).map(([site, at]) => ({
      site: siteId(site),
      targets: Object.entries(at.targets).map(([name, target]) => buildTarget(name, target, defaults)),
      records: buildRecords(at.records ?? {}, [...path, "sites", site, "records"], findings),
    })),
    stabilityMs: section.stability ?? profile.stabilityMs,
    holdDownMs: section.holdDown ?? profile.holdDownMs,
    failback:
      typeof failback === "object" ? { kind: "automatic", afterMs: failback.automatic } : { kind: "manual" },
    fence: typeof fence === "object" ? { kind: "exec", hook: buildHook(fence) } : { kind: "none" },
    drain: section.drain === undefined ? null : buildHook(section.drain),
    promote: section.promote === undefined ? null : buildHook(section.promote),
    route: (section.route ?? []).flatMap((route) => buildRoute(route, profile)),
    verify: {
      servers: verify?.servers ?? [],
      resolvers: verify?.resolvers ?? [],
      timeoutMs: verify?.timeout ?? DEFAULTS.verifyTimeoutMs,
    },
    announce: (section.announce ?? []).flatMap(buildAnnounce),
    retry: {
      limit: retry?.limit ?? DEFAULTS.retry.limit,
      backoffMs: retry?.backoff ?? DEFAULTS.retry.backoffMs,
      backoffMaxMs: retry?.backoffMax ?? Math.max(DEFAULTS.retry.backoffMaxMs, retry?.backoff ?? 0),
    },
    onFailure: section.onFailure ?? "wait",
  };
}

function buildHook(hook: HookSection): ExecHook {
  return { command: hook.exec, timeoutMs: hook.timeout ?? DEFAULTS.hookTimeoutMs };
}

function buildTarget(id: string, target: TargetSection, { profile, probes }: GroupDefaults): TargetConfig {
  return {
    id,
    required: target.required ?? true,
    probe: buildProbe(target),
    intervalMs: target.interval ?? probes.interval ?? profile.probe.intervalMs,
    timeoutMs: target.timeout ?? probes.timeout ?? profile.probe.timeoutMs,
    fall: target.fall ?? probes.fall ?? profile.probe.fall,
    rise: target.rise ?? probes.rise ?? profile.probe.rise,
    falseAlarm: target.falseAlarm ?? probes.falseAlarm ?? profile.probe.falseAlarm,
  };
}

/** The schema has seen to it that exactly one kind is there. */
function buildProbe(target: TargetSection): ProbeSpec {
  if (target.http !== undefined) {
    const http: LongHttp = target.http;
    return {
      kind: "http",
      url: http.url,
      method: http.method ?? DEFAULTS.http.method,
      headers: Object.entries(http.headers ?? {}),
      expectStatus: http.expectStatus ?? DEFAULTS.http.expectStatus,
      expectBody: buildBody(http.expectBody),
      tls: {
        verify: http.tls?.verify ?? true,
        caFile: http.tls?.caFile ?? null,
        serverName: http.tls?.serverName ?? null,
      },
    };
  }
  if (target.exec !== undefined) {
    const exec: LongExec = target.exec;
    return { kind: "exec", command: exec.command, expectExit: exec.expectExit ?? 0 };
  }
  const address = splitHostPort(target.tcp ?? "");
  const { host, port } = typeof address === "string" ? { host: "", port: 0 } : address;
  return { kind: "tcp", host, port };
}

type LongHttp = Extract<NonNullable<TargetSection["http"]>, { method?: unknown }>;
type LongExec = Extract<NonNullable<TargetSection["exec"]>, { expectExit?: unknown }>;
type HttpBody = NonNullable<LongHttp["expectBody"]>;

function buildBody(body: HttpBody | undefined): Extract<ProbeSpec, { kind: "http" }>["expectBody"] {
  if (body === undefined) return null;
  if (body.contains !== undefined) return { kind: "contains", text: body.contains };
  if (body.matches !== undefined) return { kind: "matches", pattern: body.matches };
  return { kind: "json", path: body.json ?? "", equals: body.equals ?? null };
}

function buildRoute({ rfc2136, embedded }: RouteSection, profile: Profile): RouteConfig[] {
  const routes: RouteConfig[] = [];
  if (rfc2136 !== undefined) {
    routes.push({
      kind: "rfc2136",
      zone: rfc2136.zone,
      servers: rfc2136.server,
      key: rfc2136.key === undefined ? null : buildKey(rfc2136.key),
      ttlSeconds: rfc2136.ttl ?? profile.ttlSeconds,
      timeoutMs: rfc2136.timeout ?? DEFAULTS.routeTimeoutMs,
    });
  }
  if (embedded !== undefined) routes.push({ kind: "embedded", zone: embedded.zone });
  return routes;
}

type KeySection = NonNullable<NonNullable<RouteSection["rfc2136"]>["key"]>;

function buildKey(key: KeySection): TsigKeyRef {
  return {
    name: key.name,
    algorithm: key.algorithm ?? "hmac-sha256",
    secret:
      key.secretFile === undefined
        ? { kind: "env", name: key.secretEnv ?? "" }
        : { kind: "file", path: key.secretFile },
  };
}

function buildAnnounce({ webhook, exec, timeout }: AnnounceSection): AnnounceConfig[] {
  if (webhook !== undefined) {
    return [{ kind: "webhook", url: webhook, timeoutMs: timeout ?? DEFAULTS.webhookTimeoutMs }];
  }
  return exec === undefined ? [] : [{ kind: "exec", hook: buildHook({ exec, timeout }) }];
}

/** The embedded name server; wrong record values go to `findings`. */
export function buildDns(section: DnsSection, findings: Finding[]): EmbeddedDnsConfig {
  return {
    maxStalenessMs: section.maxStaleness ?? DEFAULTS.dns.maxStalenessMs,
    staleness: section.whenStale ?? "stale",
    zones: Object.entries(section.zones).map(([name, zone]) => ({
      name,
      nameServers: zone.nameServers,
      contact: zone.contact,
      ttlSeconds: zone.ttl ?? DEFAULTS.dns.ttlSeconds,
      negativeTtlSeconds: zone.negativeTtl ?? DEFAULTS.dns.negativeTtlSeconds,
      records: buildRecords(zone.records ?? {}, ["dns", "zones", name, "records"], findings),
    })),
  };
}

const RECORD_TYPES = ["A", "AAAA", "CNAME", "TXT"] as const satisfies readonly DnsRecordType[];

function buildRecords(section: RecordsSection, path: Path, findings: Finding[]): DnsRecordSet[] {
  return Object.entries(section).flatMap(([name, types]) =>
    RECORD_TYPES.flatMap((type) => {
      const written = types[type];
      if (written === undefined) return [];
      const values = written.map((value, at) => {
        const remedy = badRecord(type, value);
        if (remedy === null) return type === "CNAME" ? value.toLowerCase().replace(/\.$/, "") : value;
        const place = [...path, name, type, at];
        findings.push({
          code: "invalid",
          path: place,
          message: `is no value of type ${type}`,
          remedy,
          value: showValue(place, value),
        });
        return value;
      });
      return [{ name, type, values }];
    }),
  );
}

/** The remedy for a value that does not fit its record type, or null. */
function badRecord(type: DnsRecordType, value: string): string | null {
  switch (type) {
    case "A":
      return isIPv4(value) ? null : "Write an IPv4 address such as 192.0.2.10.";
    case "AAAA":
      return isIPv6(value) && !value.includes("%")
        ? null
        : 'Write an IPv6 address in quotes, such as "2001:db8::10".';
    case "CNAME":
      return dnsName.safeParse(value).success ? null : "Write a full domain name such as a.example.net.";
    case "TXT":
      return Buffer.byteLength(value) <= 255 ? null : "Write at most 255 bytes.";
  }
}

/** The site ids as the core has them. */
export function buildSites(ids: readonly SiteId[]): { id: SiteId }[] {
  return ids.map((id) => ({ id }));
}
