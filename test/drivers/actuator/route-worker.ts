/**
 * Plays route steps one after the other where it is started (a network namespace), epoch by epoch from site a
 * to b and back, and prints one line of JSON: how each ended, how long it took, and what of Node's resources
 * was left open. Argument: `RouteWork` as JSON.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { routeDns } from "../../../src/drivers/actuator/dns-route.js";

/** What to do. */
export interface RouteWork {
  readonly server: string;
  readonly key: {
    readonly name: string;
    readonly algorithm: "hmac-sha256" | "hmac-sha512";
    readonly secret: string;
  } | null;
  readonly steps: number;
  readonly name: string;
  readonly zone: string;
}

/** What came of it. */
export interface RouteWorkReport {
  readonly steps: readonly { readonly kind: string; readonly message: string; readonly tookMs: number }[];
  /** Sockets and timers that are alive after the last step. */
  readonly left: readonly string[];
}

const work = JSON.parse(process.argv[2] ?? "") as RouteWork;
const records = (site: "a" | "b") => [
  { name: work.name, type: "A" as const, values: [site === "a" ? "192.0.2.1" : "198.51.100.1"] },
];
const steps: RouteWorkReport["steps"][number][] = [];
for (let epoch = 1; epoch <= work.steps; epoch++) {
  const site = epoch % 2 === 0 ? "b" : "a";
  const startedAt = performance.now();
  const { kind, code, message } = await routeDns(
    {
      group: "shop",
      epoch,
      site,
      zone: work.zone,
      servers: [work.server],
      key: work.key === null ? null : { ...work.key, secret: Buffer.from(work.key.secret, "base64") },
      ttlSeconds: 1,
      records: records(site),
      knownValues: [
        { site: "a", records: records("a") },
        { site: "b", records: records("b") },
      ],
      timeoutMs: 10_000,
    },
    new AbortController().signal,
  );
  steps.push({ kind, message: `${code}: ${message}`, tookMs: Math.round(performance.now() - startedAt) });
}
// Closing handles leave the list when the loop has gone round.
await sleep(50);
const left = process.getActiveResourcesInfo().filter((name) => /TCP|UDP|Timeout|DNS/.test(name));
process.stdout.write(`${JSON.stringify({ steps, left } satisfies RouteWorkReport)}\n`);
