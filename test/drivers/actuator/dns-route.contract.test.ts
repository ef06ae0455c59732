/**
 * The route step against real name servers: one suite, run on BIND 9 and on Knot.
 *
 * Each server is started once; each test uses names of its own below the zone, so that the order of tests does not matter.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { DnsRecordSet } from "../../../src/core/model/config.js";
import { type DnsRouteRequest, routeDns } from "../../../src/drivers/actuator/dns-route.js";
import {
  digShort,
  type NameServer,
  type NameServerKind,
  skipNameServer,
  startNameServer,
  testKey,
} from "../../support/name-servers.js";

const never = new AbortController().signal;
const other = testKey("other.", "hmac-sha512");

function suite(kind: NameServerKind): void {
  describe(`route step on ${kind}`, { skip: skipNameServer(kind) }, () => {
    let server: NameServer;
    before(async () => {
      server = await startNameServer(kind, {
        key: testKey("pointsman.", kind === "bind" ? "hmac-sha256" : "hmac-sha512"),
        otherKeys: [other],
        records: ["legacy 60 IN A 192.0.2.1", "mixed 60 IN MX 10 mail", "*.wild 60 IN A 192.0.2.1"],
      });
    });
    after(async () => {
      await server?.close();
    });

    const values = (name: string, address: string): DnsRecordSet[] => [
      { name: `${name}.example.test`, type: "A", values: [address] },
    ];
    const order = (
      name: string,
      epoch: number,
      site: "a" | "b",
      more: Partial<DnsRouteRequest> = {},
    ): DnsRouteRequest => {
      const a = values(name, "192.0.2.1");
      const b = values(name, "198.51.100.1");
      return {
        group: "shop",
        epoch,
        site,
        zone: "example.test",
        servers: [server.address],
        key: server.key,
        ttlSeconds: 7,
        records: site === "a" ? a : b,
        knownValues: [
          { site: "a", records: a },
          { site: "b", records: b },
        ],
        timeoutMs: 5_000,
        ...more,
      };
    };
    const short = (name: string, type = "A") => digShort(server, `${name}.example.test`, type);

    test("a fresh name is created, moved, and moved back, with the epoch beside it", async () => {
      for (const [epoch, site, address] of [
        [1, "a", "192.0.2.1"],
        [2, "b", "198.51.100.1"],
        [3, "a", "192.0.2.1"],
      ] as const) {
        const outcome = await routeDns(order("fresh", epoch, site), never);
        assert.equal(outcome.kind, "done", outcome.message);
        assert.deepEqual(short("fresh"), [address]);
        assert.deepEqual(short("_pointsman.fresh", "TXT"), [`"epoch=${epoch} site=${site} group=shop"`]);
      }
    });

    test("the same order twice changes nothing the second time", async () => {
      assert.equal((await routeDns(order("twice", 4, "a"), never)).kind, "done");
      const serial = digShort(server, "example.test", "SOA");
      const again = await routeDns(order("twice", 4, "a"), never);
      assert.equal(again.kind, "done");
      assert.match(again.message, /already/);
      assert.deepEqual(digShort(server, "example.test", "SOA"), serial);
    });

    test("an order of an older epoch is recognised and not carried out", async () => {
      await routeDns(order("older", 9, "b"), never);
      const outcome = await routeDns(order("older", 8, "a"), never);
      assert.deepEqual([outcome.kind, outcome.code, outcome.retriable], ["failed", "stale_epoch", false]);
      assert.deepEqual(short("older"), ["198.51.100.1"]);
    });
  });
}

suite("bind");
suite("knot");
