/**
 * What a route step has to do at a name server, as pure functions: which sets it owns, what stands there, what that
 * means, and the one update that changes it.
 *
 * A group owns, at each of its names, every record type that any of its sites uses there. A, AAAA and CNAME are owned
 * together: a CNAME excludes the others, and a forgotten AAAA would send half the clients to the other site. Other
 * types at the name (MX, a stranger's TXT) are not touched.
 *
 * Invariant: the update asserts exactly what was judged. Whatever happened between reading and writing, either nothing
 * changed or the server refuses.
 */
import { assert } from "../../core/base/assert.js";
import type { DnsRecordSet } from "../../core/model/config.js";
import { DnsFormatError } from "../dns/error.js";
import type { ResourceRecord } from "../dns/message.js";
import { canonicalName, isWithin, nameToWire } from "../dns/name.js";
import { encodeValue, rdataKey, showValue, TYPE, typeName } from "../dns/rdata.js";
import { change, type DnsUpdate, prerequisite } from "../dns/update.js";
import { type EpochMark, encodeEpochMark, epochRecordName, parseEpochMark } from "./dns-epoch.js";

/** Values of a site: what its names say while it is primary. */
export interface SiteRecords {
  readonly site: string;
  readonly records: readonly DnsRecordSet[];
}

/** Record sets by type number; a type that is missing has no records. */
type Sets = ReadonlyMap<number, readonly Buffer[]>;

/** One name that the group owns, and the types that it owns there. */
export interface OwnedName {
  /** Canonical. */
  readonly name: string;
  readonly types: readonly number[];
}

/** The whole order, checked: what is owned, what must stand, what may stand now. */
export interface Switch {
  readonly zone: string;
  readonly ttlSeconds: number;
  readonly mark: EpochMark;
  readonly names: readonly OwnedName[];
  readonly wanted: ReadonlyMap<string, Sets>;
  /** Sites may appear more than once: old and new values of a site whose addresses were changed. */
  readonly known: readonly { readonly site: string; readonly sets: ReadonlyMap<string, Sets> }[];
}

/** What stands at one name: the epoch record's data, and the owned sets. */
export interface NameState {
  readonly name: string;
  readonly epochData: readonly Buffer[];
  readonly sets: Sets;
}

/** What the state of the zone means for the order. */
export type Judgement =
  /** Everything stands as ordered. */
  | { readonly kind: "already" }
  /** A newer epoch was here: this order is from the past. */
  | { readonly kind: "stale"; readonly name: string; readonly found: EpochMark }
  /** Something stands that no epoch of this group wrote. `message` says what and what to do. */
  | { readonly kind: "foreign"; readonly message: string }
  | { readonly kind: "update" };

const ADDRESS_TYPES: readonly number[] = [TYPE.A, TYPE.AAAA, TYPE.CNAME];

function byName(records: readonly DnsRecordSet[]): Map<string, Map<number, Buffer[]>> {
  const names = new Map<string, Map<number, Buffer[]>>();
  for (const { name, type, values } of records) {
    const owner = canonicalName(name);
    const sets = names.get(owner) ?? new Map<number, Buffer[]>();
    names.set(owner, sets);
    const set = sets.get(TYPE[type]) ?? [];
    sets.set(TYPE[type], set);
    for (const value of values) {
      const rdata = encodeValue(type, value);
      const key = rdataKey(TYPE[type], rdata);
      if (!set.some((other) => rdataKey(TYPE[type], other) === key)) set.push(rdata);
    }
  }
  for (const [name, sets] of names) {
    const cnames = sets.get(TYPE.CNAME)?.length ?? 0;
    const others = [...sets].some(([type, set]) => type !== TYPE.CNAME && set.length > 0);
    if (cnames > 1 || (cnames === 1 && others))
      throw new DnsFormatError(`${name}: a CNAME must be the only record of its name`);
  }
  return names;
}

