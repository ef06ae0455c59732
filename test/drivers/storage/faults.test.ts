/**
 * The disk that fails while snapshots are written and read: full, failing syncs, failing renames, failing
 * reads. Each ends in a StorageError that says what to do, nothing is acknowledged after it, nothing that was
 * is lost, and a new start on a good disk goes on. Appends alone are in world.test.ts.
 */
import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { logIndex } from "../../../src/core/base/ids.js";
import type { Restored } from "../../../src/drivers/storage/storage.js";
import { mountSmallDisk } from "../../e2e/small-disk.js";
import { filesIn } from "./damage.js";
import {
  entries,
  entry,
  hardState,
  open,
  privateDirectory,
  readBack,
  skipUnless,
  snapshotAt,
} from "./disk.js";
import { FAULT_WORKER, type FaultCommand, type FaultReport, layFaultDirectory } from "./fault-worker.js";

const hasFiu = spawnSync("fiu-run", ["--help"]).error === undefined;

/** A worker under libfiu. */
async function startFaulty(t: TestContext, directory: string) {
  const control = join(privateDirectory(t), "fiu");
  const child: ChildProcess = spawn(
    "fiu-run",
    ["-x", "-f", control, process.execPath, FAULT_WORKER, directory],
    { stdio: ["ignore", "ignore", "inherit", "ipc"], env: { ...process.env, UV_THREADPOOL_SIZE: "4" } },
  );
  t.after(() => child.kill("SIGKILL"));
  const next = (): Promise<FaultReport> =>
    new Promise((resolve, reject) => {
      const onExit = (code: number | null, signal: string | null): void =>
        reject(new Error(`the worker ended with ${signal ?? code} and no answer`));
      child.once("exit", onExit);
      child.once("message", (message) => {
        child.off("exit", onExit);
        resolve(message as FaultReport);
      });
    });
  const ready = await next();
  assert.ok(ready.kind === "ready");
  const perform = (command: FaultCommand): Promise<FaultReport> => {
    const answer = next();
    child.send(command);
    return answer;
  };
  const fiu = (command: string): void => {
    execFileSync("fiu-ctrl", ["-c", command, "-f", control, String(ready.pid)]);
  };
  const kill = async (): Promise<void> => {
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
  };
  return { perform, fiu, kill };
}

function assertAsLaid(restored: Restored, what: string): void {
  assert.deepEqual([restored.recovering, restored.notices], [null, []], what);
  assert.deepEqual(restored.hardState, hardState(2, 1, 25), what);
  assert.deepEqual([restored.base.index, restored.entries], [4, entries(5, 30, 2)], what);
}

