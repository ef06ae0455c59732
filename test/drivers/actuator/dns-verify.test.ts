/** The verify step against our own name servers, which say what each test needs, when it needs it. */
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { afterEach, test } from "node:test";
import type { DnsRecordSet } from "../../../src/core/model/config.js";
import {
  type DnsVerifyReport,
  type DnsVerifyRequest,
  verifyDns,
} from "../../../src/drivers/actuator/dns-verify.js";
import { answerDns } from "../../../src/drivers/server/dns-answer.js";
import { type DnsServer, startDnsServer } from "../../../src/drivers/server/dns-server.js";
import type { DnsZoneData, EmbeddedRecordSet } from "../../../src/drivers/server/dns-zone.js";
import { freePort } from "../../support/name-servers.js";

const never = new AbortController().signal;
const servers: DnsServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

function zoneWith(
  address: string | null,
  more: readonly EmbeddedRecordSet[] = [],
  ns = ["ns1.example.test"],
): DnsZoneData {
  const app: EmbeddedRecordSet[] =
    address === null ? [] : [{ name: "app.example.test", type: "A", ttlSeconds: 300, values: [address] }];
  return {
    zones: [
      {
        name: "example.test",
        serial: 1,
        ns,
        records: [...app, ...more],
        stale: false,
        staleness: "stale",
        soa: {
          mname: "ns1.example.test",
          rname: "hostmaster.example.test",
          refreshSeconds: 60,
          retrySeconds: 60,
          expireSeconds: 600,
          minimumSeconds: 5,
          ttlSeconds: 60,
        },
      },
    ],
  };
}

/** A server whose content can be changed; `host` and `port` as needed for discovery. */
async function start(data: DnsZoneData, host = "127.0.0.1", port = 0) {
  let current = data;
  const server = await startDnsServer({ host, port, lookup: () => current });
  servers.push(server);
  return {
    address: `${host}:${server.port}`,
    port: server.port,
    set: (next: DnsZoneData) => {
      current = next;
    },
  };
}

const WANTED: DnsRecordSet[] = [{ name: "app.example.test", type: "A", values: ["192.0.2.2"] }];
const OLD = zoneWith("192.0.2.1");
const NEW = zoneWith("192.0.2.2");

function request(more: Partial<DnsVerifyRequest>): DnsVerifyRequest {
  return {
    zone: "example.test",
    servers: [],
    authoritative: [],
    resolvers: [],
    records: WANTED,
    timeoutMs: 5_000,
    intervalMs: 30,
    ...more,
  };
}

test("a secondary that follows later is waited for, and the report says when each server agreed", async () => {
  const primary = await start(NEW);
  const secondary = await start(OLD);
  const seen: DnsVerifyReport[] = [];
  const running = verifyDns(
    request({ authoritative: [primary.address, secondary.address] }),
    never,
    (report) => {
      seen.push(report);
      if (report.server === secondary.address) setTimeout(() => secondary.set(NEW), 100);
    },
  );
  const outcome = await running;
  assert.equal(outcome.kind, "done", outcome.message);
  const [first, second] = outcome.reports;
  assert.ok((first?.agreedAfterMs ?? 1e9) < 100, `${first?.agreedAfterMs}`);
  assert.ok((second?.agreedAfterMs ?? 0) >= 100, `${second?.agreedAfterMs}`);
  assert.deepEqual(
    seen.filter((report) => report.server === secondary.address).map((report) => report.answer),
    ["app.example.test A: 192.0.2.1", "app.example.test A: 192.0.2.2"],
  );
});

test("a secondary that never follows is named with what it says", async () => {
  const primary = await start(NEW);
  const secondary = await start(OLD);
  const outcome = await verifyDns(
    request({ authoritative: [primary.address, secondary.address], timeoutMs: 3000 }),
    never,
  );
  assert.deepEqual([outcome.kind, outcome.code, outcome.retriable], ["failed", "dns_not_converged", true]);
  assert.match(
    outcome.message,
    new RegExp(`1 of 2 server.*${secondary.address} \\(app.example.test A: 192.0.2.1\\)`),
  );
  assert.match(outcome.detail, new RegExp(`${primary.address}: agreed after`));
});

test("a resolver that keeps the old record is told as a cache with the seconds left, not as a fault", async () => {
  const primary = await start(NEW);
  const resolver = await start(OLD);
  const outcome = await verifyDns(
    request({ authoritative: [primary.address], resolvers: [resolver.address], timeoutMs: 3000 }),
    never,
  );
  assert.deepEqual([outcome.kind, outcome.code], ["failed", "dns_resolver_cached"]);
  assert.match(outcome.message, /ends by itself within 300 s/);
});

test("all servers that NS records name are asked, found by glue", async () => {
  const port = await freePort("127.0.0.9");
  const glue = (address: string): EmbeddedRecordSet[] => [
    { name: "ns1.example.test", type: "A", ttlSeconds: 60, values: ["127.0.0.8"] },
    { name: "ns2.example.test", type: "A", ttlSeconds: 60, values: [address] },
  ];
  const ns = ["ns1.example.test", "ns2.example.test"];
  const data = zoneWith("192.0.2.2", glue("127.0.0.9"), ns);
  const primary = await start(data, "127.0.0.8", port);
  await start(data, "127.0.0.9", port);
  const outcome = await verifyDns(request({ servers: [primary.address], nameServerPort: port }), never);
  assert.equal(outcome.kind, "done", outcome.message);
  assert.deepEqual(outcome.reports.map((report) => report.server).sort(), [
    `127.0.0.8:${port}`,
    `127.0.0.9:${port}`,
  ]);
});

