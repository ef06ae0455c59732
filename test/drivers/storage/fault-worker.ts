/**
 * A process that does what its parent says to one storage, so that a fault can be injected into it between
 * two steps: `fault-worker.js DIRECTORY`. Each command is answered by a `FaultReport`.
 */
import { fileURLToPath } from "node:url";
import { logIndex } from "../../../src/core/base/ids.js";
import type { Storage } from "../../../src/drivers/storage/storage.js";
import { StorageError } from "../../../src/drivers/storage/storage-error.js";
import { entries, entry, hardState, open, snapshotAt } from "./disk.js";

export const FAULT_WORKER = fileURLToPath(import.meta.url);

/**
 * `append`: entry 31. `compact`: a snapshot at 20, cut before 15. `install`: a snapshot at 50, and entries
 * 51, 52.
 */
export type FaultCommand = "open" | "append" | "compact" | "install" | "close";

export type FaultReport =
  | { readonly kind: "ready"; readonly pid: number }
  | { readonly kind: "done" }
  | { readonly kind: "failed"; readonly code: string; readonly message: string };

/**
 * What stands in the directory before the fault: entries 1 to 30; with `cut` a snapshot at 10, cut before 5.
 */
export async function layFaultDirectory(directory: string, cut = true): Promise<void> {
  const { storage } = await open(directory);
  await storage.append({ hardState: hardState(2, 1, 25), entries: entries(1, 30, 2) });
  if (cut) await storage.compact(snapshotAt(10, 2), logIndex(5));
  await storage.close();
}

function report(message: FaultReport): void {
  process.send?.(message);
}

async function main(directory: string): Promise<void> {
  let storage: Storage | null = null;
  const perform = async (command: FaultCommand): Promise<unknown> => {
    if (command === "open") {
      storage = (await open(directory)).storage;
      return;
    }
    if (command === "append")
      return storage?.append({ hardState: hardState(2, 1, 26), entries: [entry(31, 2)] });
    if (command === "compact") return storage?.compact(snapshotAt(20, 2), logIndex(15));
    if (command === "close") return storage?.close();
    const write = { hardState: hardState(4, 0, 50), entries: entries(51, 52, 4) };
    return storage?.append({ ...write, snapshot: snapshotAt(50, 3) });
  };
  process.on("message", (command: FaultCommand) => {
    perform(command).then(
      () => report({ kind: "done" }),
      (thrown: unknown) => {
        const code = thrown instanceof StorageError ? thrown.code : "foreign";
        report({ kind: "failed", code, message: String(thrown) });
      },
    );
  });
  report({ kind: "ready", pid: process.pid });
}

if (process.argv[1] === FAULT_WORKER) {
  process.on("disconnect", () => process.exit(0));
  main(process.argv[2] ?? "").catch((thrown: unknown) => {
    console.error(thrown);
    process.exit(1);
  });
}