/** Checks an order and works out what it owns. Throws `DnsFormatError` for values that cannot stand in a zone. */
export function planSwitch(order: {
  readonly zone: string;
  readonly ttlSeconds: number;
  readonly mark: EpochMark;
  readonly records: readonly DnsRecordSet[];
  readonly known: readonly SiteRecords[];
}): Switch {
  const { mark } = order;
  assert(
    !/\s/.test(mark.site + mark.group),
    () => `white space in site "${mark.site}" or group "${mark.group}"`,
  );
  const zone = canonicalName(order.zone);
  const wanted = byName(order.records);
  const known = order.known.map(({ site, records }) => ({ site, sets: byName(records) }));
  const owned = new Map<string, Set<number>>();
  for (const sets of [wanted, ...known.map((one) => one.sets)]) {
    for (const [name, byType] of sets) {
      const types = owned.get(name) ?? new Set<number>();
      owned.set(name, types);
      for (const type of byType.keys()) types.add(type);
      if (ADDRESS_TYPES.some((type) => types.has(type))) for (const type of ADDRESS_TYPES) types.add(type);
    }
  }
  if (owned.size === 0) throw new DnsFormatError("the order names no records");
  for (const name of owned.keys()) {
    if (!isWithin(name, zone)) throw new DnsFormatError(`${name} is not in zone ${zone}`);
    nameToWire(epochRecordName(name));
  }
  const names = [...owned].map(([name, types]) => ({ name, types: [...types].sort((a, b) => a - b) }));
  return { zone, ttlSeconds: order.ttlSeconds, mark, names, wanted, known };
}

function keysOf(type: number, set: readonly Buffer[] | undefined): string {
  return (set ?? [])
    .map((rdata) => rdataKey(type, rdata))
    .sort()
    .join(",");
}

function isEqual(owned: OwnedName, left: Sets | undefined, right: Sets | undefined): boolean {
  return owned.types.every((type) => keysOf(type, left?.get(type)) === keysOf(type, right?.get(type)));
}

/** The owned sets of one name in words: "A 192.0.2.1, 192.0.2.2; TXT \"x\"", or "nothing". */
export function showSets(sets: Sets | undefined): string {
  const parts = [...(sets ?? [])]
    .filter(([, set]) => set.length > 0)
    .map(([type, set]) => `${typeName(type)} ${set.map((rdata) => showValue(type, rdata)).join(", ")}`);
  return parts.length === 0 ? "nothing" : parts.join("; ");
}

function foreign(order: Switch, state: NameState, expected: string): Judgement {
  const epochName = epochRecordName(state.name);
  return {
    kind: "foreign",
    message:
      `${state.name} has ${showSets(state.sets)}, expected ${expected}: somebody else changed it, so nothing was ` +
      `overwritten; find out who and why, then either put the expected records back, or delete the records and ` +
      `${epochName} TXT in zone ${order.zone}, and repeat the switch`,
  };
}

/** Judges one name apart from the question of "already". */
function judgeName(order: Switch, owned: OwnedName, state: NameState): Judgement {
  const { mark } = order;
  const epochName = epochRecordName(owned.name);
  if (state.epochData.length === 0) {
    const isOurs =
      isEqual(owned, state.sets, undefined) ||
      isEqual(owned, state.sets, order.wanted.get(owned.name)) ||
      order.known.some((site) => isEqual(owned, state.sets, site.sets.get(owned.name)));
    if (isOurs) return { kind: "update" };
    const sites = order.known.map(({ site, sets }) => `${showSets(sets.get(owned.name))} (site ${site})`);
    return foreign(order, state, `nothing, or ${sites.join(", or ")}`);
  }
  const [only] = state.epochData;
  const found = only === undefined || state.epochData.length > 1 ? null : parseEpochMark(only);
  if (found === null) {
    const texts = state.epochData.map((rdata) => `"${showValue(TYPE.TXT, rdata)}"`).join(" ");
    return {
      kind: "foreign",
      message:
        `${epochName} TXT is ${texts}, which this program did not write: nothing was overwritten; ` +
        "find out who did, delete it, and repeat the switch",
    };
  }
  if (found.group !== mark.group) {
    return {
      kind: "foreign",
      message:
        `${owned.name} belongs to group "${found.group}" (epoch ${found.epoch}, site ${found.site}), not to ` +
        `"${mark.group}": nothing was overwritten; two groups cannot move one name. If the group was renamed, ` +
        `delete ${epochName} TXT and repeat the switch`,
    };
  }
  if (found.epoch > mark.epoch) return { kind: "stale", name: owned.name, found };
  if (found.epoch === mark.epoch && found.site !== mark.site) {
    return {
      kind: "foreign",
      message:
        `epoch ${mark.epoch} of group "${mark.group}" stands at ${owned.name} for site ${found.site}, this order is for ` +
        `${mark.site}: two clusters use one group name, or the data directories were wiped; nothing was overwritten`,
    };
  }
  const mine = order.known.filter((one) => one.site === found.site);
  if (mine.some((one) => isEqual(owned, state.sets, one.sets.get(owned.name)))) return { kind: "update" };
  // A site whose values nobody passed in can still be the target itself.
  if (found.site === mark.site && isEqual(owned, state.sets, order.wanted.get(owned.name)))
    return { kind: "update" };
  const expected =
    mine.length === 0
      ? `the values of site ${found.site} (epoch ${found.epoch}), which the group does not have any more`
      : `${mine.map((one) => showSets(one.sets.get(owned.name))).join(", or ")} (site ${found.site}, epoch ${found.epoch})`;
  return foreign(order, state, expected);
}

