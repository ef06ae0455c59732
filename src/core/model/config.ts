/**
 * What an operator configures, as the core sees it: plain data, every duration in milliseconds, every default
 * filled in.
 *
 * The text form (YAML, units, secrets, errors with line numbers) lives in `drivers/config`; it produces this
 * and nothing else does. Secrets never appear here: a key is a name and the place where each witness finds
 * the secret, so this document may stand in the replicated log and in any answer.
 */
import type { SiteId, WitnessId } from "../base/ids.js";

/** Most voting witnesses: above this, Raft's majority costs more than another witness gains. */
export const WITNESSES_MAX = 15;

/** The whole document. The same text lies at every witness; only the identity flag of the process differs. */
export interface ClusterConfig {
  /** Name of the cluster; messages and data directories of another one are refused. */
  readonly cluster: string;
  /**
   * Grows with every edit; the leader replicates its own document when its version is higher than the
   * replicated one.
   */
  readonly version: number;
  /** Voting witnesses. Raft's node ids follow this order in the first document only; members.ts has them. */
  readonly witnesses: readonly WitnessConfig[];
  readonly sites: readonly SiteConfig[];
  /**
   * Witnesses that shall lead among equals. Absent: those that are at no group's primary site. A name of no member is
   * passed over.
   */
  readonly leaders?: readonly WitnessId[];
  readonly groups: readonly GroupConfig[];
  readonly timings: Timings;
  /** The embedded authoritative name server, or null when no witness answers DNS. */
  readonly dns: EmbeddedDnsConfig | null;
}

export interface WitnessConfig {
  readonly id: WitnessId;
  /** The site it stands at, or null for a tie-breaker elsewhere. */
  readonly site: SiteId | null;
  /** `host:port`, one a carrier: where the other witnesses reach it. At least one. */
  readonly peers: readonly string[];
  /** `host:port` of the admin API. */
  readonly admin: string;
  /** `host:port` of its embedded name server, or null. */
  readonly dns: string | null;
}

export interface SiteConfig {
  readonly id: SiteId;
}

/** Named profiles fill these in; each can be set alone. `config check` judges them as a whole. */
export interface Timings {
  readonly profile: "wan" | "fast";
  /** Length of a Raft tick. */
  readonly tickMs: number;
  readonly heartbeatMs: number;
  /** Election timeouts are drawn from [electionMinMs, electionMaxMs). */
  readonly electionMinMs: number;
  readonly electionMaxMs: number;
  /** How often a witness re-sends its whole view. */
  readonly viewIntervalMs: number;
  /** A witness whose view has been missing for so long counts as unknown. */
  readonly viewTimeoutMs: number;
}

export interface EmbeddedDnsConfig {
  /** Out of contact with a leader for longer than this, a witness answers as `staleness` says. */
  readonly maxStalenessMs: number;
  readonly staleness: "stale" | "servfail";
  readonly zones: readonly EmbeddedZoneConfig[];
}

export interface EmbeddedZoneConfig {
  /** Zone name without trailing dot. */
  readonly name: string;
  /** Names of its name servers (NS records), the first is the SOA's MNAME. */
  readonly nameServers: readonly string[];
  /** SOA RNAME in mailbox-as-name form. */
  readonly contact: string;
  readonly ttlSeconds: number;
  readonly negativeTtlSeconds: number;
  /** Records that do not move: addresses of the name servers and the like. */
  readonly records: readonly DnsRecordSet[];
}

export type DnsRecordType = "A" | "AAAA" | "CNAME" | "TXT";

export interface DnsRecordSet {
  /** Fully qualified, without trailing dot. */
  readonly name: string;
  readonly type: DnsRecordType;
  readonly values: readonly string[];
}

/** A set of sites of which one is primary, and what points at it. */
export interface GroupConfig {
  readonly id: string;
  /** The mode that the group starts in; `hold` and `resume` change it at run time. */
  readonly mode: "automatic" | "hold";
  /** In order of priority: the first eligible one is preferred. */
  readonly sites: readonly GroupSite[];
  /** A standby is eligible after it has been up for so long. */
  readonly stabilityMs: number;
  /** After a switch no automatic switch is made for so long. */
  readonly holdDownMs: number;
  readonly failback: { readonly kind: "manual" } | { readonly kind: "automatic"; readonly afterMs: number };
  readonly fence: { readonly kind: "none" } | { readonly kind: "exec"; readonly hook: ExecHook };
  readonly drain: ExecHook | null;
  readonly promote: ExecHook | null;
  readonly route: readonly RouteConfig[];
  readonly verify: VerifyConfig;
  readonly announce: readonly AnnounceConfig[];
  readonly retry: RetryConfig;
  /** What follows a failover whose step failed for good. */
  readonly onFailure: "next" | "wait";
}

