/**
 * The verify step against real name servers on loopback: the embedded server, a server with the old records, and a
 * socket that never answers.
 */
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { describe, type TestContext, test } from "node:test";
import { type DnsServer, startDnsServer } from "../../../src/drivers/server/dns-server.js";
import type { DnsZoneData } from "../../../src/drivers/server/dns-zone.js";
import { actuatorOf, configure, order } from "./fixture.js";

function zoneOf(addresses: Readonly<Record<string, string>>): DnsZoneData {
  const soa = {
    mname: "ns.example.com",
    rname: "a.example.com",
    refreshSeconds: 60,
    retrySeconds: 60,
    expireSeconds: 60,
    minimumSeconds: 1,
    ttlSeconds: 5,
  };
  const records = Object.entries(addresses).map(([name, address]) => ({
    name,
    type: "A" as const,
    ttlSeconds: 5,
    values: [address],
  }));
  const zone = {
    name: "example.com",
    serial: 1,
    ns: ["ns.example.com"],
    stale: false,
    staleness: "stale" as const,
    soa,
    records,
  };
  return { zones: [zone] };
}

const NEW = zoneOf({ "www.example.com": "192.0.2.2", "api.gtm.example.com": "192.0.2.4" });
const OLD = zoneOf({ "www.example.com": "192.0.2.1", "api.gtm.example.com": "192.0.2.3" });

/** The address of a server that gives these answers; from `switchAfterMs` after the first question on the new ones. */
async function server(
  context: TestContext,
  data: DnsZoneData,
  switchAfterMs = Number.POSITIVE_INFINITY,
): Promise<string> {
  let firstAskedAt: number | null = null;
  const lookup = (): DnsZoneData => {
    firstAskedAt ??= performance.now();
    return performance.now() - firstAskedAt > switchAfterMs ? NEW : data;
  };
  const dns: DnsServer = await startDnsServer({ host: "127.0.0.1", port: 0, lookup });
  context.after(() => dns.close());
  return `127.0.0.1:${dns.port}`;
}

/** An address that takes questions and never answers. */
async function silence(context: TestContext): Promise<string> {
  const socket = createSocket("udp4");
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  context.after(() => socket.close());
  return `127.0.0.1:${socket.address().port}`;
}

const ZONE = "dns: { zones: { example.com: { nameServers: ns.example.com, contact: a@example.com } } }";

interface VerifyOptions {
  readonly kind?: "failover" | "switchover";
  readonly timeout?: string;
  readonly resolvers?: readonly string[];
  /** The zone is an updated one whose servers the operator lists, instead of the witnesses' own. */
  readonly updated?: boolean;
}

/** The verify step of a group whose zone is answered at those addresses. */
async function verify(context: TestContext, addresses: readonly string[], options: VerifyOptions = {}) {
  const { kind = "failover", timeout = "8s", resolvers = [], updated = false } = options;
  const lists = [
    `timeout: ${timeout}`,
    ...(resolvers.length === 0 ? [] : [`resolvers: [${resolvers.join(", ")}]`]),
    ...(updated ? [`servers: [${addresses.join(", ")}]`] : []),
  ].join(", ");
  const route = updated ? `rfc2136: { zone: example.com, server: ${addresses[0]} }` : "embedded: example.com";
  const lines = `    route: [{ ${route} }]\n    verify: { ${lists} }`;
  const config = updated ? configure(lines) : configure(lines, ZONE, addresses);
  const { actuator } = actuatorOf(context, config);
  const startedAt = performance.now();
  const outcome = await actuator.run(order(config, "verify", { kind }));
  return { ...outcome, tookMs: performance.now() - startedAt };
}

// Side by side: they wait for silence to be certain, and do nothing else.
describe("the verify step", { concurrency: true }, () => {
  test("every witness's name server is asked, until all agree", async (context) => {
    const addresses = [
      await server(context, NEW),
      await server(context, OLD, 700),
      await server(context, NEW),
    ];
    const outcome = await verify(context, addresses);
    assert.equal(outcome.kind, "done", outcome.message);
    assert.ok(outcome.tookMs >= 700, `${outcome.tookMs}`);
    for (const address of addresses) assert.ok(outcome.detail.includes(address), outcome.detail);
  });

  test("many servers asked at once are no leak of listeners", async (context) => {
    const warnings: Error[] = [];
    const onWarning = (warning: Error): void => void warnings.push(warning);
    process.on("warning", onWarning);
    context.after(() => process.off("warning", onWarning));
    const address = await server(context, NEW);
    const resolvers = Array.from({ length: 24 }, (_, i) => `127.0.0.${i + 2}:9`);
    await verify(context, [address], { updated: true, resolvers, timeout: "1s" });
    await new Promise((resolve) => setTimeout(resolve, 10));
    const leaks = warnings.filter(({ name }) => name === "MaxListenersExceededWarning");
    assert.deepEqual(leaks, []);
  });

  test("one that answers wrongly is never passed over", async (context) => {
    const outcome = await verify(context, [await server(context, NEW), await server(context, OLD)], {
      timeout: "4s",
    });
    assert.deepEqual([outcome.kind, outcome.code], ["failed", "dns_not_converged"], outcome.message);
  });

  test("one that answered wrongly and then fell silent is not passed over either", async (context) => {
    const dns = await startDnsServer({ host: "127.0.0.1", port: 0, lookup: () => OLD });
    const gone = setTimeout(() => void dns.close(), 1000);
    context.after(() => clearTimeout(gone));
    const outcome = await verify(context, [await server(context, NEW), `127.0.0.1:${dns.port}`], {
      timeout: "6s",
    });
    assert.deepEqual([outcome.kind, outcome.code], ["failed", "dns_not_converged"], outcome.message);
  });

  test("after a failover a silent one is passed over after a while, and named", async (context) => {
    const dead = await silence(context);
    const outcome = await verify(context, [await server(context, NEW), dead], { timeout: "60s" });
    assert.equal(outcome.kind, "done", outcome.message);
    assert.ok(outcome.message.includes(dead), outcome.message);
    assert.ok(outcome.tookMs > 2500 && outcome.tookMs < 20_000, `${outcome.tookMs}`);
  });

  test("in a planned move a silent name server is waited for and fails the step; a silent witness does not", async (context) => {
    const addresses = [await server(context, NEW), await silence(context)];
    const options = { kind: "switchover", timeout: "5s" } as const;
    const [listed, own, failover] = await Promise.all([
      verify(context, addresses, { ...options, updated: true }),
      verify(context, addresses, options),
      verify(context, addresses, { updated: true }),
    ]);
    assert.deepEqual([listed.kind, listed.code], ["failed", "dns_not_converged"], listed.message);
    assert.equal(own.kind, "done", own.message);
    assert.equal(failover.kind, "done", failover.message);
  });

  test("when all are silent the step fails: nobody has said that it is so", async (context) => {
    const outcome = await verify(context, [await silence(context)], { timeout: "4s" });
    assert.equal(outcome.kind, "failed", outcome.message);
  });

  test("a silent resolver is passed over only if another one agrees", async (context) => {
    const good = await server(context, NEW);
    const dead = await silence(context);
    const [alone, both] = await Promise.all([
      verify(context, [good], { timeout: "4s", resolvers: [dead] }),
      verify(context, [good], { timeout: "60s", resolvers: [dead, await server(context, NEW)] }),
    ]);
    assert.equal(alone.kind, "failed", alone.message);
    assert.equal(both.kind, "done", both.message);
  });
});
