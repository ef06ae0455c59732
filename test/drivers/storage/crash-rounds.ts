/**
 * kill -9 at random instants while snapshots, compactions, installs and overwrites go on: rounds on one
 * directory, each opened and compared with the twin afterwards. The instants come from the clock; the seed
 * only spreads them.
 */
import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { setTimeout } from "node:timers/promises";
import { CRASH_WORKER, type CrashReport } from "./crash-worker.js";
import { readBack } from "./disk.js";
import { assertEqualsTwin, Twin } from "./twin.js";

/** What the rounds came to; `lost` is always 0, for the first loss ends them with an error. */
export interface CrashResult {
  readonly rounds: number;
  readonly operations: number;
  readonly installs: number;
  readonly compactions: number;
  /** Rounds in which the process died before it said that it had opened. */
  readonly killedOpening: number;
  readonly lost: 0;
}

/** Runs so many rounds in `directory`, which is new. `random` gives numbers from 0 to 1. */
export async function crashRounds(
  directory: string,
  rounds: number,
  random: () => number,
): Promise<CrashResult> {
  let [installs, compactions, killedOpening] = [0, 0, 0];
  const twin = new Twin();
  for (let round = 0; round < rounds; round++) {
    const worker = fork(CRASH_WORKER, [directory, `${round}`], {
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    let [acked, base, isOpen] = [0, 0, false];
    const opened = new Promise<void>((resolve) => {
      worker.on("exit", () => resolve());
      worker.on("message", (message: CrashReport) => {
        if (message.kind === "acked") {
          acked = message.operation;
          if (message.isInstall) installs++;
        } else if (message.kind === "compacted") {
          base = message.base;
          compactions++;
        } else isOpen = true;
        if (isOpen) resolve();
      });
    });
    const exited = once(worker, "exit");
    // One round in eight dies somewhere in its start, the others up to some hundred writes later.
    if (round % 8 === 7) await setTimeout(100 + random() * 300);
    else {
      await opened;
      await setTimeout(random() * 400);
    }
    assert.ok(worker.exitCode === null && worker.signalCode === null, `round ${round}: the worker failed`);
    worker.kill("SIGKILL");
    await exited;
    if (!isOpen) killedOpening++;

    const what = `round ${round}, ${acked} acknowledged`;
    const restored = await readBack(directory);
    assert.ok(restored.hardState.term >= acked, `${what}: the disk has ${restored.hardState.term}`);
    assert.ok(
      restored.base.index >= base,
      `${what}: cut to ${base}, the log begins after ${restored.base.index}`,
    );
    while (twin.hardState.term < restored.hardState.term) twin.next(true);
    assertEqualsTwin(restored, twin, what);
  }
  const operations = twin.hardState.term;
  return { rounds, operations, installs, compactions, killedOpening, lost: 0 };
}
