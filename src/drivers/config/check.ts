/**
 * What must hold between parts of the document: names refer to something, nothing stands twice, timings fit together.
 *
 * Runs on whatever could be read (`Draft`), so that these problems are reported together with those of form. What is
 * legal and unwise is advise.ts.
 */
import type { SiteId, WitnessId } from "../../core/base/ids.js";
import {
  type DnsRecordSet,
  type EmbeddedDnsConfig,
  type GroupConfig,
  type Timings,
  WITNESSES_MAX,
  type WitnessConfig,
} from "../../core/model/config.js";
import { formatDuration } from "./leaf.js";
import { type Finding, nearest, type Path, type ProblemCode } from "./problem.js";
import { isInside, routesOf } from "./zone-names.js";

/** What could be read. Null: that section has errors of its own; nothing is concluded from it. */
export interface Draft {
  readonly witnesses: readonly WitnessConfig[] | null;
  readonly sites: readonly SiteId[] | null;
  readonly leaders: readonly WitnessId[];
  readonly timings: Timings | null;
  /** `absent`: the document has no such section. */
  readonly dns: EmbeddedDnsConfig | "absent" | null;
  readonly groups: readonly GroupConfig[];
}

/** Everything that contradicts itself. */
export function checkDraft(draft: Draft): Finding[] {
  const findings: Finding[] = [];
  const find: Find = (code, path, message, remedy, value = null) => {
    findings.push({ code, path, message, remedy, value });
  };
  checkSites(draft, find);
  checkWitnesses(draft, find);
  checkLeaders(draft, find);
  if (draft.timings !== null) checkTimings(draft.timings, find);
  if (draft.dns !== null && draft.dns !== "absent") checkZones(draft.dns, find);
  for (const group of draft.groups) checkGroup(group, draft, find);
  checkSharedNames(draft, find);
  return findings;
}

type Find = (code: ProblemCode, path: Path, message: string, remedy: string, value?: string | null) => void;

function checkSites({ sites }: Draft, find: Find): void {
  sites?.forEach((site, at) => {
    if (sites.indexOf(site) !== at)
      find("duplicate", ["sites", at], "stands twice", "Name each site once.", site);
  });
}

function checkReference(site: SiteId, path: Path, { sites }: Draft, find: Find): void {
  if (sites === null || sites.includes(site)) return;
  const near = nearest(site, sites);
  const remedy =
    near === null ? `Add it to \`sites\`, or name one of ${sites.join(", ")}.` : `Did you mean ${near}?`;
  find("unknown_reference", path, "is no configured site", remedy, site);
}

function checkWitnesses(draft: Draft, find: Find): void {
  const { witnesses } = draft;
  if (witnesses === null) return;
  if (witnesses.length > WITNESSES_MAX) {
    const message = `names ${witnesses.length} witnesses`;
    find("out_of_range", ["witnesses"], message, `Use 3 or 5; at most ${WITNESSES_MAX} are accepted.`);
  }
  const users = new Map<string, string>();
  for (const witness of witnesses) {
    const base = ["witnesses", witness.id];
    if (witness.site !== null) checkReference(witness.site, [...base, "site"], draft, find);
    const addresses: [Path, string][] = [
      ...witness.peers.map((peer, at): [Path, string] => [[...base, "peer", at], peer]),
      [[...base, "admin"], witness.admin],
    ];
    if (witness.dns !== null) addresses.push([[...base, "dns"], witness.dns]);
    for (const [path, address] of addresses) {
      const user = users.get(address);
      if (user !== undefined) {
        find("duplicate", path, `is used by ${user} already`, "Give each its own address or port.", address);
      }
      users.set(address, `witness ${witness.id}`);
    }
    if (witness.dns !== null && draft.dns === "absent") {
      const remedy = "Add a `dns:` section with its zones, or leave this address out.";
      find("unknown_reference", [...base, "dns"], "has no zones to answer for", remedy, witness.dns);
    }
  }
}

