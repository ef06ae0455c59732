/**
 * A sound document: what it becomes, with defaults, short forms and a hash that follows the meaning.
 */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { hashConfig, loadConfig, parseConfig } from "../../../src/drivers/config/config.js";
import { formatProblem } from "../../../src/drivers/config/problem.js";
import { accept, changed, GOOD } from "./fixture.js";

const examples = fileURLToPath(new URL("../../../../examples/", import.meta.url));

describe("a right document", () => {
  test("becomes the configuration with every default of its profile filled in", () => {
    const { config } = accept(GOOD);
    assert.deepEqual(config.timings, {
      profile: "wan",
      tickMs: 100,
      heartbeatMs: 200,
      electionMinMs: 1000,
      electionMaxMs: 2000,
      viewIntervalMs: 1000,
      viewTimeoutMs: 5000,
    });
    const shop = config.groups[0];
    assert.ok(shop !== undefined);
    assert.deepEqual(shop.sites[0]?.targets[1], {
      id: "db",
      required: true,
      probe: { kind: "exec", command: ["/bin/check", "10.1.0.10"], expectExit: 0 },
      intervalMs: 5000,
      timeoutMs: 500,
      fall: 3,
      rise: 2,
      falseAlarm: 1e-6,
    });
    assert.deepEqual(shop.sites[1]?.targets[1]?.probe, { kind: "tcp", host: "2001:db8::11", port: 9000 });
    assert.deepEqual(shop.sites[0]?.targets[0]?.probe, {
      kind: "http",
      url: "http://10.1.0.10/health",
      method: "GET",
      headers: [],
      expectStatus: [[200, 299]],
      expectBody: null,
      tls: { verify: true, caFile: null, serverName: null },
    });
    assert.deepEqual(shop.route, [
      {
        kind: "rfc2136",
        zone: "example.com",
        servers: ["10.0.0.53:53"],
        key: {
          name: "pointsman",
          algorithm: "hmac-sha256",
          secret: { kind: "file", path: "/etc/pointsman/tsig.key" },
        },
        ttlSeconds: 10,
        timeoutMs: 5000,
      },
      { kind: "embedded", zone: "gtm.example.com" },
    ]);
    const { sites: _, route: __, ...rest } = shop;
    assert.deepEqual(rest, {
      id: "shop",
      mode: "automatic",
      stabilityMs: 10_000,
      holdDownMs: 60_000,
      failback: { kind: "manual" },
      fence: { kind: "none" },
      drain: null,
      promote: null,
      verify: { servers: [], resolvers: [], timeoutMs: 30_000 },
      announce: [],
      retry: { limit: 5, backoffMs: 500, backoffMaxMs: 10_000 },
      onFailure: "wait",
    });
    assert.equal(config.dns?.zones[0]?.contact, "host\\.master.example.com");
    assert.equal(config.witnesses[2]?.site, null);
  });

  test("keeps witnesses and sites in the order of the document, which numbers and ranks them", () => {
    const { config } = accept(changed(["w-a:", "zz:"], ["w-c:", "a1:"]));
    assert.deepEqual(
      config.witnesses.map((witness) => witness.id),
      ["zz", "w-b", "a1"],
    );
    assert.deepEqual(
      config.groups[0]?.sites.map((at) => at.site),
      ["a", "b"],
    );
  });

  test("takes the other profile's numbers, and single ones over those", () => {
    const text = changed(["{ profile: wan }", "{ profile: fast, tick: 50ms }\nprobes: { fall: 5 }"]);
    const { config } = accept(text);
    assert.equal(config.timings.tickMs, 50);
    assert.equal(config.timings.heartbeatMs, 50);
    assert.equal(config.groups[0]?.stabilityMs, 1000);
    assert.equal(config.groups[0]?.sites[0]?.targets[0]?.fall, 5);
    assert.equal(config.groups[0]?.sites[0]?.targets[0]?.intervalMs, 100);
    assert.equal(config.groups[0]?.sites[0]?.targets[1]?.intervalMs, 5000, "the target's own word wins");
  });

  test("has the same hash however it is spelled, and another when it means something else", () => {
    const { hash } = accept(GOOD);
    assert.match(hash, /^[0-9a-f]{64}$/);
    assert.equal(accept(`# a remark\n${changed(["interval: 5s", "interval: 5000ms"])}`).hash, hash);
    assert.notEqual(accept(changed(["interval: 5s", "interval: 6s"])).hash, hash);
    // As it comes back from the replicated state or an older release: the same keys in another order.
    const { config } = accept(GOOD);
    const reordered = Object.fromEntries(Object.entries(config).reverse()) as unknown as typeof config;
    assert.equal(hashConfig(reordered), hash);
  });

  test("may use anchors and aliases", () => {
    const shared = changed(
      ["exec: [/bin/check, 10.1.0.10]", "exec: &cmd [/bin/check, x]"],
      ['tcp: "[2001:db8::11]:9000"', "exec: *cmd"],
    );
    const probe = accept(shared).config.groups[0]?.sites[1]?.targets[1]?.probe;
    assert.deepEqual(probe, { kind: "exec", command: ["/bin/check", "x"], expectExit: 0 });
  });

  for (const name of ["two-sites-and-cloud-witness", "three-sites"]) {
    test(`examples/${name} is accepted, with no warning but the fence that it leaves out on purpose`, async () => {
      const result = await loadConfig(join(examples, name, "pointsman.yaml"));
      assert.ok(result.kind === "accepted", JSON.stringify(result));
      assert.deepEqual(
        result.warnings.map((warning) => warning.code),
        ["unfenced"],
      );
    });
  }
});

describe("a file that cannot be read", () => {
  test("is an error like any other: absent, a directory, a device, too long, not UTF-8", async () => {
    const directory = await mkdtemp(join(tmpdir(), "pointsman-config-"));
    try {
      const at = (name: string): string => join(directory, name);
      await writeFile(at("long"), "#".repeat(1024 * 1024 + 1));
      await writeFile(at("latin1"), Buffer.from([0x23, 0xe4, 0x0a]));
      for (const path of [at("absent"), directory, "/dev/zero", at("long"), at("latin1")]) {
        const result = await loadConfig(path);
        assert.ok(result.kind === "refused", path);
        const [error] = result.errors;
        assert.ok(error !== undefined);
        assert.equal(error.code, "unreadable", path);
        assert.ok(formatProblem(error).startsWith(`${path}: `));
      }
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  test("a text of more than a megabyte is refused before it is parsed", () => {
    const result = parseConfig(`# ${"x".repeat(1024 * 1024)}`, "x");
    assert.ok(result.kind === "refused");
  });
});
