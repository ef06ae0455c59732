/**
 * `npm run storage:exhaustive [-- --jobs N --bits one]`: every bit (`one`: one of each byte) flipped, and
 * every length cut, of every file of some small data directories (sweep.ts). Prints one line of JSON; ends
 * with 1 and the case at the first damage that was not found and not harmless. Several processes share the
 * work; each opens some tens of thousands of storages on tmpfs.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import type { Outcome } from "./damage.js";
import {
  compactedImage,
  type Damage,
  damagesOf,
  type Image,
  installedImage,
  plainImage,
  sweepImage,
  type Thoroughness,
} from "./sweep.js";

type Counts = Record<Outcome, number>;
type Result = Record<string, Counts>;

/** The share `shard` of `shards` of all cases. */
async function run(shard: number, shards: number, bits: Thoroughness["bits"]): Promise<Result> {
  const root = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "pointsman-exhaustive-"));
  try {
    // Each file once: what the images have in common is damaged in the first.
    const images: readonly (readonly [Image, RegExp])[] = [
      [await compactedImage(root, "log"), /./],
      [await compactedImage(root, "table"), /^log\//],
      [await plainImage(root, "log"), /^log\//],
      [await plainImage(root, "table"), /^log\//],
      [await installedImage(root), /^(log|snapshots)\//],
    ];
    const result: Result = {};
    for (const [image, pattern] of images) {
      const mine = share(damagesOf(image, pattern, { stride: 1, bits }), shard, shards);
      result[image.name] = await sweepImage(image, join(root, "scratch"), mine);
    }
    return result;
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

function* share(damages: Iterable<Damage>, shard: number, shards: number): Generator<Damage> {
  let at = 0;
  for (const damage of damages) if (at++ % shards === shard) yield damage;
}

function add(a: Result, b: Result): Result {
  const sum: Result = { ...a };
  for (const [name, counts] of Object.entries(b)) {
    const before = sum[name] ?? { whole: 0, recovering: 0, refused: 0 };
    sum[name] = {
      whole: before.whole + counts.whole,
      recovering: before.recovering + counts.recovering,
      refused: before.refused + counts.refused,
    };
  }
  return sum;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      jobs: { type: "string" },
      shard: { type: "string" },
      bits: { type: "string", default: "all" },
    },
  });
  const jobs = Number(values.jobs ?? availableParallelism());
  if (!Number.isInteger(jobs) || jobs < 1) throw new Error(`--jobs ${values.jobs}: give a number from 1`);
  const { bits } = values;
  if (bits !== "one" && bits !== "all") throw new Error(`--bits ${bits}: give one or all`);
  if (values.shard !== undefined) {
    // A parent that died has no use for us.
    process.on("disconnect", () => process.exit(1));
    const result = await run(Number(values.shard), jobs, bits);
    process.send?.(result, () => process.exit(0));
    return;
  }
  const startedAt = performance.now();
  const self = fileURLToPath(import.meta.url);
  const shards = Array.from({ length: jobs }, async (_, shard) => {
    const child = fork(self, ["--jobs", `${jobs}`, "--shard", `${shard}`, "--bits", bits]);
    let result: Result | null = null;
    child.on("message", (message) => {
      result = message as Result;
    });
    // A process that LevelDB aborts is a case that was not answered.
    const [code, signal] = (await once(child, "exit")) as [number | null, string | null];
    if (result === null) throw new Error(`process ${shard} ended with ${signal ?? code} and no result`);
    return result as Result;
  });
  const images = (await Promise.all(shards)).reduce(add, {});
  const cases = Object.values(images).reduce((sum, c) => sum + c.whole + c.recovering + c.refused, 0);
  const seconds = Math.round((performance.now() - startedAt) / 100) / 10;
  console.log(JSON.stringify({ check: "storage:exhaustive", bits, cases, silent: 0, images, seconds }));
}

main().catch((thrown: unknown) => {
  console.error(thrown);
  process.exit(1);
});