test("a name server without glue is looked up at the resolver, and one without any address is not passed over", async () => {
  const port = await freePort("127.0.0.9");
  const data = zoneWith("192.0.2.2", [], ["ns.elsewhere.test", "ns.nowhere.test"]);
  const primary = await start(data, "127.0.0.8", port);
  await start(data, "127.0.0.9", port);
  const elsewhere = zoneWith("192.0.2.2").zones[0];
  assert.ok(elsewhere !== undefined);
  const resolver = await start({
    zones: [
      elsewhere,
      {
        ...elsewhere,
        name: "elsewhere.test",
        records: [{ name: "ns.elsewhere.test", type: "A", ttlSeconds: 60, values: ["127.0.0.9"] }],
      },
    ],
  });
  const outcome = await verifyDns(
    request({
      servers: [primary.address],
      resolvers: [resolver.address],
      nameServerPort: port,
      timeoutMs: 1_000,
    }),
    never,
  );
  assert.equal(outcome.code, "dns_not_converged");
  assert.match(outcome.message, /ns\.nowhere\.test \(an NS record names it, but no address/);
  const agreed = outcome.reports
    .filter((report) => report.agreedAfterMs !== null)
    .map((report) => report.server);
  assert.deepEqual(agreed.sort(), [`127.0.0.8:${port}`, `127.0.0.9:${port}`, resolver.address].sort());
});

test("a primary that cannot say who serves the zone is no reason to call it verified", async () => {
  const dead = `127.0.0.1:${await freePort()}`;
  const outcome = await verifyDns(request({ servers: [dead], timeoutMs: 3000 }), never);
  assert.equal(outcome.kind, "failed");
  assert.match(outcome.message, new RegExp(`${dead} .*ECONNREFUSED`));
});

test("a dead server, one that refuses and one without the zone are each named with their own reason", async () => {
  const dead = `127.0.0.1:${await freePort()}`;
  const empty = await start({ zones: [] });
  const gone = await start(zoneWith(null));
  const outcome = await verifyDns(
    request({ authoritative: [dead, empty.address, gone.address], timeoutMs: 3000 }),
    never,
  );
  assert.equal(outcome.kind, "failed");
  assert.match(outcome.detail, new RegExp(`${dead}: disagrees: cannot reach name server`));
  assert.match(outcome.detail, new RegExp(`${empty.address}: disagrees: .*REFUSED`));
  assert.match(outcome.detail, new RegExp(`${gone.address}: disagrees: .*no such record \\(NXDOMAIN\\)`));
});

test("a server that only repeats others is not taken for an authoritative one", async () => {
  const data = NEW;
  const parrot = createSocket("udp4");
  parrot.on("message", (packet, from) => {
    const reply = answerDns(packet, data, "udp");
    if (reply === null) return;
    reply.bytes.writeUInt8(reply.bytes.readUInt8(2) & ~0x04, 2);
    parrot.send(reply.bytes, from.port, from.address);
  });
  await new Promise<void>((resolve) => parrot.bind(0, "127.0.0.1", resolve));
  const address = `127.0.0.1:${parrot.address().port}`;
  try {
    const outcome = await verifyDns(request({ authoritative: [address], timeoutMs: 3000 }), never);
    assert.match(outcome.message, /not authoritative for the zone/);
    const asResolver = await verifyDns(
      request({ authoritative: [address], resolvers: [address], timeoutMs: 3000 }),
      never,
    );
    assert.equal(
      asResolver.reports.find((report) => report.role === "resolver")?.answer.includes("192.0.2.2"),
      true,
    );
  } finally {
    parrot.close();
  }
});

test("a set without values must not exist any more", async () => {
  const records: DnsRecordSet[] = [
    { name: "app.example.test", type: "A", values: ["192.0.2.2"] },
    { name: "app.example.test", type: "AAAA", values: [] },
  ];
  const aaaa: EmbeddedRecordSet = {
    name: "app.example.test",
    type: "AAAA",
    ttlSeconds: 5,
    values: ["2001:db8::1"],
  };
  const server = await start(zoneWith("192.0.2.2", [aaaa]));
  const stale = await verifyDns(
    request({ authoritative: [server.address], records, timeoutMs: 3000 }),
    never,
  );
  assert.match(stale.message, /AAAA: 2001:db8::1/);
  server.set(NEW);
  const outcome = await verifyDns(request({ authoritative: [server.address], records }), never);
  assert.equal(outcome.kind, "done", outcome.message);
});

test("calling off ends the verification at once", async () => {
  const server = await start(OLD);
  const stop = new AbortController();
  setTimeout(() => stop.abort(), 100);
  const startedAt = performance.now();
  const outcome = await verifyDns(
    request({ authoritative: [server.address], timeoutMs: 60_000 }),
    stop.signal,
  );
  assert.equal(outcome.code, "dns_aborted");
  assert.ok(performance.now() - startedAt < 2_000);
});
