/**
 * The route step on a line that loses 30 % of the packets each way: BIND and the step in network namespaces.
 * About 15 s: a median needs steps enough, and a bad line takes its time.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, describe, type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type NameServer, skipNameServer, startNameServer } from "../../support/name-servers.js";
import { NetLab, skipWithoutNetns } from "../../support/netns.js";
import type { RouteWork, RouteWorkReport } from "./route-worker.js";

const WORKER = fileURLToPath(new URL("./route-worker.js", import.meta.url));
const STEPS = 20;

describe("route step on a line that loses 30 % each way", {
  skip: skipWithoutNetns() || skipNameServer("bind"),
}, () => {
  let lab: NetLab;
  let server: NameServer;
  before(async () => {
    lab = NetLab.create({ sites: 2 });
    server = await startNameServer("bind", {
      host: lab.address(2),
      argvPrefix: ["ip", "netns", "exec", lab.namespace(2)],
    });
  });
  after(async () => {
    await server?.close();
    lab?.destroy();
  });

  const play = async (name: string): Promise<RouteWorkReport> => {
    const { address, key, zone } = server;
    const work: RouteWork = {
      server: address,
      key: { ...key, secret: key.secret.toString("base64") },
      steps: STEPS,
      name: `${name}.${zone}`,
      zone,
    };
    const argv = ["netns", "exec", lab.namespace(1), process.execPath, WORKER, JSON.stringify(work)];
    const { stdout } = await promisify(execFile)("ip", argv, { timeout: 240_000 });
    return JSON.parse(stdout) as RouteWorkReport;
  };
  const check = (t: TestContext, report: RouteWorkReport): { median: number; max: number } => {
    for (const step of report.steps) assert.equal(step.kind, "done", step.message);
    assert.deepEqual(report.left, [], "a socket or a timer outlived its step");
    const sorted = report.steps.map(({ tookMs }) => tookMs).sort((a, b) => a - b);
    const median = ((sorted[STEPS / 2 - 1] ?? 0) + (sorted[STEPS / 2] ?? 0)) / 2;
    const max = sorted.at(-1) ?? 0;
    t.diagnostic(`median ${median} ms, max ${max} ms of ${sorted.join(" ")}`);
    return { median, max };
  };

  test("without loss each step is done in a few round trips", async (t) => {
    const { median } = check(t, await play("clean"));
    assert.ok(median < 300, `${median} ms`);
  });

  test("with loss the usual step is done within a second, and the worst within half of its budget", async (t) => {
    lab.lossEverywhere(30);
    const { median, max } = check(t, await play("lossy"));
    assert.ok(median < 1_500 && max < 5_000, `median ${median} ms, max ${max} ms`);
  });

  test("so it is where a firewall lets no UDP through", async (t) => {
    lab.heal();
    lab.lossEverywhere(30);
    const noUdp =
      "table inet wall { chain out { type filter hook output priority 0; udp dport 5353 drop; }; }";
    lab.run(1, "nft", ["-f", "-"], { input: noUdp });
    const { median, max } = check(t, await play("wall"));
    assert.ok(median < 2_000 && max < 6_000, `median ${median} ms, max ${max} ms`);
  });
});