export interface GroupSite {
  readonly site: SiteId;
  readonly targets: readonly TargetConfig[];
  /** What the group's names say while this site is primary. */
  readonly records: readonly DnsRecordSet[];
}

/** A monitored thing at a site. */
export interface TargetConfig {
  /** Unique within group and site. */
  readonly id: string;
  /** A required target that is down takes its site down. */
  readonly required: boolean;
  readonly probe: ProbeSpec;
  readonly intervalMs: number;
  /** One budget for the whole exchange. */
  readonly timeoutMs: number;
  /** Consecutive definite failures before down, and the least silences. */
  readonly fall: number;
  /** Consecutive successes before up. */
  readonly rise: number;
  /** Silence means down when a healthy target would give such a run with less than this probability. */
  readonly falseAlarm: number;
}

export type ProbeSpec = TcpProbe | HttpProbe | ExecProbe;

export interface TcpProbe {
  readonly kind: "tcp";
  readonly host: string;
  readonly port: number;
}

export interface HttpProbe {
  readonly kind: "http";
  /** `http:` or `https:`. */
  readonly url: string;
  readonly method: string;
  readonly headers: readonly (readonly [string, string])[];
  /** Inclusive ranges of accepted status codes. */
  readonly expectStatus: readonly (readonly [number, number])[];
  readonly expectBody:
    | null
    | { readonly kind: "contains"; readonly text: string }
    | { readonly kind: "matches"; readonly pattern: string }
    | { readonly kind: "json"; readonly path: string; readonly equals: string | number | boolean | null };
  readonly tls: {
    readonly verify: boolean;
    readonly caFile: string | null;
    readonly serverName: string | null;
  };
}

export interface ExecProbe {
  readonly kind: "exec";
  /** Program and arguments; no shell. */
  readonly command: readonly string[];
  readonly expectExit: number;
}

/** A command of the operator's, run by the leader for one step. */
export interface ExecHook {
  readonly command: readonly string[];
  readonly timeoutMs: number;
}

/** What points at the primary. */
export type RouteConfig = Rfc2136Route | EmbeddedRoute;

export interface Rfc2136Route {
  readonly kind: "rfc2136";
  readonly zone: string;
  /** `host:port` of the primary server; further ones are tried in order. */
  readonly servers: readonly string[];
  readonly key: TsigKeyRef | null;
  readonly ttlSeconds: number;
  readonly timeoutMs: number;
}

/** The witnesses' own name server answers from the replicated state; routing is the commit itself. */
export interface EmbeddedRoute {
  readonly kind: "embedded";
  readonly zone: string;
}

export interface TsigKeyRef {
  readonly name: string;
  readonly algorithm: "hmac-sha256" | "hmac-sha512";
  /** Where each witness finds the base64 secret. */
  readonly secret:
    | { readonly kind: "file"; readonly path: string }
    | { readonly kind: "env"; readonly name: string };
}

export interface VerifyConfig {
  /** Authoritative servers, `host:port`; empty: the servers of the route and those that the zone's NS records name. */
  readonly servers: readonly string[];
  /** Resolvers that must come to agree, `host:port`. */
  readonly resolvers: readonly string[];
  readonly timeoutMs: number;
}

export type AnnounceConfig =
  | { readonly kind: "webhook"; readonly url: string; readonly timeoutMs: number }
  | { readonly kind: "exec"; readonly hook: ExecHook };

/** Attempts of one step: `limit` in all, `backoffMs` doubled each time up to `backoffMaxMs`. */
export interface RetryConfig {
  readonly limit: number;
  readonly backoffMs: number;
  readonly backoffMaxMs: number;
}

/** Name of a target in the whole cluster: `group/site/target`. */
export type TargetKey = string;

/** The key of a target. */
export function targetKey(group: string, site: SiteId, target: string): TargetKey {
  return `${group}/${site}/${target}`;
}

/** The group of that name, or undefined. */
export function findGroup(config: ClusterConfig, group: string): GroupConfig | undefined {
  return config.groups.find((candidate) => candidate.id === group);
}

/** How many witnesses are a majority of all configured ones. */
export function majority(config: ClusterConfig): number {
  return Math.floor(config.witnesses.length / 2) + 1;
}

/** Every target of every group, in the order of the document. */
export function allTargets(
  config: ClusterConfig,
): { key: TargetKey; group: GroupConfig; site: SiteId; target: TargetConfig }[] {
  return config.groups.flatMap((group) =>
    group.sites.flatMap((at) =>
      at.targets.map((target) => ({
        key: targetKey(group.id, at.site, target.id),
        group,
        site: at.site,
        target,
      })),
    ),
  );
}