function checkLeaders({ leaders, witnesses }: Draft, find: Find): void {
  leaders.forEach((leader, at) => {
    if (leaders.indexOf(leader) !== at)
      find("duplicate", ["leaders", at], "stands twice", "Name each witness once.", leader);
    const known = witnesses?.map(({ id }) => id) ?? null;
    if (known === null || known.includes(leader)) return;
    const near = nearest(leader, known);
    const remedy = near === null ? `Name one of ${known.join(", ")}.` : `Did you mean ${near}?`;
    find("unknown_reference", ["leaders", at], "is no configured witness", remedy, leader);
  });
}

/** Relations without which elections never settle or a healthy witness looks lost. */
function checkTimings(timings: Timings, find: Find): void {
  const { tickMs, heartbeatMs, electionMinMs, electionMaxMs, viewIntervalMs, viewTimeoutMs } = timings;
  const contradict = (key: string, valueMs: number, message: string, remedy: string): void =>
    find("contradiction", ["timings", key], message, remedy, formatDuration(valueMs));
  const at = formatDuration;
  if (tickMs > heartbeatMs) {
    contradict(
      "tick",
      tickMs,
      `is longer than the heartbeat of ${at(heartbeatMs)}`,
      "A heartbeat takes at least one tick.",
    );
  }
  if (heartbeatMs * 3 > electionMinMs) {
    const message = `leaves no room for a lost heartbeat (heartbeat ${at(heartbeatMs)})`;
    contradict(
      "electionMin",
      electionMinMs,
      message,
      `Write at least three heartbeats, ${at(heartbeatMs * 3)}.`,
    );
  }
  if (electionMaxMs < electionMinMs + 2 * tickMs) {
    const message = `leaves no room to draw from (electionMin ${at(electionMinMs)})`;
    contradict(
      "electionMax",
      electionMaxMs,
      message,
      `Write at least ${at(electionMinMs + 2 * tickMs)}; twice electionMin is usual.`,
    );
  }
  if (viewTimeoutMs < viewIntervalMs * 2) {
    const message = `leaves no room for a lost view (viewInterval ${at(viewIntervalMs)})`;
    contradict(
      "viewTimeout",
      viewTimeoutMs,
      message,
      `Write at least two intervals, ${at(viewIntervalMs * 2)}.`,
    );
  }
}

function checkZones(dns: EmbeddedDnsConfig, find: Find): void {
  for (const zone of dns.zones) {
    const path = ["dns", "zones", zone.name];
    for (const set of zone.records) {
      if (!isInside(set.name, zone.name)) {
        find(
          "contradiction",
          [...path, "records", set.name],
          "lies outside the zone",
          `Only names at or below ${zone.name} belong here.`,
        );
      }
    }
    checkCnames(zone.records, [...path, "records"], find);
  }
}

/** A name with a CNAME has nothing else (RFC 1034 section 3.6.2), and one value. */
function checkCnames(records: readonly DnsRecordSet[], path: Path, find: Find): void {
  for (const set of records) {
    const repeated = set.values.find((value, at) => set.values.indexOf(value) !== at);
    if (repeated !== undefined) {
      find("duplicate", [...path, set.name, set.type], "holds a value twice", "Write it once.", repeated);
    }
    if (set.type !== "CNAME") continue;
    if (set.values.length > 1) {
      find("contradiction", [...path, set.name, "CNAME"], "has more than one value", "A name has one CNAME.");
    }
    if (records.some((other) => other.name === set.name && other.type !== "CNAME")) {
      const remedy = "A name with a CNAME has no other records: drop one.";
      find("contradiction", [...path, set.name], "has a CNAME beside other records", remedy);
    }
  }
}

function checkGroup(group: GroupConfig, draft: Draft, find: Find): void {
  const path = ["groups", group.id];
  for (const at of group.sites) {
    const sitePath = [...path, "sites", at.site];
    checkReference(at.site, sitePath, draft, find);
    if (!at.targets.some((target) => target.required)) {
      const remedy =
        "Leave `required` out for at least one: a site without required targets can never be down.";
      find("contradiction", [...sitePath, "targets"], "holds no required target", remedy);
    }
    checkCnames(at.records, [...sitePath, "records"], find);
  }
  checkRecordsAgree(group, path, find);
  checkRoutes(group, path, draft, find);
  if (group.retry.backoffMaxMs < group.retry.backoffMs) {
    const value = formatDuration(group.retry.backoffMaxMs);
    find(
      "contradiction",
      [...path, "retry", "backoffMax"],
      "is shorter than the first backoff",
      "Write at least `backoff`.",
      value,
    );
  }
}

