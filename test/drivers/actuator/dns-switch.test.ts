/**
 * The route step's decisions, with a model of RFC 2136 instead of a server: a zone as a map, prerequisites checked and
 * changes made as section 3.2 and 3.4 say. The same decisions run on real servers in dns-route.contract.test.ts.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { DnsRecordSet } from "../../../src/core/model/config.js";
import { encodeEpochMark, parseEpochMark } from "../../../src/drivers/actuator/dns-epoch.js";
import {
  buildUpdate,
  judgeState,
  type NameState,
  planSwitch,
  type Switch,
} from "../../../src/drivers/actuator/dns-switch.js";
import { DnsFormatError } from "../../../src/drivers/dns/error.js";
import type { ResourceRecord } from "../../../src/drivers/dns/message.js";
import { CLASS, encodeValue, rdataKey, TYPE, txtRdata } from "../../../src/drivers/dns/rdata.js";
import type { DnsUpdate } from "../../../src/drivers/dns/update.js";

const NAME = "app.example.test";
const EPOCH_NAME = `_pointsman.${NAME}`;

/** Record data in hex by "name type". */
type Zone = Map<string, Set<string>>;
const keyOf = (name: string, type: number): string => `${name} ${type}`;

function put(zone: Zone, name: string, type: number, rdatas: readonly Buffer[]): void {
  if (rdatas.length > 0) zone.set(keyOf(name, type), new Set(rdatas.map((rdata) => rdata.toString("hex"))));
}

function holds(zone: Zone, prerequisites: readonly ResourceRecord[]): boolean {
  const exact = new Map<string, Set<string>>();
  for (const record of prerequisites) {
    const key = keyOf(record.name, record.type);
    if (record.class === CLASS.NONE) {
      if (zone.has(key)) return false;
    } else {
      exact.set(key, (exact.get(key) ?? new Set()).add(record.rdata.toString("hex")));
    }
  }
  return [...exact].every(([key, set]) => {
    const stands = zone.get(key);
    return stands !== undefined && stands.size === set.size && [...set].every((rdata) => stands.has(rdata));
  });
}

function apply(zone: Zone, update: DnsUpdate): Zone | null {
  if (!holds(zone, update.prerequisites)) return null;
  const next = new Map([...zone].map(([key, set]) => [key, new Set(set)]));
  for (const record of update.changes) {
    const key = keyOf(record.name, record.type);
    if (record.class === CLASS.ANY) next.delete(key);
    else next.set(key, (next.get(key) ?? new Set()).add(record.rdata.toString("hex")));
  }
  return next;
}

function read(zone: Zone, order: Switch): NameState[] {
  const set = (name: string, type: number): Buffer[] =>
    [...(zone.get(keyOf(name, type)) ?? [])].map((hex) => Buffer.from(hex, "hex"));
  return order.names.map(({ name, types }) => ({
    name,
    epochData: set(`_pointsman.${name}`, TYPE.TXT),
    sets: new Map(types.map((type) => [type, set(name, type)])),
  }));
}

const A: DnsRecordSet[] = [{ name: NAME, type: "A", values: ["192.0.2.1", "192.0.2.2"] }];
const B: DnsRecordSet[] = [
  { name: NAME, type: "AAAA", values: ["2001:db8::b"] },
  { name: "txt.example.test", type: "TXT", values: ["site b"] },
];
const C: DnsRecordSet[] = [{ name: NAME, type: "CNAME", values: ["c.elsewhere.test"] }];
const KNOWN = [
  { site: "a", records: A },
  { site: "b", records: B },
  { site: "c", records: C },
];
const RECORDS: Readonly<Record<string, readonly DnsRecordSet[]>> = { a: A, b: B, c: C };

function order(epoch: number, site: string, more: { known?: typeof KNOWN; group?: string } = {}): Switch {
  return planSwitch({
    zone: "example.test",
    ttlSeconds: 5,
    mark: { epoch, site, group: more.group ?? "shop" },
    records: RECORDS[site] ?? [],
    known: more.known ?? KNOWN,
  });
}