// fsync is what snapshot files and directories are synced with; appends use fdatasync.
for (const [fault, errno, command] of [
  ["posix/io/sync/fsync", 5, "compact"],
  ["posix/io/dir/rename", 5, "compact"],
  ["posix/io/rw/pwrite", 28, "compact"],
  ["posix/io/sync/fsync", 5, "install"],
  ["posix/io/dir/rename", 5, "install"],
  ["posix/io/rw/pwrite", 28, "install"],
] as const) {
  test(`${command} when ${fault} fails with ${errno}: refused, and so is all that follows`, {
    skip: skipUnless(hasFiu, "fiu-run (fiu-utils)"),
  }, async (t) => {
    const directory = join(privateDirectory(t), "data");
    await layFaultDirectory(directory);
    const worker = await startFaulty(t, directory);
    assert.equal((await worker.perform("open")).kind, "done");
    worker.fiu(`enable name=${fault},failinfo=${errno}`);
    const code = errno === 28 ? "STORAGE_FULL" : "STORAGE_IO";
    const failed = await worker.perform(command);
    assert.ok(failed.kind === "failed" && failed.code === code, JSON.stringify(failed));
    assert.match(failed.message, /; (look|free) /);
    // Also when the disk is well again: nobody knows what is on it.
    worker.fiu(`disable name=${fault}`);
    for (const later of ["append", "compact", "install"] as const) {
      const refused = await worker.perform(later);
      assert.ok(refused.kind === "failed" && refused.code === code, `${later}: ${JSON.stringify(refused)}`);
    }
    await worker.kill();
    assertAsLaid(await readBack(directory), "after the fault");
    assert.deepEqual(filesIn(directory, /^snapshots\//), ["snapshots/10-2.snap"], "nothing half is left");
    const { storage } = await open(directory);
    assert.equal(await storage.compact(snapshotAt(20, 2), logIndex(15)), 14);
    await storage.close();
    assert.deepEqual((await readBack(directory)).snapshot, snapshotAt(20, 2));
  });
}

test("an install whose batch cannot be synced is refused, and is the old log or the new one afterwards", {
  skip: skipUnless(hasFiu, "fiu-run (fiu-utils)"),
}, async (t) => {
  const directory = join(privateDirectory(t), "data");
  await layFaultDirectory(directory);
  const worker = await startFaulty(t, directory);
  assert.equal((await worker.perform("open")).kind, "done");
  worker.fiu("enable name=posix/io/sync/fdatasync,failinfo=5");
  for (const command of ["install", "append"] as const) {
    const failed = await worker.perform(command);
    assert.ok(failed.kind === "failed" && failed.code === "STORAGE_IO", JSON.stringify(failed));
  }
  await worker.kill();
  const restored = await readBack(directory);
  if (restored.base.index === 4) return assertAsLaid(restored, "the old log");
  assert.deepEqual([restored.base.index, restored.entries], [50, entries(51, 52, 4)]);
  assert.deepEqual([restored.recovering, restored.hardState], [null, hardState(4, 0, 50)]);
  assert.deepEqual(restored.snapshot, snapshotAt(50, 3));
});

for (const [fault, what, cut] of [
  ["posix/io/rw/pread", "reading fails", true],
  ["posix/io/rw/pread", "reading fails, before there is a snapshot,", false],
  ["posix/io/oc/open", "opening files fails", true],
] as const) {
  test(`a start on a disk where ${what} is refused, and not taken for damage`, {
    skip: skipUnless(hasFiu, "fiu-run (fiu-utils)"),
  }, async (t) => {
    const directory = join(privateDirectory(t), "data");
    await layFaultDirectory(directory, cut);
    const worker = await startFaulty(t, directory);
    worker.fiu(`enable name=${fault},failinfo=5`);
    const failed = await worker.perform("open");
    assert.ok(failed.kind === "failed" && failed.code === "STORAGE_IO", JSON.stringify(failed));
    worker.fiu(`disable name=${fault}`);
    assert.equal((await worker.perform("open")).kind, "done", "the failed start gave the lock back");
    await worker.kill();
    const restored = await readBack(directory);
    if (cut) assertAsLaid(restored, what);
    else assert.deepEqual([restored.recovering, restored.entries], [null, entries(1, 30, 2)]);
  });
}

test("a full disk in the middle of a snapshot stops the witness, cuts nothing and keeps no half of it", async (t) => {
  const disk = mountSmallDisk(t, "24m");
  if (disk === null) return;
  const directory = join(disk.path, "data");
  await layFaultDirectory(directory);
  const { storage } = await open(directory);
  disk.fill(2 << 20);
  // 200 records of 50,000 characters: 10 MB.
  await assert.rejects(storage.compact(snapshotAt(20, 2, 200, 50_000), logIndex(15)), {
    code: "STORAGE_FULL",
    message: /cannot write a snapshot .*disk is full; free/,
  });
  await assert.rejects(storage.append({ hardState: null, entries: [entry(31, 2)] }), {
    code: "STORAGE_FULL",
  });
  await storage.close();
  assert.deepEqual(filesIn(directory, /^snapshots\//), ["snapshots/10-2.snap"], "its space is given back");
  disk.free();
  assertAsLaid(await readBack(directory), "after the full disk");
  const again = await open(directory);
  assert.equal(await again.storage.compact(snapshotAt(20, 2, 200, 50_000), logIndex(15)), 14);
  await again.storage.close();
});

test("a full disk while entries are cut away stops the witness, and the snapshot covers what is left", async (t) => {
  const disk = mountSmallDisk(t, "16m");
  if (disk === null) return;
  const directory = join(disk.path, "data");
  const first = await open(directory);
  await first.storage.append({ hardState: hardState(2, 1, 9_000), entries: entries(1, 9_000, 2) });
  // The file alone: nothing is cut.
  assert.equal(await first.storage.compact(snapshotAt(9_000, 2), logIndex(1)), 0);
  await first.storage.close();
  const { storage } = await open(directory);
  disk.fill(0);
  await assert.rejects(storage.compact(snapshotAt(9_000, 2), logIndex(8_990)), { code: "STORAGE_FULL" });
  await assert.rejects(storage.append({ hardState: null, entries: [] }), { code: "STORAGE_FULL" });
  await storage.close();
  disk.free();
  const restored = await readBack(directory);
  assert.deepEqual([restored.recovering, restored.snapshot], [null, snapshotAt(9_000, 2)]);
  assert.deepEqual(restored.entries, entries(restored.base.index + 1, 9_000, 2));
  const again = await open(directory);
  assert.equal(await again.storage.compact(snapshotAt(9_000, 2), logIndex(8_990)), 8_989);
  await again.storage.close();
});

test("a full disk during an install leaves the old log, and the install succeeds when there is room", async (t) => {
  const disk = mountSmallDisk(t, "24m");
  if (disk === null) return;
  const directory = join(disk.path, "data");
  await layFaultDirectory(directory);
  const small = { hardState: hardState(4, 0, 50), entries: [entry(51, 4)], snapshot: snapshotAt(50, 3) };
  const large = { ...small, snapshot: snapshotAt(50, 3, 200, 50_000) };
  // The file does not fit; the file fits, and the batch that installs it does not.
  for (const [what, write] of [
    ["file", large],
    ["batch", { ...small, entries: [entry(51, 4, "x".repeat(4 << 20))] }],
  ] as const) {
    const { storage } = await open(directory);
    disk.fill(2 << 20);
    const before = storage.append({ hardState: hardState(2, 1, 25), entries: [] });
    await assert.rejects(storage.append(write), { code: "STORAGE_FULL" }, what);
    await before;
    await assert.rejects(storage.append({ hardState: null, entries: [] }), { code: "STORAGE_FULL" }, what);
    await storage.close();
    disk.free();
    assertAsLaid(await readBack(directory), what);
    assert.deepEqual(filesIn(directory, /^snapshots\//), ["snapshots/10-2.snap"], what);
  }
  const { storage } = await open(directory);
  await storage.append(large);
  await storage.close();
  const restored = await readBack(directory);
  assert.deepEqual([restored.base.index, restored.entries], [50, [entry(51, 4)]]);
});
