/**
 * The cluster that the end-to-end tests run, as a document: three witnesses, two sites of three services, and
 * for each group the same sites. Tests add to it as plain values; YAML is made of them here.
 */
import { stringify } from "yaml";
import type { Machine } from "./machine.js";

export const WITNESSES = ["w-a", "w-b", "w-c"] as const;
export type WitnessName = (typeof WITNESSES)[number];
export const SITES = ["a", "b"] as const;
export type SiteName = (typeof SITES)[number];
export const SERVICES = ["web", "api", "db"] as const;
export const GROUP = "shop";
export const ZONE = "example.test";
export const NAME = `www.${ZONE}`;
/** What the name says for each site (addresses of RFC 5737, for documentation). */
export const ADDRESS: Readonly<Record<SiteName, string>> = { a: "192.0.2.10", b: "198.51.100.20" };

export interface WitnessPlace {
  readonly id: string;
  readonly machine: Machine;
  readonly peer: string;
  readonly admin: string;
  /** Of its embedded name server, or null. */
  readonly dns: string | null;
  readonly data: string;
  readonly log: string;
  /** The file with its document. */
  readonly config: string;
}

/** Where a service listens. */
export interface ServicePlace {
  readonly machine: Machine;
  readonly port: number;
}

/** A value of the document. */
export type Section = Readonly<Record<string, unknown>>;

/** What a document is made of. */
export interface DocumentParts {
  readonly witnesses: readonly WitnessPlace[];
  /** By `site/service`. */
  readonly services: ReadonlyMap<string, ServicePlace>;
  /** Groups by name, without `sites`. Default: `shop`, routed by the embedded name servers. */
  readonly groups?: Readonly<Record<string, Section>> | undefined;
  /** The name that a group moves; default NAME. */
  readonly names?: Readonly<Record<string, string>> | undefined;
  /** Further parts at the top; they replace what is written here. */
  readonly extra?: Section | undefined;
  readonly version?: number | undefined;
}

/** The document as YAML text. A witness with a DNS address makes every witness serve ZONE. */
export function writeDocument(parts: DocumentParts): string {
  const { witnesses, groups = { [GROUP]: { route: [{ embedded: ZONE }] } }, extra, version = 1 } = parts;
  const embedded = { nameServers: [`ns.${ZONE}`], contact: `hostmaster.${ZONE}`, ttl: "1s" };
  return stringify({
    cluster: "e2e",
    version,
    witnesses: Object.fromEntries(
      witnesses.map(({ id, peer, admin, dns }) => [
        id,
        { ...siteOf(id), peer, admin, ...(dns === null ? {} : { dns }) },
      ]),
    ),
    sites: [...SITES],
    // Tests choose who leads, and it stays there.
    leaders: witnesses.map(({ id }) => id),
    // A little calmer than the profile: on two cores that run other tests, too, processes stand still
    // for half a second and more.
    timings: { profile: "fast", electionMin: "1s", electionMax: "2s", viewTimeout: "5s" },
    probes: { interval: "200ms", timeout: "500ms" },
    ...(witnesses.some(({ dns }) => dns !== null) ? { dns: { zones: { [ZONE]: embedded } } } : {}),
    groups: Object.fromEntries(
      Object.entries(groups).map(([id, group]) => [id, { sites: sitesOf(id, parts), ...group }]),
    ),
    ...extra,
  });
}

/** w-a stands at site a, w-b at site b, all others at places of their own. */
function siteOf(id: string): Section {
  const site = SITES.find((name) => id === `w-${name}`);
  return site === undefined ? {} : { site };
}

/** The same three services at each site for every group. */
function sitesOf(group: string, { services, names }: DocumentParts): Section {
  const name = names?.[group] ?? NAME;
  return Object.fromEntries(
    SITES.map((site) => {
      const targets = SERVICES.map((service) => {
        const place = services.get(`${site}/${service}`);
        return [service, { http: `http://${place?.machine.host}:${place?.port}/health` }];
      });
      return [site, { targets: Object.fromEntries(targets), records: { [name]: { A: ADDRESS[site] } } }];
    }),
  );
}
