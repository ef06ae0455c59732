/**
 * The transport on links that are cut and that lose packets: real processes in network namespaces.
 *
 * What is measured is printed as diagnostics; the assertions are generous, because the machine may be busy.
 * The cuts of 8 s and 40 s run side by side in labs of their own.
 */
import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import { describe, type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { PeerStats } from "../../../src/drivers/transport/transport.js";
import { NetLab, skipWithoutNetns } from "../../support/netns.js";
import { sleep, until } from "./helpers.js";

const SCRIPT = fileURLToPath(new URL("./link-node.js", import.meta.url));
const clockMs = (): number => Number(process.hrtime.bigint() / 1_000_000n);

interface Arrival {
  readonly sentMs: number;
  readonly atMs: number;
}
interface Stats {
  readonly peers: readonly PeerStats[];
  readonly rss: number;
  readonly handles: number;
}

class Node {
  readonly arrivals: Arrival[] = [];
  ready = false;
  private readonly child: ChildProcess;
  private stats: Stats | null = null;

  constructor(lab: NetLab, number: number, peers: readonly number[]) {
    const addresses = (site: number): string[] =>
      Array.from({ length: lab.carriers }, (_, carrier) => `${lab.address(site, carrier)}:7400`);
    const options = {
      number,
      listen: addresses(number),
      peers: peers.map((peer) => [peer, ...addresses(peer)]),
      heartbeatMs: 50,
    };
    this.child = lab.spawn(number, process.execPath, [SCRIPT, JSON.stringify(options)], {
      stdio: ["pipe", "pipe", process.env["DEBUG"] ? "inherit" : "ignore"],
    });
    assert.ok(this.child.stdout !== null);
    createInterface({ input: this.child.stdout }).on("line", (line) => this.onLine(line));
  }

  /** The longest time in `[fromMs, toMs]` without a message that was under a second old and newer than those before. */
  longestSilenceMs(fromMs: number, toMs: number): { maxMs: number; p99Ms: number; count: number } {
    let newest = 0;
    const fresh: number[] = [];
    for (const { sentMs, atMs } of this.arrivals) {
      if (atMs < fromMs || atMs > toMs || sentMs <= newest || atMs - sentMs > 1000) continue;
      newest = sentMs;
      fresh.push(atMs);
    }
    const gaps = [...fresh, toMs].map((at, i) => at - (fresh[i - 1] ?? fromMs)).sort((a, b) => a - b);
    return { maxMs: gaps.at(-1) ?? 0, p99Ms: gaps[Math.floor(gaps.length * 0.99)] ?? 0, count: fresh.length };
  }

  async askStats(): Promise<Stats> {
    this.stats = null;
    this.child.stdin?.write("stats\n");
    await until(() => this.stats !== null, "statistics");
    return this.stats as unknown as Stats;
  }

  private onLine(line: string): void {
    const [word, ...rest] = line.split(" ");
    if (word === "ready") this.ready = true;
    if (word === "stats") this.stats = JSON.parse(line.slice(6)) as Stats;
    if (word === "got") this.arrivals.push({ sentMs: Number(rest[1]), atMs: Number(rest[2]) });
  }
}

async function pair(t: TestContext, carriers = 1): Promise<{ lab: NetLab; one: Node; two: Node }> {
  const lab = NetLab.create({ sites: 2, carriers });
  t.after(() => lab.destroy());
  const one = new Node(lab, 1, [2]);
  const two = new Node(lab, 2, [1]);
  await until(() => one.arrivals.length > 20 && two.arrivals.length > 20, "first messages", 20_000);
  return { lab, one, two };
}

async function cutAndHeal(t: TestContext, cutMs: number): Promise<void> {
  const { lab, one, two } = await pair(t);
  const before = await one.askStats();
  lab.cutBoth(1, 2);
  await sleep(cutMs);
  const during = await one.askStats();
  lab.heal();
  const healedMs = clockMs();
  const first = (node: Node): Arrival | undefined =>
    node.arrivals.find(({ sentMs, atMs }) => atMs > healedMs && atMs - sentMs < 500);
  await until(
    () => first(one) !== undefined && first(two) !== undefined,
    "a fresh message after the heal",
    30_000,
  );
  const mended = [one, two].map((node) => (first(node)?.atMs ?? 0) - healedMs);
  await sleep(500);
  const old = [one, two].flatMap((node) =>
    node.arrivals.filter(({ sentMs, atMs }) => atMs > healedMs && atMs - sentMs > 1100),
  );
  t.diagnostic(
    `cut of ${cutMs} ms: first fresh message ${mended.join(" and ")} ms after the heal, ${old.length} stale ones; ` +
      `dials ${during.peers[0]?.dials}, open handles ${before.handles} -> ${during.handles}, ` +
      `RSS ${Math.round(before.rss / 2 ** 20)} -> ${Math.round(during.rss / 2 ** 20)} MB`,
  );
  assert.ok(Math.max(...mended) < 3000, `mended after ${mended.join(" and ")} ms`);
  assert.equal(old.length, 0, "nothing that waited out the cut is delivered");
  assert.ok(
    (during.peers[0]?.queued.messages ?? 99) <= 2,
    "a newer heartbeat replaces the older one in the queue",
  );
  assert.ok(
    during.handles < before.handles + 10,
    `sockets of given-up dials stay open: ${before.handles} -> ${during.handles}`,
  );
}

describe("links", { concurrency: true, skip: skipWithoutNetns() }, () => {
  test("a link that was cut for 8 s carries fresh messages soon after the heal", (t) => cutAndHeal(t, 8_000));

  test("a link that was cut for 40 s carries fresh messages soon after the heal", (t) =>
    cutAndHeal(t, 40_000));

  test("a line that loses 30 % each way is never silent for long", async (t) => {
    const { lab, one, two } = await pair(t);
    lab.lossEverywhere(30);
    const fromMs = clockMs();
    await sleep(30_000);
    const toMs = clockMs();
    const silences = [one, two].map((node) => node.longestSilenceMs(fromMs, toMs));
    const stats = (await one.askStats()).peers[0];
    for (const { maxMs, p99Ms, count } of silences) {
      t.diagnostic(
        `30 % loss for 30 s: longest silence ${maxMs} ms, p99 ${p99Ms} ms, ${count} fresh messages`,
      );
    }
    t.diagnostic(
      `dials ${stats?.dials}, replaced ${stats?.replaced}, loss estimate ${stats?.lossEstimate.toFixed(2)}`,
    );
    for (const { maxMs } of silences) assert.ok(maxMs < 6000, `silent for ${maxMs} ms`);
  });

  test("with two carriers the loss of one is not even noticed", async (t) => {
    const { lab, one, two } = await pair(t, 2);
    await sleep(1500);
    lab.cutBoth(1, 2, 0);
    const fromMs = clockMs();
    await sleep(5000);
    const toMs = clockMs();
    const silences = [one, two].map((node) => node.longestSilenceMs(fromMs, toMs).maxMs);
    const up = (await one.askStats()).peers[0]?.connectionsUp;
    t.diagnostic(
      `one of two carriers cut: longest silence ${silences.join(" and ")} ms, ${up} connections up`,
    );
    assert.ok(Math.max(...silences) < 1000, `silent for ${silences.join(" and ")} ms`);
    assert.equal(up, 2, "one on the other carrier, and the one that goes where it works");
  });
});
