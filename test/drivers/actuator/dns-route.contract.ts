/**
 * The route step against real name servers: one suite, run on BIND 9 and on Knot, each from a file of its own
 * so that they run side by side.
 *
 * Each server is started once; each test uses names of its own below the zone, so that the order of tests
 * does not matter.
 */
import assert from "node:assert/strict";
import { createServer } from "node:net";
import { after, before, describe, test } from "node:test";
import type { DnsRecordSet } from "../../../src/core/model/config.js";
import {
  type DnsRouteOptions,
  type DnsRouteRequest,
  routeDns,
} from "../../../src/drivers/actuator/dns-route.js";
import { Deadline, parseEndpoint } from "../../../src/drivers/dns/endpoint.js";
import { DnsError } from "../../../src/drivers/dns/error.js";
import { decodeMessage } from "../../../src/drivers/dns/message.js";
import { RCODE } from "../../../src/drivers/dns/rcode.js";
import { encodeValue, TYPE } from "../../../src/drivers/dns/rdata.js";
import { openTcp } from "../../../src/drivers/dns/tcp.js";
import { change, type DnsUpdate, prerequisite, sendUpdate } from "../../../src/drivers/dns/update.js";
import { isUpdate, startDnsProxy } from "../../support/dns-proxy.js";
import {
  digShort,
  freePort,
  type NameServer,
  type NameServerKind,
  skipNameServer,
  startNameServer,
  testKey,
} from "../../support/name-servers.js";

const never = new AbortController().signal;
const stranger = testKey("stranger.", "hmac-sha512");
const ADDRESS = { a: "192.0.2.1", b: "198.51.100.1" } as const;

