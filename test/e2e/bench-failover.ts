/**
 * `npm run bench:failover`: how long a failover takes, and what packet loss does to it. Real witnesses, a
 * real BIND, network namespaces; probes every 100 ms. Needs root, `ip`, `nft` and `named`.
 *
 *   --minutes N   of 30 % loss between all sites during which nothing may move (default 5)
 *   --rounds N    failovers measured without loss, and again under loss (default 10 each)
 *   --loss N      per cent (default 30)
 *
 * A round kills one service of the present primary and ends when the name server gives the other site's
 * address. The last line is one JSON object; exit code 1 when something moved that must not.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { SERVICES, type SiteName } from "./document.js";
import { type Scene, skipSites, withSites } from "./sites.js";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "5" },
    rounds: { type: "string", default: "10" },
    loss: { type: "string", default: "30" },
  },
});
const minutes = Number(values.minutes);
const rounds = Number(values.rounds);
const loss = Number(values.loss);
if (![minutes, rounds, loss].every(Number.isFinite)) {
  console.error("--minutes, --rounds and --loss take numbers");
  process.exit(2);
}
const reason = skipSites("bind");
if (reason !== false) {
  console.error(`cannot measure here: ${reason}`);
  process.exit(2);
}

function say(line: string): void {
  console.error(`${new Date().toISOString().slice(11, 19)}  ${line}`);
}

function median(numbers: readonly number[]): number | null {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle];
  if (upper === undefined) return null;
  return sorted.length % 2 === 1 ? upper : Math.round(((sorted[middle - 1] ?? upper) + upper) / 2);
}

/**
 * Parts of a failover, ms: until the majority's last observation, until the decision, until the route step,
 * until it was done.
 */
interface Phases {
  readonly detect: number;
  readonly agree: number;
  readonly before: number;
  readonly route: number;
}

/** From the audit records of the newest failover; all processes are on one machine, so their wall clocks agree. */
async function phases(scene: Scene, killedWallMs: number): Promise<Phases> {
  const records = (await scene.cluster.history("w-c")).filter(({ wallMs }) => wallMs >= killedWallMs);
  const at = (kind: string, step: string | null): number =>
    records.find((record) => record.kind === kind && record.step === step)?.wallMs ?? Number.NaN;
  const decidedMs = at("decision", null);
  const seenMs =
    records.findLast(({ kind, wallMs }) => kind === "observation" && wallMs <= decidedMs)?.wallMs ??
    decidedMs;
  const begunMs = at("step_begun", "route");
  return {
    detect: Math.round(seenMs - killedWallMs),
    agree: Math.round(decidedMs - seenMs),
    before: Math.round(begunMs - decidedMs),
    route: Math.round(at("step_finished", "route") - begunMs),
  };
}

/** Kills one service after the other, each at the site that is primary then. Times in ms, kill to new answer. */
async function measure(
  scene: Scene,
  label: string,
  from: SiteName,
): Promise<{ times: number[]; parts: Phases[]; at: SiteName }> {
  const { cluster } = scene;
  const times: number[] = [];
  const parts: Phases[] = [];
  let at = from;
  for (let round = 0; round < rounds; round++) {
    const to: SiteName = at === "a" ? "b" : "a";
    const service = `${at}/${SERVICES[round % SERVICES.length]}`;
    const killedAtMs = performance.now();
    const killedWallMs = Date.now();
    await cluster.kill(service);
    await scene.named(to);
    const tookMs = Math.round(performance.now() - killedAtMs);
    times.push(tookMs);
    say(`${label}, round ${round + 1}: ${service} killed, the name moved to ${to} after ${tookMs} ms`);
    await cluster.settled("w-c", to);
    const part = await phases(scene, killedWallMs);
    parts.push(part);
    say(`  ${JSON.stringify(part)}`);
    await cluster.startService(service);
    at = to;
    await cluster.calm("w-c");
    // Past the hold-down of one second, so that the next round measures detection and not policy.
    await sleep(2500);
  }
  return { times, parts, at };
}

/** Leader changes since the start: the highest term that any witness is in. */
async function highestTerm(scene: Scene): Promise<number> {
  const terms = await Promise.all(
    scene.cluster.witnesses.map(async ({ id }) => (await scene.cluster.status(id)).raft.term),
  );
  return Math.max(...terms);
}

async function decisions(scene: Scene): Promise<number> {
  return (await scene.cluster.history("w-c")).filter(({ kind }) => kind === "decision").length;
}

function summary({ times, parts }: { times: readonly number[]; parts: readonly Phases[] }): object {
  const part = (name: keyof Phases): number | null => median(parts.map((each) => each[name]));
  return {
    median: median(times),
    max: Math.max(...times),
    all: times,
    phases: { detect: part("detect"), agree: part("agree"), before: part("before"), route: part("route") },
  };
}

// The profile as it is, not the tests' calmer one: heartbeats every 50 ms, elections 300 to 600 ms, probes every
// 100 ms.
const extra = { timings: { profile: "fast" }, probes: { interval: "100ms", timeout: "250ms" } };
await withSites({ nameServer: "bind", prepare: async () => ({ extra }) }, async (scene) => {
  const { cluster, lab } = scene;
  await cluster.settled("w-c", "a");
  await cluster.calm("w-c");
  await scene.named("a");
  await sleep(2000);
  const clean = await measure(scene, "no loss", "a");

  const before = { decisions: await decisions(scene), term: await highestTerm(scene) };
  say(`${loss} % loss between all sites for ${minutes} min`);
  lab.lossEverywhere(loss);
  for (let second = 0; second < minutes * 60; second += 30) {
    await sleep(Math.min(30, minutes * 60 - second) * 1000);
    say(
      `  ${(await decisions(scene)) - before.decisions} decisions, ${(await highestTerm(scene)) - before.term} new terms so far`,
    );
  }
  const moved = (await decisions(scene)) - before.decisions;
  const terms = (await highestTerm(scene)) - before.term;
  const lossy = await measure(scene, `${loss} % loss`, clean.at);
  lab.heal();
  const line = {
    lossPercent: loss,
    minutes,
    switchesUnderLossAlone: moved,
    leaderChangesUnderLoss: terms,
    rounds,
    cleanMs: summary(clean),
    lossyMs: summary(lossy),
  };
  console.log(JSON.stringify(line));
  if (moved > 0) process.exitCode = 1;
});
