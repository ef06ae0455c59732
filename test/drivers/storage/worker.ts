/**
 * A process of its own around one storage, to be killed, starved or shut out. Run as `worker.js MODE
 * DIRECTORY`:
 *
 * - `append`: appends without end, four in flight, and reports each acknowledged operation; on a failure
 *   reports it with the error of one more append, and ends.
 * - `step`: does one such operation for each message from its parent.
 * - `hold`: opens, says so, and waits to be ended.
 * - `open`: opens, reports how that went, and ends.
 *
 * Operation n is the write in term n, so the restored term says how many operations the disk holds, and
 * `stateAfter` what must be there.
 */
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Entry } from "../../../src/core/raft/types.js";
import { StorageError } from "../../../src/drivers/storage/storage-error.js";
import type { State, Write } from "./damage.js";
import { entries, hardState, open } from "./disk.js";

export const WORKER = fileURLToPath(import.meta.url);

/** What the worker tells its parent. */
export type Report =
  | { readonly kind: "open"; readonly pid: number }
  | { readonly kind: "acked"; readonly operation: number }
  | { readonly kind: "failed"; readonly code: string; readonly message: string; readonly laterCode: string };

/**
 * Operation `operation` on top of `before`: growth, and every fifth time an overwrite that leaves the log
 * shorter.
 */
export function operationAfter(before: State, operation: number): Write {
  const { commit } = before.hardState;
  const length = before.entries.length;
  const from = Math.max(commit + 1, length + 1 - (operation % 5 === 4 ? 3 : 0));
  const to = from + (operation % 3) - (operation % 5 === 4 ? 0 : 1);
  const added: readonly Entry[] = to < from ? [] : entries(from, to, operation);
  const last = added.at(-1)?.index ?? length;
  return { hardState: hardState(operation, operation % 4, Math.max(commit, last - 6)), entries: added };
}

/** `before` with one write done. */
export function withWrite(before: State, write: Write): State {
  const first = write.entries[0];
  const kept = first === undefined ? before.entries : before.entries.slice(0, first.index - 1);
  return { hardState: write.hardState ?? before.hardState, entries: [...kept, ...write.entries] };
}

/** What the disk holds after operations 1 to `operation`. */
export function stateAfter(operation: number): State {
  const log: Entry[] = [];
  let state: State = { hardState: hardState(0, 0, 0), entries: log };
  for (let n = 1; n <= operation; n++) {
    const write = operationAfter(state, n);
    const first = write.entries[0];
    if (first !== undefined) log.length = first.index - 1;
    log.push(...write.entries);
    state = { hardState: write.hardState ?? state.hardState, entries: log };
  }
  return state;
}

function report(message: Report): Promise<void> {
  return new Promise((resolve) => {
    if (process.send === undefined) resolve();
    else process.send(message, () => resolve());
  });
}

async function main(mode: string, directory: string): Promise<void> {
  const { storage, restored } = await open(directory);
  await report({ kind: "open", pid: process.pid });
  if (mode === "open") {
    await storage.close();
    process.disconnect();
    return;
  }
  if (mode === "hold") {
    setInterval(() => undefined, 1000);
    return;
  }
  let state: State = restored;
  const inFlight: Promise<void>[] = [];
  for (let operation = restored.hardState.term + 1; ; operation++) {
    const write = operationAfter(state, operation);
    state = withWrite(state, write);
    if (mode === "step") await once(process, "message");
    inFlight.push(storage.append(write).then(() => report({ kind: "acked", operation })));
    if (inFlight.length < (mode === "step" ? 1 : 4)) continue;
    try {
      await inFlight.shift();
    } catch (thrown) {
      await Promise.allSettled(inFlight);
      const later = await storage.append({ hardState: null, entries: [] }).catch((error: unknown) => error);
      await report({
        ...failure(thrown),
        laterCode: later instanceof StorageError ? later.code : "accepted",
      });
      process.exit(1);
    }
  }
}

function failure(thrown: unknown): Report & { readonly kind: "failed" } {
  const code = thrown instanceof StorageError ? thrown.code : "foreign";
  return { kind: "failed", code, message: String(thrown), laterCode: "" };
}

if (process.argv[1] === WORKER) {
  // A parent that died has no use for us.
  process.on("disconnect", () => process.exit(0));
  const [mode = "", directory = ""] = process.argv.slice(2);
  main(mode, directory).catch(async (thrown: unknown) => {
    await report(failure(thrown));
    process.exit(1);
  });
}