/** Carries an order out on the model; asserts that it is done after. */
function carryOut(zone: Zone, one: Switch): Zone {
  const states = read(zone, one);
  assert.equal(judgeState(one, states).kind, "update");
  const next = apply(zone, buildUpdate(one, states));
  assert.ok(next !== null, "the server refuses what was just read");
  assert.equal(judgeState(one, read(next, one)).kind, "already");
  return next;
}

test("a name wanders through addresses, other types and a CNAME, and back, without a rest of the site before", () => {
  const site = fc.constantFrom("a", "b", "c");
  fc.assert(
    fc.property(fc.array(site, { minLength: 1, maxLength: 6 }), (sites) => {
      let zone: Zone = new Map();
      for (const [at, one] of sites.entries()) {
        zone = carryOut(zone, order(at + 1, one));
        const wanted = (RECORDS[one] ?? []).flatMap(({ name, type }) => keyOf(name, TYPE[type]));
        const stands = [...zone.keys()].filter((key) => !key.startsWith("_pointsman."));
        assert.deepEqual(stands.sort(), wanted.sort());
      }
    }),
  );
});

test("an update is refused in every state but the one that it was made from", () => {
  const set = (values: readonly string[]) => fc.subarray([...values], { maxLength: 2 });
  const state = fc
    .record({
      a: set(["192.0.2.1", "192.0.2.2", "203.0.113.9"]),
      aaaa: set(["2001:db8::b", "2001:db8::c"]),
      epoch: set(["epoch=4 site=a group=shop", "epoch=5 site=b group=shop", "junk"]),
    })
    .map(({ a, aaaa, epoch }): Zone => {
      const zone: Zone = new Map();
      put(
        zone,
        NAME,
        TYPE.A,
        a.map((value) => encodeValue("A", value)),
      );
      put(
        zone,
        NAME,
        TYPE.AAAA,
        aaaa.map((value) => encodeValue("AAAA", value)),
      );
      put(
        zone,
        EPOCH_NAME,
        TYPE.TXT,
        epoch.map((value) => txtRdata(value)),
      );
      return zone;
    });
  const show = (zone: Zone): string =>
    JSON.stringify([...zone].map(([key, values]) => [key, [...values].sort()]).sort());
  fc.assert(
    fc.property(state, state, (seen, found) => {
      const one = order(6, "a");
      const update = buildUpdate(one, read(seen, one));
      assert.equal(apply(found, update) !== null, show(seen) === show(found));
    }),
    { numRuns: 1_000 },
  );
});

function zoneWith(records: readonly DnsRecordSet[], mark: string | null): Zone {
  const zone: Zone = new Map();
  for (const { name, type, values } of records)
    put(
      zone,
      name,
      TYPE[type],
      values.map((value) => encodeValue(type, value)),
    );
  if (mark !== null) put(zone, EPOCH_NAME, TYPE.TXT, [txtRdata(mark)]);
  return zone;
}

test("a newer epoch at one of two names outranks everything, even a stranger's record at the other", () => {
  const zone = zoneWith(
    [{ name: "txt.example.test", type: "TXT", values: ["a stranger"] }],
    "epoch=9 site=a group=shop",
  );
  const one = order(7, "b");
  assert.deepEqual(judgeState(one, read(zone, one)), {
    kind: "stale",
    name: NAME,
    found: { epoch: 9, site: "a", group: "shop" },
  });
});

test("a stranger's record stops the order and is named with what was expected", () => {
  const stranger: DnsRecordSet[] = [{ name: NAME, type: "A", values: ["203.0.113.66"] }];
  const one = order(7, "b");
  for (const [zone, expected] of [
    [
      zoneWith(stranger, null),
      /has A 203\.0\.113\.66, expected nothing, or A 192\.0\.2\.1, 192\.0\.2\.2 \(site a\)/,
    ],
    [
      zoneWith(stranger, "epoch=6 site=a group=shop"),
      /expected A 192\.0\.2\.1, 192\.0\.2\.2 \(site a, epoch 6\)/,
    ],
    [zoneWith([], "epoch=6 site=a group=shop"), /has nothing, expected A/],
    [zoneWith([...A, ...B.slice(0, 1)], "epoch=6 site=a group=shop"), /AAAA 2001:db8::b/],
    [zoneWith(A, "v=spf1 -all"), /which this program did not write/],
    [zoneWith(A, "epoch=6 site=a group=other"), /belongs to group "other"/],
    [zoneWith(A, "epoch=7 site=a group=shop"), /two clusters use one group name/],
    [zoneWith(A, "epoch=6 site=gone group=shop"), /which the group does not have any more/],
  ] as const) {
    const judgement = judgeState(one, read(zone, one));
    assert.equal(judgement.kind, "foreign");
    assert.match(judgement.kind === "foreign" ? judgement.message : "", expected);
  }
});