/** Each site must say the same names: a switch that leaves one name behind is half done. */
function checkRecordsAgree(group: GroupConfig, path: Path, find: Find): void {
  const keysOf = (records: readonly DnsRecordSet[]): string[] =>
    records.map((set) => `${set.name} ${set.type}`);
  const all = new Set(group.sites.flatMap((at) => keysOf(at.records)));
  for (const at of group.sites) {
    const own = keysOf(at.records);
    const missing = [...all].filter((key) => !own.includes(key));
    if (missing.length === 0) continue;
    const remedy = "Every site of a group needs a value for the same names and types.";
    find("contradiction", [...path, "sites", at.site, "records"], `lacks ${missing.join(", ")}`, remedy);
  }
}

function checkRoutes(group: GroupConfig, path: Path, draft: Draft, find: Find): void {
  const names = [...new Set(group.sites.flatMap((at) => at.records.map((set) => set.name)))];
  if (group.route.length > 0 && names.length === 0) {
    const remedy =
      "Write `records:` at each site: the names that move, and where they point while the site is primary.";
    find("missing", [...path, "route"], "has no records to move", remedy);
  }
  if (group.route.length === 0 && names.length > 0) {
    const remedy = "Write `route:` with an rfc2136 or embedded entry whose zone holds these names.";
    find("missing", [...path, "route"], "is missing although the sites have records", remedy);
  }
  for (const name of group.route.length === 0 ? [] : names) {
    if (routesOf(name, group.route).length > 0) continue;
    const zones = group.route.map((route) => route.zone).join(", ");
    const first = group.sites.find((at) => at.records.some((set) => set.name === name));
    const place = [...path, "sites", first?.site ?? "", "records", name];
    find("contradiction", place, "lies in no zone of the group's routes", `The routes manage ${zones}.`);
  }
  group.route.forEach((route, at) => {
    const place = [...path, "route", at, route.kind];
    if (names.length > 0 && !names.some((name) => routesOf(name, group.route).includes(route))) {
      find(
        "contradiction",
        [...place, "zone"],
        "holds none of the group's names",
        "Correct the zone, or drop this route.",
        route.zone,
      );
    }
    if (route.kind === "embedded") checkEmbedded(route.zone, place, draft, find);
  });
}

function checkEmbedded(zone: string, path: Path, { dns, witnesses }: Draft, find: Find): void {
  if (dns === null) return;
  const zones = dns === "absent" ? [] : dns.zones.map((one) => one.name);
  if (!zones.includes(zone)) {
    const near = nearest(zone, zones);
    const remedy = near === null ? `Add it under \`dns.zones\`.` : `Did you mean ${near}?`;
    find("unknown_reference", path, "is no zone of the embedded name server", remedy, zone);
  }
  if (witnesses?.every((witness) => witness.dns === null) === true) {
    const remedy = "Give each witness that shall answer a `dns: host:port`.";
    find("contradiction", path, "no witness has a name server to answer it", remedy, zone);
  }
}

/** A name belongs to one group, and not to the fixed records of a zone. */
function checkSharedNames({ groups, dns }: Draft, find: Find): void {
  const owners = new Map<string, string>();
  if (dns !== null && dns !== "absent") {
    for (const zone of dns.zones) {
      for (const set of zone.records) owners.set(set.name, `the fixed records of zone ${zone.name}`);
    }
  }
  for (const group of groups) {
    const mine = `group ${group.id}`;
    for (const at of group.sites) {
      for (const set of at.records) {
        const owner = owners.get(set.name) ?? mine;
        owners.set(set.name, owner);
        if (owner === mine) continue;
        const place = ["groups", group.id, "sites", at.site, "records", set.name];
        find("duplicate", place, `belongs to ${owner} already`, "A name moves with one group.", null);
      }
    }
  }
}
