/** A small document and a driver's side for tests of the health room: probes end as the test says, time is a number. */
import { siteId, witnessId } from "../../../src/core/base/ids.js";
import type { ProbeOrder } from "../../../src/core/health/health.js";
import { Detector } from "../../../src/core/health/health.js";
import type { ClusterConfig, GroupConfig, ProbeSpec, TargetConfig } from "../../../src/core/model/config.js";
import type { Observation, ProbeResult } from "../../../src/core/model/observation.js";

export const ok: ProbeResult = { kind: "ok", rttMs: 12, text: "HTTP 200" };
export const refused: ProbeResult = {
  kind: "definite",
  rttMs: 1,
  text: "connection refused by 10.1.0.10:9000",
};
export const silence: ProbeResult = { kind: "ambiguous", text: "connect timed out" };
export const failed: ProbeResult = { kind: "failed", text: "out of sockets (EMFILE)" };

export function targetOf(id: string, options: Partial<TargetConfig> = {}): TargetConfig {
  const probe: ProbeSpec = { kind: "tcp", host: "10.1.0.10", port: 9000 };
  return {
    id,
    required: true,
    probe,
    intervalMs: 100,
    timeoutMs: 80,
    fall: 3,
    rise: 2,
    falseAlarm: 1e-6,
    ...options,
  };
}

/** One group `shop` with the given targets at each of the given sites; `witnessCount` witnesses w1, w2, … */
export function configOf(
  sites: Readonly<Record<string, readonly TargetConfig[]>>,
  witnessCount = 3,
): ClusterConfig {
  const group: GroupConfig = {
    id: "shop",
    mode: "automatic",
    sites: Object.entries(sites).map(([site, targets]) => ({ site: siteId(site), targets, records: [] })),
    stabilityMs: 1000,
    holdDownMs: 1000,
    failback: { kind: "manual" },
    fence: { kind: "none" },
    drain: null,
    promote: null,
    route: [],
    verify: { servers: [], resolvers: [], timeoutMs: 1000 },
    announce: [],
    retry: { limit: 3, backoffMs: 100, backoffMaxMs: 1000 },
    onFailure: "next",
  };
  return {
    cluster: "test",
    version: 1,
    witnesses: Array.from({ length: witnessCount }, (_, i) => ({
      id: witnessId(`w${i + 1}`),
      site: null,
      peers: [`127.0.0.1:${7000 + i}`],
      admin: `127.0.0.1:${8000 + i}`,
      dns: null,
    })),
    sites: Object.keys(sites).map((site) => ({ id: siteId(site) })),
    groups: [group],
    timings: {
      profile: "fast",
      tickMs: 10,
      heartbeatMs: 50,
      electionMinMs: 300,
      electionMaxMs: 600,
      viewIntervalMs: 200,
      viewTimeoutMs: 1000,
    },
    dns: null,
  };
}

/**
 * Runs a detector tick by tick. Each probe ends after `delayMs` with what `answer` gives for its target;
 * `undefined` never ends.
 */
export class Bench {
  readonly detector: Detector;
  readonly orders: (ProbeOrder & { atMs: number })[] = [];
  answer: (order: ProbeOrder, atMs: number) => { result: ProbeResult; delayMs: number } | undefined;
  nowMs = 1_000_000;
  readonly #ends: { atMs: number; order: ProbeOrder; result: ProbeResult }[] = [];

  constructor(config: ClusterConfig, result: ProbeResult = ok) {
    this.detector = new Detector({ config, witness: witnessId("w1"), seed: 7, life: 1, stallMs: 500 });
    this.answer = () => ({ result, delayMs: 5 });
  }

  /** Lets `ms` pass in ticks of 10 ms; ends early, with true, when `until` holds. */
  run(ms: number, until: () => boolean = () => false): boolean {
    for (const endMs = this.nowMs + ms; this.nowMs < endMs; ) {
      this.tick(10);
      if (until()) return true;
    }
    return false;
  }

  /** One tick, `ms` after the last one. Results that came in between are handed in before it. */
  tick(ms: number): { readonly stalled: boolean } {
    this.nowMs += ms;
    for (let i = 0; i < this.#ends.length; i++) {
      const end = this.#ends[i];
      if (end === undefined || end.atMs > this.nowMs) continue;
      this.#ends.splice(i--, 1);
      this.detector.onProbed(end.order.target, end.order.probe, end.result, this.nowMs);
    }
    const { probes, stalled } = this.detector.tick(this.nowMs);
    for (const order of probes) {
      this.orders.push({ ...order, atMs: this.nowMs });
      const answer = this.answer(order, this.nowMs);
      if (answer !== undefined) {
        this.#ends.push({ atMs: this.nowMs + answer.delayMs, order, result: answer.result });
      }
    }
    return { stalled };
  }

  /** What the detector says of a target, `shop/a/web` by default. */
  seen(target = "shop/a/web"): Observation {
    const found = this.detector.view().observations.find((observation) => observation.target === target);
    if (found === undefined) throw new Error(`no observation of ${target}`);
    return found;
  }

  /** Hands in `results` for the next probes of the only target, one after the other. */
  feed(...results: readonly ProbeResult[]): void {
    const queue = [...results];
    let left = queue.length;
    this.answer = () => {
      const result = queue.shift();
      if (result === undefined) return undefined;
      left--;
      return { result, delayMs: 5 };
    };
    this.run(results.length * 2000, () => left === 0);
    this.tick(10);
  }
}
