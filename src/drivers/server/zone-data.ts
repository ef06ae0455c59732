/**
 * What the embedded name server says, as a function of the replicated state: each group's names point where its last
 * finished route step put them; what does not move stands in the document.
 *
 * Before a group was ever routed its names do not exist. A witness without recent contact to a leader marks
 * its zones stale; how it then answers is the operator's choice.
 */
import type { EmbeddedZoneConfig } from "../../core/model/config.js";
import type { State } from "../../core/model/state.js";
import type { DnsZoneData, EmbeddedRecordSet, EmbeddedZone } from "./dns-zone.js";

/** Zone refresh numbers of the SOA; there are no secondaries to transfer it, so they only have to be sane. */
const SOA_TIMES = { refreshSeconds: 3600, retrySeconds: 600, expireSeconds: 86_400 };

/**
 * Gives `DnsZoneData` for a state, and the same object for as long as nothing changed: the server keeps an
 * index by identity.
 */
export class ZoneView {
  private last: { readonly state: State; readonly stale: boolean; readonly data: DnsZoneData } | null = null;

  /** `leaderContactAgeMs`: since the witness last heard of a leader; null is never. */
  data(state: State, leaderContactAgeMs: number | null): DnsZoneData {
    const dns = state.config?.dns ?? null;
    const stale = dns === null || leaderContactAgeMs === null || leaderContactAgeMs > dns.maxStalenessMs;
    if (this.last !== null && this.last.stale === stale && sameNames(this.last.state, state))
      return this.last.data;
    const zones =
      dns === null ? [] : dns.zones.map((zone) => embeddedZone(state, zone, stale, dns.staleness));
    this.last = { state, stale, data: { zones } };
    return this.last.data;
  }
}

/** True when both states give the same names the same values. */
function sameNames(a: State, b: State): boolean {
  if (a === b) return true;
  if (a.config !== b.config) return false;
  return (a.config?.groups ?? []).every(({ id }) => a.groups[id]?.routed === b.groups[id]?.routed);
}

function embeddedZone(
  state: State,
  zone: EmbeddedZoneConfig,
  stale: boolean,
  staleness: "stale" | "servfail",
): EmbeddedZone {
  const { ttlSeconds } = zone;
  const fixed = zone.records.map((record): EmbeddedRecordSet => ({ ...record, ttlSeconds }));
  const moving = (state.config?.groups ?? []).flatMap((group): EmbeddedRecordSet[] => {
    const routed = state.groups[group.id]?.routed ?? null;
    const isHere = group.route.some((route) => route.kind === "embedded" && route.zone === zone.name);
    const at = isHere && routed !== null ? group.sites.find(({ site }) => site === routed.site) : undefined;
    return (at?.records ?? [])
      .filter(({ name }) => name === zone.name || name.endsWith(`.${zone.name}`))
      .map((record) => ({ ...record, ttlSeconds }));
  });
  return {
    name: zone.name,
    soa: {
      mname: zone.nameServers[0] ?? zone.name,
      rname: zone.contact,
      ...SOA_TIMES,
      minimumSeconds: zone.negativeTtlSeconds,
      ttlSeconds,
    },
    serial: serialOf(state),
    ns: zone.nameServers,
    records: [...fixed, ...moving],
    stale,
    staleness,
  };
}

/**
 * Grows with every switch, and is the same at every witness: epochs only grow, and so does the version. A
 * document that drops a group takes its epochs out again; nobody transfers these zones, so nobody is misled.
 */
function serialOf(state: State): number {
  const epochs = Object.values(state.groups).map((group) => group.routed?.epoch ?? 0);
  return epochs.reduce((sum, epoch) => sum + epoch, state.config?.version ?? 0);
}