test("an address of a family that no site uses is a stranger's too, as is a CNAME; other types are left alone", () => {
  const only: DnsRecordSet[] = [{ name: NAME, type: "A", values: ["192.0.2.1"] }];
  const mark = { epoch: 7, site: "a", group: "shop" };
  const one = planSwitch({ zone: "example.test", ttlSeconds: 5, mark, records: only, known: [] });
  for (const [extra, kind] of [
    [{ name: NAME, type: "AAAA", values: ["2001:db8::66"] }, "foreign"],
    [{ name: NAME, type: "TXT", values: ["v=spf1 -all"] }, "update"],
  ] as const) {
    const zone = zoneWith([...only, extra], null);
    assert.equal(judgeState(one, read(zone, one)).kind, kind);
  }
  const cname = zoneWith([{ name: NAME, type: "CNAME", values: ["parked.test"] }], null);
  assert.equal(judgeState(one, read(cname, one)).kind, "foreign");
});

test("records that stood before this program came are adopted when they are a known site's", () => {
  for (const records of [A, B.slice(0, 1), C, []]) carryOut(zoneWith(records, null), order(1, "b"));
  carryOut(zoneWith(A, null), order(1, "a"));
});

test("a site whose addresses were changed by the operator is recognised by its old values too", () => {
  const moved: DnsRecordSet[] = [{ name: NAME, type: "A", values: ["192.0.2.77"] }];
  const zone = zoneWith(A, "epoch=3 site=a group=shop");
  const known = [{ site: "a", records: moved }, ...KNOWN];
  carryOut(zone, order(4, "b", { known }));
});

test("an order that cannot stand in a zone is refused before anything is sent", () => {
  const make = (records: readonly DnsRecordSet[]) => () =>
    planSwitch({
      zone: "example.test",
      ttlSeconds: 5,
      mark: { epoch: 1, site: "a", group: "g" },
      records,
      known: [],
    });
  for (const [records, reason] of [
    [[], /names no records/],
    [
      [{ name: "app.other.test", type: "A", values: ["192.0.2.1"] }],
      /app\.other\.test is not in zone example\.test/,
    ],
    [[...C, ...A], /CNAME must be the only record/],
    [[{ name: NAME, type: "CNAME", values: ["x.test", "y.test"] }], /CNAME must be the only record/],
    [[{ name: NAME, type: "A", values: ["nowhere"] }], /"nowhere" is no IPv4 address/],
    [[{ name: `${"x".repeat(60)}.`.repeat(4).concat("example.test"), type: "A", values: [] }], /at most 255/],
  ] as const) {
    assert.throws(make(records as readonly DnsRecordSet[]), (error: Error) => {
      return error instanceof DnsFormatError && reason.test(error.message);
    });
  }
});

test("an epoch record is read only when it is exactly ours", () => {
  const mark = { epoch: 41, site: "a", group: "shop" };
  assert.equal(
    rdataKey(TYPE.TXT, encodeEpochMark(mark)),
    rdataKey(TYPE.TXT, txtRdata("epoch=41 site=a group=shop")),
  );
  assert.deepEqual(parseEpochMark(encodeEpochMark(mark)), mark);
  for (const text of [
    "epoch=41 site=a",
    "epoch=-1 site=a group=g",
    "epoch=99999999999999999 site=a group=g",
    "epoch=1 site=a group=g x",
    "",
  ]) {
    assert.equal(parseEpochMark(txtRdata(text)), null, text);
  }
});
