/**
 * A process that keeps one storage busy until it is killed: `crash-worker.js DIRECTORY SEED`.
 *
 * Appends four in flight, overwrites, installs now and then, and one compaction after another, of what is
 * committed as handed in, which need not be durable yet. Each acknowledgement is reported before anything is
 * done because of it.
 */
import { fileURLToPath } from "node:url";
import { logIndex } from "../../../src/core/base/ids.js";
import { open } from "./disk.js";
import { Twin } from "./twin.js";

export const CRASH_WORKER = fileURLToPath(import.meta.url);

/** What the worker tells its parent. */
export type CrashReport =
  | { readonly kind: "open" }
  | { readonly kind: "acked"; readonly operation: number; readonly isInstall: boolean }
  | { readonly kind: "compacted"; readonly base: number };

function report(message: CrashReport): void {
  process.send?.(message);
}

async function main(directory: string, seed: number): Promise<void> {
  const { storage, restored } = await open(directory);
  const twin = Twin.from(restored);
  report({ kind: "open" });
  let compacting = false;
  const compact = async (): Promise<void> => {
    compacting = true;
    const snapshot = twin.snapshot();
    const keep = Math.max(1, snapshot.index + 1 - ((seed + snapshot.index) % 12));
    report({ kind: "compacted", base: await storage.compact(snapshot, logIndex(keep)) });
    compacting = false;
  };
  const inFlight: Promise<void>[] = [];
  for (let round = seed; ; round++) {
    const write = twin.next(false);
    const isInstall = write.snapshot !== null;
    const operation = write.hardState.term;
    inFlight.push(storage.append(write).then(() => report({ kind: "acked", operation, isInstall })));
    // How long one runs, and what runs beside it, differs from round to round.
    if (!compacting && twin.hardState.commit > 0 && round % 3 === 0) {
      compact().catch((thrown: unknown) => {
        console.error(thrown);
        process.exit(1);
      });
    }
    if (inFlight.length >= 4) await inFlight.shift();
  }
}

if (process.argv[1] === CRASH_WORKER) {
  process.on("disconnect", () => process.exit(0));
  const [directory = "", seed = "0"] = process.argv.slice(2);
  main(directory, Number(seed)).catch((thrown: unknown) => {
    console.error(thrown);
    process.exit(1);
  });
}