/** Registers the suite for one product. */
export function routeContract(kind: NameServerKind): void {
  describe(`route step on ${kind}`, { skip: skipNameServer(kind) }, () => {
    let server: NameServer;
    before(async () => {
      server = await startNameServer(kind, {
        key: testKey("pointsman.", kind === "bind" ? "hmac-sha256" : "hmac-sha512"),
        otherKeys: [stranger],
        records: [
          "legacy IN A 192.0.2.1",
          "legacy IN MX 10 mail",
          "theirs IN A 203.0.113.66",
          "mixed IN MX 10 mail",
          "*.wild IN A 192.0.2.1",
        ],
      });
    });
    after(async () => {
      await server?.close();
    });

    const full = (name: string): string => `${name}.example.test`;
    const records = (name: string, site: "a" | "b"): DnsRecordSet[] => [
      { name: full(name), type: "A", values: [ADDRESS[site]] },
    ];
    const order = (
      name: string,
      epoch: number,
      site: "a" | "b",
      more: Partial<DnsRouteRequest> = {},
    ): DnsRouteRequest => ({
      group: "shop",
      epoch,
      site,
      zone: "example.test",
      servers: [server.address],
      key: server.key,
      ttlSeconds: 7,
      records: records(name, site),
      knownValues: [
        { site: "a", records: records(name, "a") },
        { site: "b", records: records(name, "b") },
      ],
      timeoutMs: 10_000,
      ...more,
    });
    const dig = (name: string, type = "A"): string[] => digShort(server, full(name), type);
    const route = (request: DnsRouteRequest, options?: DnsRouteOptions) => routeDns(request, never, options);
    const mustRoute = async (request: DnsRouteRequest): Promise<void> => {
      const outcome = await route(request);
      assert.equal(outcome.kind, "done", `${outcome.code}: ${outcome.message}`);
    };

    test("a fresh name is created, moved, and moved back, with the epoch beside it", async () => {
      for (const [epoch, site] of [
        [1, "a"],
        [2, "b"],
        [3, "a"],
      ] as const) {
        await mustRoute(order("fresh", epoch, site));
        assert.deepEqual(dig("fresh"), [ADDRESS[site]]);
        assert.deepEqual(dig("_pointsman.fresh", "TXT"), [`"epoch=${epoch} site=${site} group=shop"`]);
      }
    });

    test("the same order twice changes nothing the second time", async () => {
      await mustRoute(order("twice", 4, "a"));
      const soa = digShort(server, "example.test", "SOA");
      const again = await route(order("twice", 4, "a"));
      assert.equal(again.kind, "done");
      assert.match(again.message, /already/);
      assert.deepEqual(digShort(server, "example.test", "SOA"), soa);
    });

    test("an order of an older epoch is recognised and not carried out", async () => {
      await mustRoute(order("older", 9, "b"));
      const outcome = await route(order("older", 8, "a"));
      assert.deepEqual([outcome.kind, outcome.code, outcome.retriable], ["failed", "stale_epoch", false]);
      assert.deepEqual(dig("older"), [ADDRESS.b]);
    });

    test("the copies of an update of epoch n that were held on the line are all refused by the server itself after epoch n+1", async () => {
      await mustRoute(order("late", 1, "a"));
      const proxy = await startDnsProxy(server.host, server.port);
      try {
        proxy.fate = (message) => (isUpdate(message) ? "hold" : "pass");
        const late = await route(order("late", 2, "b", { servers: [proxy.address], timeoutMs: 1_000 }));
        assert.deepEqual([late.kind, late.code], ["unknown", "dns_timeout"]);
        assert.match(late.message, /may have been carried out/);
        await mustRoute(order("late", 3, "a"));
        const copies = proxy.held.length;
        const answers = (await proxy.release()).map((answer) => decodeMessage(answer).rcode);
        assert.ok(copies >= 2, "it was sent over more than one connection");
        assert.deepEqual(answers, Array(copies).fill(RCODE.NXRRSET));
      } finally {
        await proxy.close();
      }
      assert.deepEqual(dig("late"), [ADDRESS.a]);
      assert.deepEqual(dig("_pointsman.late", "TXT"), ['"epoch=3 site=a group=shop"']);
    });

    test("a first update that was held on the line is refused when the name exists by then", async () => {
      const proxy = await startDnsProxy(server.host, server.port);
      try {
        proxy.fate = (message) => (isUpdate(message) ? "hold" : "pass");
        await route(order("first", 1, "a", { servers: [proxy.address], timeoutMs: 800 }));
        await mustRoute(order("first", 2, "b"));
        for (const answer of await proxy.release()) assert.equal(decodeMessage(answer).rcode, RCODE.YXRRSET);
      } finally {
        await proxy.close();
      }
      assert.deepEqual(dig("first"), [ADDRESS.b]);
    });

    test("a lost answer is not guessed: the second look finds the update done", async () => {
      const proxy = await startDnsProxy(server.host, server.port);
      try {
        let updates = 0;
        proxy.fate = (message) => (isUpdate(message) && ++updates === 1 ? "lose_answer" : "pass");
        const outcome = await route(order("lost", 1, "a", { servers: [proxy.address], timeoutMs: 1_600 }));
        assert.equal(outcome.kind, "done", outcome.message);
        assert.match(outcome.message, /already/);
        assert.ok(updates >= 1);
      } finally {
        await proxy.close();
      }
    });

    test("a refusal of one copy is no proof that nothing changed: the other copy may still arrive", async () => {
      const proxy = await startDnsProxy(server.host, server.port);
      try {
        let updates = 0;
        proxy.fate = (message) => (isUpdate(message) && ++updates === 1 ? "hold" : "pass");
        proxy.damage = (answer) => {
          // The second copy is refused (unsigned, as refusals may be), with nothing said of the first.
          if (!isUpdate(answer)) return answer;
          const refused = Buffer.from(answer.subarray(0, 12));
          refused.writeUInt8((refused.readUInt8(3) & 0xf0) | RCODE.REFUSED, 3);
          refused.fill(0, 4, 12);
          return refused;
        };
        const outcome = await route(order("copies", 1, "a", { servers: [proxy.address], timeoutMs: 4_000 }));
        assert.deepEqual([outcome.kind, outcome.code], ["unknown", "dns_refused"], outcome.message);
        assert.ok(updates >= 2);
      } finally {
        await proxy.close();
      }
    });

    test("a line that breaks at every update ends in unknown, and nothing is claimed", async () => {
      const proxy = await startDnsProxy(server.host, server.port);
      try {
        proxy.fate = (message) => (isUpdate(message) ? "break" : "pass");
        const outcome = await route(order("broken", 1, "a", { servers: [proxy.address] }));
        assert.deepEqual([outcome.kind, outcome.code], ["unknown", "dns_closed"]);
      } finally {
        await proxy.close();
      }
    });

    test("an answer that was changed on the line is not believed", async () => {
      const proxy = await startDnsProxy(server.host, server.port);
      try {
        proxy.damage = (answer) => {
          const at = answer.length - 20;
          answer.writeUInt8(answer.readUInt8(at) ^ 1, at);
          return answer;
        };
        const outcome = await route(order("damaged", 1, "a", { servers: [proxy.address] }));
        assert.deepEqual([outcome.kind, outcome.code], ["failed", "dns_answer_not_authentic"]);
      } finally {
        await proxy.close();
      }
      assert.deepEqual(dig("damaged"), []);
    });

    test("orders of many epochs at once end at the newest that was reported as done, never at an older one", async () => {
      await mustRoute(order("race", 1, "a"));
      const epochs = [2, 3, 4, 5, 6, 7];
      const outcomes = await Promise.all(
        epochs.map((epoch) => route(order("race", epoch, epoch % 2 === 0 ? "b" : "a"))),
      );
      for (const outcome of outcomes)
        assert.ok(["ok", "stale_epoch", "dns_contended"].includes(outcome.code), outcome.code);
      const newest = Math.max(...epochs.filter((_, at) => outcomes[at]?.kind === "done"));
      const site = newest % 2 === 0 ? "b" : "a";
      assert.deepEqual(dig("_pointsman.race", "TXT"), [`"epoch=${newest} site=${site} group=shop"`]);
      assert.deepEqual(dig("race"), [ADDRESS[site]]);
    });

    test("a record that somebody else changed is left alone, and the outcome names it", async () => {
      const outcome = await route(order("theirs", 1, "a"));
      assert.deepEqual([outcome.kind, outcome.code, outcome.retriable], ["failed", "foreign_change", false]);
      assert.match(
        outcome.message,
        /theirs\.example\.test has A 203\.0\.113\.66, expected nothing, or A 192\.0\.2\.1/,
      );
      assert.deepEqual(dig("theirs"), ["203.0.113.66"]);
    });

    test("records that stood before this program came are adopted, and what it does not own stays", async () => {
      await mustRoute(order("legacy", 1, "b"));
      assert.deepEqual(dig("legacy"), [ADDRESS.b]);
      assert.deepEqual(dig("legacy", "MX"), ["10 mail.example.test."]);
    });

    test("A, AAAA, CNAME and TXT of several names move in one update", async () => {
      const a: DnsRecordSet[] = [
        { name: full("web"), type: "A", values: ["192.0.2.1", "192.0.2.2"] },
        { name: full("web"), type: "AAAA", values: ["2001:db8::1"] },
        { name: full("api"), type: "CNAME", values: ["lb.site-a.test"] },
        { name: full("info"), type: "TXT", values: [`site a ${"x".repeat(300)}`] },
      ];
      const b: DnsRecordSet[] = [
        { name: full("web"), type: "CNAME", values: ["lb.site-b.test"] },
        { name: full("api"), type: "A", values: ["198.51.100.7"] },
        { name: full("info"), type: "TXT", values: ["site b", "second"] },
      ];
      const knownValues = [
        { site: "a", records: a },
        { site: "b", records: b },
      ];
      const serial = (): number => Number(digShort(server, "example.test", "SOA")[0]?.split(" ")[2]);
      await mustRoute(order("web", 1, "a", { records: a, knownValues }));
      assert.deepEqual(dig("web"), ["192.0.2.1", "192.0.2.2"]);
      assert.deepEqual(dig("web", "AAAA"), ["2001:db8::1"]);
      assert.deepEqual(dig("api", "CNAME"), ["lb.site-a.test."]);
      const before = serial();
      await mustRoute(order("web", 2, "b", { records: b, knownValues }));
      assert.equal(serial(), before + 1);
      assert.deepEqual(dig("web", "CNAME"), ["lb.site-b.test."]);
      assert.deepEqual(dig("api"), ["198.51.100.7"]);
      assert.deepEqual(dig("info", "TXT"), ['"second"', '"site b"']);
      await mustRoute(order("web", 3, "a", { records: a, knownValues }));
      assert.deepEqual(dig("web", "CNAME"), []);
      assert.deepEqual(dig("web"), ["192.0.2.1", "192.0.2.2"]);
    });

    test("a CNAME that the server ignores because of other records is not reported as done", async () => {
      const cname: DnsRecordSet[] = [{ name: full("mixed"), type: "CNAME", values: ["lb.site-a.test"] }];
      const outcome = await route(
        order("mixed", 1, "a", { records: cname, knownValues: [{ site: "a", records: cname }] }),
      );
      assert.equal(outcome.kind, "failed", outcome.message);
      assert.deepEqual(dig("mixed", "CNAME"), []);
    });

    test("a wildcard that answers for a missing name is told, not fought", async () => {
      const outcome = await route(order("x.wild", 1, "a"));
      // On a machine that is late the update was sent twice: then "failed" would claim more than is known.
      assert.notEqual(outcome.kind, "done");
      assert.equal(outcome.code, "dns_contended");
      assert.match(outcome.message, /wildcard/);
    });

    test("a wrong secret, an unknown key and a key without rights are told apart", async () => {
      const wrongSecret = { ...server.key, secret: Buffer.alloc(32, 7) };
      const unknownKey = { ...server.key, name: "nobody." };
      for (const [key, codes, text] of [
        [wrongSecret, ["dns_badsig"], /BADSIG.*secret/],
        [unknownKey, ["dns_badkey"], /BADKEY.*"nobody\."/],
        // BIND calls it REFUSED; Knot NOTAUTH, with BADKEY for a key that no rule of the zone names.
        [stranger, ["dns_refused", "dns_badkey"], /REFUSED|BADKEY/],
        [null, ["dns_refused", "dns_notauth"], /REFUSED|NOTAUTH/],
      ] as const) {
        const outcome = await route(order("keys", 1, "a", { key }));
        assert.deepEqual([outcome.kind, outcome.retriable], ["failed", false], outcome.message);
        assert.ok(
          codes.some((code) => code === outcome.code),
          outcome.code,
        );
        assert.match(outcome.message, text);
      }
      assert.deepEqual(dig("keys"), []);
    });

    test("clock skew beyond the fudge is told with both clocks and the remedy", async () => {
      for (const [skewSeconds, word] of [
        [3_600, "ahead"],
        [-3_600, "behind"],
      ] as const) {
        const wallClockMs = (): number => Date.now() + skewSeconds * 1_000;
        const outcome = await route(order("skew", 1, "a"), { wallClockMs });
        assert.deepEqual([outcome.kind, outcome.code], ["failed", "dns_badtime"], outcome.message);
        assert.match(
          outcome.message,
          new RegExp(`it is \\d{4}-.*Z here and \\d{4}-.*Z there.* 3(600|599|601) s ${word}`),
        );
        assert.match(outcome.message, /chronyc/);
      }
      await mustRoute(order("skew", 1, "a"));
      const outcome = await route(order("skew", 1, "a"), { wallClockMs: () => Date.now() + 200_000 });
      assert.equal(outcome.kind, "done", outcome.message);
    });

    test("a zone that the server does not have is told, and no name outside the zone is ever sent", async () => {
      const outcome = await route(
        order("x", 1, "a", {
          zone: "other.test",
          records: [{ name: "app.other.test", type: "A", values: ["192.0.2.1"] }],
          knownValues: [],
        }),
      );
      assert.equal(outcome.kind, "failed");
      assert.ok(["dns_refused", "dns_notauth"].includes(outcome.code), outcome.code);
      const outside = await route(order("x", 1, "a", { zone: "sub.example.test" }));
      assert.deepEqual([outside.kind, outside.code], ["failed", "dns_invalid_request"]);
      assert.match(outside.message, /x\.example\.test is not in zone sub\.example\.test/);
    });

    test("a server that does not speak for the zone itself is not written to", async () => {
      const proxy = await startDnsProxy(server.host, server.port);
      try {
        // A resolver's answer: the same records, without the AA bit.
        proxy.damage = (answer) => {
          answer.writeUInt8(answer.readUInt8(2) & ~0x04, 2);
          return answer;
        };
        const outcome = await route(order("resolver", 1, "a", { servers: [proxy.address], key: null }));
        assert.deepEqual([outcome.kind, outcome.code], ["failed", "dns_not_authoritative"]);
      } finally {
        await proxy.close();
      }
    });

    test("each prerequisite failure and a record outside the zone come back as their own code", async () => {
      const to = parseEndpoint(server.address);
      const deadline = Deadline.in(5_000);
      const channel = await openTcp(to, deadline, never);
      const context = { channel, key: server.key, wallClockMs: Date.now, deadline, signal: never };
      const code = async (zone: string, parts: Partial<DnsUpdate>): Promise<string> => {
        try {
          await sendUpdate({ zone, prerequisites: [], changes: [], ...parts }, context);
          return "ok";
        } catch (error) {
          assert.ok(error instanceof DnsError, String(error));
          assert.ok(error.message.includes(server.address));
          return error.code;
        }
      };
      const one = [encodeValue("A", "192.0.2.9")];
      try {
        const absent = prerequisite.setAbsent("theirs.example.test", TYPE.A);
        const different = prerequisite.setIs("theirs.example.test", TYPE.A, one);
        assert.equal(await code("example.test", { prerequisites: absent }), "dns_yxrrset");
        assert.equal(await code("example.test", { prerequisites: different }), "dns_nxrrset");
        assert.equal(
          await code("example.test", { changes: change.add("a.other.test", TYPE.A, 5, one) }),
          "dns_notzone",
        );
        const foreignZone = await code("other.test", { changes: change.add("a.other.test", TYPE.A, 5, one) });
        assert.ok(["dns_notauth", "dns_refused"].includes(foreignZone), foreignZone);
      } finally {
        channel.close();
      }
    });

    test("a dead server is passed over for the next one, and named when there is none", async () => {
      const dead = `127.0.0.1:${await freePort()}`;
      await mustRoute(order("spare", 1, "a", { servers: [dead, server.address] }));
      const outcome = await route(order("spare", 2, "b", { servers: [dead] }));
      assert.deepEqual([outcome.kind, outcome.code, outcome.retriable], ["failed", "dns_unreachable", true]);
      assert.match(outcome.message, new RegExp(`${dead} \\(ECONNREFUSED\\)`));
    });

    test("a server that accepts and says nothing costs its share of the time, and the next one does the work", async () => {
      const silent = createServer();
      await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
      const address = silent.address();
      assert.ok(address !== null && typeof address === "object");
      const mute = `127.0.0.1:${address.port}`;
      try {
        await mustRoute(order("mute", 1, "a", { servers: [mute, server.address], timeoutMs: 2_100 }));
        const startedAt = performance.now();
        const outcome = await route(order("mute", 2, "b", { servers: [mute], timeoutMs: 600 }));
        assert.ok(performance.now() - startedAt < 2_000);
        // Only questions were asked, so nothing can have been changed.
        assert.deepEqual([outcome.kind, outcome.code], ["failed", "dns_timeout"]);
      } finally {
        silent.close();
      }
    });

    test("an order that is called off ends at once", async () => {
      const proxy = await startDnsProxy(server.host, server.port);
      try {
        proxy.fate = () => "hold";
        const stop = new AbortController();
        setTimeout(() => stop.abort(), 100);
        const startedAt = performance.now();
        const outcome = await routeDns(order("off", 1, "a", { servers: [proxy.address] }), stop.signal);
        assert.deepEqual([outcome.kind, outcome.code], ["failed", "dns_aborted"]);
        assert.ok(performance.now() - startedAt < 2_000);
      } finally {
        await proxy.close();
      }
    });

    test("it works over UDP as well, and goes to TCP for what does not fit", async () => {
      const big = Array.from({ length: 30 }, (_, at) => `192.0.2.${at + 100} ${"y".repeat(60)}`);
      const text: DnsRecordSet[] = [{ name: full("udp"), type: "TXT", values: big }];
      const request = order("udp", 1, "a", { records: text, knownValues: [{ site: "a", records: text }] });
      const outcome = await route(request, { transport: "udp" });
      assert.equal(outcome.kind, "done", outcome.message);
      assert.equal(dig("udp", "TXT").length, 30);
      const again = await route(request, { transport: "udp" });
      assert.match(again.message, /already/);
      const small = await route(order("udp2", 1, "a"), { transport: "udp" });
      assert.equal(small.kind, "done", small.message);
    });

    test("what was switched survives a kill -9 of the name server", async () => {
      await mustRoute(order("journal", 5, "b"));
      await server.stop("SIGKILL");
      await server.start();
      assert.deepEqual(dig("journal"), [ADDRESS.b]);
      const stale = await route(order("journal", 4, "a"));
      assert.equal(stale.code, "stale_epoch");
    });
  });
}