/** What the state of all names means; a newer epoch anywhere outranks everything, a stranger comes second. */
export function judgeState(order: Switch, states: readonly NameState[]): Judgement {
  const judged = order.names.map((owned) => {
    const state = states.find((one) => one.name === owned.name);
    assert(state !== undefined, `no state was read for ${owned.name}`);
    return { owned, state, judgement: judgeName(order, owned, state) };
  });
  const stale = judged.find((one) => one.judgement.kind === "stale");
  if (stale !== undefined) return stale.judgement;
  const stranger = judged.find((one) => one.judgement.kind === "foreign");
  if (stranger !== undefined) return stranger.judgement;
  const isDone = judged.every(
    ({ owned, state }) => isMarked(order, state) && isEqual(owned, state.sets, order.wanted.get(owned.name)),
  );
  return isDone ? { kind: "already" } : { kind: "update" };
}

/** True when the epoch record of this very order stands at the name. */
export function isMarked(order: Switch, state: NameState): boolean {
  const [only] = state.epochData;
  const wanted = encodeEpochMark(order.mark);
  return state.epochData.length === 1 && only !== undefined && only.equals(wanted);
}

/**
 * True when a server may accept the update and still leave a part of it out without a word: RFC 2136 (section
 * 3.4.2.2) lets it drop a CNAME beside other records, and other records beside a CNAME. Not so where the
 * update itself asserts that no CNAME stands or deletes it, which it does for owned addresses, and where a
 * TXT was seen at the epoch's name.
 */
export function mayBeIgnored(order: Switch, states: readonly NameState[]): boolean {
  const isSure = (owned: OwnedName): boolean =>
    owned.types.includes(TYPE.CNAME) && (order.wanted.get(owned.name)?.get(TYPE.CNAME)?.length ?? 0) === 0;
  return !order.names.every(isSure) || !states.every((state) => state.epochData.length > 0);
}

/** The one update that carries out the order, on condition that everything is still as `states` says. */
export function buildUpdate(order: Switch, states: readonly NameState[]): DnsUpdate {
  const prerequisites: ResourceRecord[] = [];
  const changes: ResourceRecord[] = [];
  const assertSet = (name: string, type: number, set: readonly Buffer[]): void => {
    prerequisites.push(
      ...(set.length === 0 ? prerequisite.setAbsent(name, type) : prerequisite.setIs(name, type, set)),
    );
  };
  for (const owned of order.names) {
    const state = states.find((one) => one.name === owned.name);
    assert(state !== undefined, `no state was read for ${owned.name}`);
    const epochName = epochRecordName(owned.name);
    assertSet(epochName, TYPE.TXT, state.epochData);
    for (const type of owned.types) assertSet(owned.name, type, state.sets.get(type) ?? []);
    // All deletions come first: a CNAME is ignored while an address stands beside it (RFC 2136 section 3.4.2.2).
    for (const type of owned.types) {
      if ((state.sets.get(type)?.length ?? 0) > 0) changes.push(...change.deleteSet(owned.name, type));
    }
    for (const type of owned.types) {
      const wanted = order.wanted.get(owned.name)?.get(type) ?? [];
      changes.push(...change.add(owned.name, type, order.ttlSeconds, wanted));
    }
    if (state.epochData.length > 0) changes.push(...change.deleteSet(epochName, TYPE.TXT));
    changes.push(...change.add(epochName, TYPE.TXT, order.ttlSeconds, [encodeEpochMark(order.mark)]));
  }
  return { zone: order.zone, prerequisites, changes };
}
