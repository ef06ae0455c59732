/**
 * Zones of the embedded name server: the snapshot that the runtime hands in, and the index that answers come from.
 *
 * A snapshot is an immutable value made from the replicated state. Its index is built on the first question
 * about it and lives exactly as long as the snapshot, so a lookup costs a map access and the runtime need not
 * tell us of changes.
 *
 * A name exists when it, or anything below it, has records: `a.b.example` makes `b.example` an empty
 * non-terminal, which is NODATA and never NXDOMAIN (RFC 8020, RFC 4592 section 2.2.2). Owner names are
 * literal; `*` is no wildcard here.
 */
import type { DnsRecordType } from "../../core/model/config.js";
import { DnsFormatError } from "../dns/error.js";
import type { ResourceRecord } from "../dns/message.js";
import { canonicalName, isWithin, normalName, splitName } from "../dns/name.js";
import { CLASS, encodeValue, rdataKey, soaRdata, TYPE } from "../dns/rdata.js";

/** The SOA of an embedded zone, apart from its serial. */
export interface EmbeddedSoa {
  /** Name of the first name server. */
  readonly mname: string;
  /** Mailbox of the people in charge, as a name: `hostmaster.example.org`. */
  readonly rname: string;
  readonly refreshSeconds: number;
  readonly retrySeconds: number;
  readonly expireSeconds: number;
  /** How long "no such record" may be cached (RFC 2308). */
  readonly minimumSeconds: number;
  /** TTL of the SOA and NS records. */
  readonly ttlSeconds: number;
}

/** A record set of an embedded zone. Names are fully qualified, with or without a trailing dot. */
export interface EmbeddedRecordSet {
  readonly name: string;
  readonly type: DnsRecordType;
  readonly ttlSeconds: number;
  readonly values: readonly string[];
}

/** One zone as the replicated state has it now. */
export interface EmbeddedZone {
  readonly name: string;
  readonly soa: EmbeddedSoa;
  /** Other than before when the zone's content is; taken modulo 2^32. */
  readonly serial: number;
  /** Names of the zone's name servers. */
  readonly ns: readonly string[];
  readonly records: readonly EmbeddedRecordSet[];
  /** True when this witness has been out of contact with a leader for longer than `dns.maxStaleness`. */
  readonly stale: boolean;
  /** What to answer while stale: the last known records with a short TTL, or SERVFAIL. */
  readonly staleness: "stale" | "servfail";
}

/** All zones that a witness answers for. */
export interface DnsZoneData {
  readonly zones: readonly EmbeddedZone[];
}

/** The TTL of an answer that may be out of date: soon asked again, as RFC 8767 advises, and sooner. Seconds. */
const STALE_TTL_SECONDS = 5;

/** A zone, ready to be asked. Keys are canonical names. */
export interface ZoneIndex {
  readonly zone: EmbeddedZone;
  /** Canonical name of the zone. */
  readonly name: string;
  /** Record sets by owner and type. */
  readonly sets: ReadonlyMap<string, ReadonlyMap<number, readonly ResourceRecord[]>>;
  /** Every owner and every name between an owner and the zone. */
  readonly exists: ReadonlySet<string>;
  /** The SOA as it goes into negative answers. */
  readonly negativeSoa: ResourceRecord;
}

/** All zones of a snapshot by canonical name; a zone whose content cannot be served maps to the reason. */
export type DataIndex = ReadonlyMap<string, ZoneIndex | DnsFormatError>;

const indexes = new WeakMap<DnsZoneData, DataIndex>();

/** Builds the index of one zone. Throws `DnsFormatError` naming the record that cannot be served. */
function indexZone(zone: EmbeddedZone): ZoneIndex {
  const name = canonicalName(zone.name);
  const cap = (ttl: number): number => (zone.stale ? Math.min(ttl, STALE_TTL_SECONDS) : ttl);
  const sets = new Map<string, Map<number, ResourceRecord[]>>();
  const add = (owner: string, type: number, ttl: number, rdata: Buffer): void => {
    const key = canonicalName(owner);
    if (!isWithin(key, name)) throw new DnsFormatError(`${owner} is not in zone ${zone.name}`);
    const types = sets.get(key) ?? new Map<number, ResourceRecord[]>();
    sets.set(key, types);
    const set = types.get(type) ?? [];
    types.set(type, set);
    if (set.some((record) => rdataKey(type, record.rdata) === rdataKey(type, rdata))) return;
    set.push({ name: normalName(owner), type, class: CLASS.IN, ttl: cap(ttl), rdata });
  };
  const { soa } = zone;
  const soaData = soaRdata({
    mname: soa.mname,
    rname: soa.rname,
    serial: zone.serial % 2 ** 32,
    refresh: soa.refreshSeconds,
    retry: soa.retrySeconds,
    expire: soa.expireSeconds,
    minimum: soa.minimumSeconds,
  });
  add(zone.name, TYPE.SOA, soa.ttlSeconds, soaData);
  for (const server of zone.ns) add(zone.name, TYPE.NS, soa.ttlSeconds, encodeValue("NS", server));
  for (const set of zone.records) {
    for (const value of set.values)
      add(set.name, TYPE[set.type], set.ttlSeconds, encodeValue(set.type, value));
  }
  for (const [owner, types] of sets) {
    if (types.has(TYPE.CNAME) && types.size > 1)
      throw new DnsFormatError(`${owner}: a CNAME must be the only record of its name`);
  }
  const exists = new Set<string>();
  const zoneDepth = splitName(name).length;
  for (const owner of sets.keys()) {
    const labels = splitName(owner);
    for (let from = 0; labels.length - from >= zoneDepth; from++)
      exists.add(labels.slice(from).join(".") || ".");
  }
  const negativeSoa = {
    name: normalName(zone.name),
    type: TYPE.SOA,
    class: CLASS.IN,
    ttl: cap(Math.min(soa.minimumSeconds, soa.ttlSeconds)),
    rdata: soaData,
  };
  return { zone, name, sets, exists, negativeSoa };
}

/** The index of a snapshot, built once. A zone that cannot be served does not take the others with it. */
export function indexData(data: DnsZoneData): DataIndex {
  const known = indexes.get(data);
  if (known !== undefined) return known;
  const index = new Map<string, ZoneIndex | DnsFormatError>();
  for (const zone of data.zones) {
    let entry: ZoneIndex | DnsFormatError;
    try {
      entry = indexZone(zone);
    } catch (error) {
      if (!(error instanceof DnsFormatError)) throw error;
      entry = error;
    }
    index.set(zone.name === "" ? "." : zone.name.replace(/\.$/, "").toLowerCase(), entry);
  }
  indexes.set(data, index);
  return index;
}

/** The zone that a name belongs to: the longest one that contains it. `name` is canonical. */
export function findZone(index: DataIndex, name: string): ZoneIndex | DnsFormatError | null {
  const labels = splitName(name);
  for (let at = 0; at <= labels.length; at++) {
    const suffix = at === labels.length ? "." : labels.slice(at).join(".");
    const found = index.get(suffix);
    if (found !== undefined) return found;
  }
  return null;
}
