/**
 * The storage against the world: processes that are killed, a directory that belongs to somebody else, disks
 * that are full, read-only or fail to sync. Each refusal has a code, names what it found, and says what to
 * do.
 */
import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, fork, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { openStorage } from "../../../src/drivers/storage/storage.js";
import { StorageError } from "../../../src/drivers/storage/storage-error.js";
import { entries, entry, hardState, IDENTITY, open, privateDirectory, readBack, skipUnless } from "./disk.js";
import { type Report, stateAfter, WORKER } from "./worker.js";

const isRoot = process.getuid?.() === 0;
const hasFiu = spawnSync("fiu-run", ["--help"]).error === undefined;

/** Starts a worker and collects its reports; it is killed when the test ends. */
function startWorker(t: TestContext, mode: string, directory: string, through: readonly string[] = []) {
  const stdio: ["ignore", "ignore", "inherit", "ipc"] = ["ignore", "ignore", "inherit", "ipc"];
  const [command = process.execPath, ...args] = [...through, process.execPath, WORKER, mode, directory];
  const child: ChildProcess = spawn(command, args, {
    stdio,
    env: { ...process.env, UV_THREADPOOL_SIZE: "4" },
  });
  t.after(() => child.kill("SIGKILL"));
  const reports: Report[] = [];
  let wake = (): void => undefined;
  child.on("message", (message) => {
    reports.push(message as Report);
    wake();
  });
  child.on("exit", () => wake());
  const until = async <T>(what: string, find: () => T | undefined): Promise<T> => {
    for (;;) {
      const found = find();
      if (found !== undefined) return found;
      assert.ok(
        child.exitCode === null && child.signalCode === null,
        `worker ended while waiting for ${what}`,
      );
      await new Promise<void>((resolve, reject) => {
        const timer = globalThis.setTimeout(() => reject(new Error(`waited 30 s for ${what}`)), 30_000);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  };
  const report = <K extends Report["kind"]>(kind: K): Promise<Extract<Report, { kind: K }>> =>
    until(kind, () => reports.find((each): each is Extract<Report, { kind: K }> => each.kind === kind));
  const acked = (): number =>
    reports.reduce((most, each) => (each.kind === "acked" ? Math.max(most, each.operation) : most), 0);
  const failed = (): boolean => reports.some((each) => each.kind === "failed");
  return { child, report, until, acked, failed };
}

test("what a process acknowledged before kill -9 is there afterwards, ten times over", async (t) => {
  const directory = privateDirectory(t);
  let total = 0;
  for (let round = 0; round < 10; round++) {
    const worker = startWorker(t, "append", directory);
    await worker.until("acknowledgements", () => (worker.acked() > total + 5 + round * 7 ? true : undefined));
    const exited = once(worker.child, "exit");
    worker.child.kill("SIGKILL");
    await exited;
    const restored = await readBack(directory);
    assert.equal(restored.recovering, null, `round ${round}: a crash was called a loss`);
    assert.ok(restored.hardState.term >= worker.acked(), `round ${round}: ${worker.acked()} acknowledged`);
    const expected = stateAfter(restored.hardState.term);
    assert.deepEqual(restored.hardState, expected.hardState);
    assert.deepEqual(restored.entries, expected.entries);
    total = restored.hardState.term;
  }
  t.diagnostic(`${total} operations`);
});

test("a directory that another process uses is refused, until that process dies", async (t) => {
  const directory = privateDirectory(t);
  const worker = startWorker(t, "hold", directory);
  await worker.report("open");
  await assert.rejects(readBack(directory), {
    code: "STORAGE_IN_USE",
    message: /in use by another process; stop/,
  });
  // Also when LevelDB's own lock has gone with the log, as it does when a recovery replaces the log.
  renameSync(join(directory, "log"), join(directory, "log.moved"));
  cpSync(join(directory, "log.moved"), join(directory, "log"), { recursive: true });
  await assert.rejects(readBack(directory), { code: "STORAGE_IN_USE" });
  const exited = once(worker.child, "exit");
  worker.child.kill("SIGKILL");
  await exited;
  assert.equal((await readBack(directory)).recovering, null);
});

test("a directory that this process has open already is refused", async (t) => {
  const directory = privateDirectory(t);
  const { storage } = await open(directory);
  await assert.rejects(readBack(directory), { code: "STORAGE_IN_USE" });
  await storage.close();
  await readBack(directory);
});

test("a directory of another cluster or witness is refused, naming both", async (t) => {
  const directory = privateDirectory(t);
  await readBack(directory);
  await assert.rejects(openStorage({ directory, identity: { ...IDENTITY, cluster: "other" } }), {
    code: "STORAGE_OTHER_CLUSTER",
    message: /cluster "acme".*"other".*;/,
  });
  await assert.rejects(openStorage({ directory, identity: { ...IDENTITY, witness: "w2" } }), {
    code: "STORAGE_OTHER_WITNESS",
    message: /witness "w1".*"w2".*;/,
  });
  // The refused openings gave the lock back and changed nothing.
  assert.equal((await readBack(directory)).fresh, false);
});

test("a directory of a newer format is refused, not converted back", async (t) => {
  const directory = privateDirectory(t);
  await readBack(directory);
  const file = join(directory, "identity.json");
  writeFileSync(file, readFileSync(file, "utf8").replace('"format": 2', '"format": 3'));
  await assert.rejects(readBack(directory), {
    code: "STORAGE_NEWER_FORMAT",
    message: /format 3.*up to 2; run/,
  });
});

test("a missing parent and a file in the place of the directory are told apart", async (t) => {
  const root = privateDirectory(t);
  await assert.rejects(readBack(join(root, "not-mounted", "data")), {
    code: "STORAGE_NO_PARENT",
    message: /not-mounted first/,
  });
  writeFileSync(join(root, "file"), "");
  await assert.rejects(readBack(join(root, "file")), { code: "STORAGE_NOT_A_DIRECTORY" });
  await assert.rejects(readBack(join(root, "file", "data")), { code: "STORAGE_NOT_A_DIRECTORY" });
});

test("a creation that was interrupted anywhere is done over", async (t) => {
  const root = privateDirectory(t, "fast");
  const { diskId } = await readBack(join(root, "data"));
  // The identity file comes last, so this is a directory whose creation was cut off before it.
  rmSync(join(root, "data", "identity.json"));
  for (const lost of ["", "mirror.b", "mirror.a", "log/CURRENT", "log"]) {
    rmSync(join(root, "data", lost || "nothing"), { recursive: true, force: true });
    const restored = await readBack(join(root, "data"));
    assert.ok(restored.fresh && restored.diskId !== diskId, `without ${lost}`);
    rmSync(join(root, "data", "identity.json"));
  }
});

/** Mounts a small tmpfs for the test; null (after marking the test as skipped) where that is not possible. */
function mountSmall(t: TestContext, size: string): string | null {
  const point = mkdtempSync(join(tmpdir(), "pointsman-mount-"));
  const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", `size=${size}`, "pointsman-test", point]);
  t.after(() => {
    if (mounted.status === 0) execFileSync("umount", ["--lazy", point]);
    rmdirSync(point);
  });
  if (mounted.status !== 0) {
    const reason = skipUnless(false, "root and the right to mount a tmpfs");
    assert.notEqual(reason, false, `CI must be able to mount: ${String(mounted.stderr)}`);
    t.skip(String(reason));
    return null;
  }
  return point;
}

test("a full disk stops the witness and loses nothing that was acknowledged", async (t) => {
  const point = mountSmall(t, "6m");
  if (point === null) return;
  const directory = join(point, "data");
  const { storage } = await open(directory);
  writeFileSync(join(point, "filler"), new Uint8Array(3 << 20));
  let acked = 0;
  let refusal: unknown = null;
  const payload = "x".repeat(64 << 10);
  while (refusal === null && acked < 100) {
    const write = { hardState: hardState(1, 1, acked), entries: [entry(acked + 1, 1, payload)] };
    await storage.append(write).then(
      () => acked++,
      (thrown: unknown) => {
        refusal = thrown;
      },
    );
  }
  assert.ok(refusal instanceof StorageError && refusal.code === "STORAGE_FULL", String(refusal));
  assert.match(refusal.message, /disk is full; free/);
  rmSync(join(point, "filler"));
  // There is room again (LevelDB needs as much as its log to open), but after a failed write nobody knows
  // what is on the disk: refused until a new start.
  await assert.rejects(storage.append({ hardState: hardState(2, 1, 0), entries: [] }), {
    code: "STORAGE_FULL",
  });
  await storage.close();
  const restored = await readBack(directory);
  assert.ok(
    acked > 5 && restored.entries.length >= acked,
    `${acked} acknowledged, ${restored.entries.length} there`,
  );
  assert.deepEqual([restored.recovering, restored.hardState.term], [null, 1]);
});

test("opening on a full disk is refused as such, and not taken for damage", async (t) => {
  const point = mountSmall(t, "2m");
  if (point === null) return;
  const directory = join(point, "data");
  const { storage } = await open(directory);
  await storage.append({ hardState: hardState(1, 1, 0), entries: entries(1, 50, 1) });
  await storage.close();
  spawnSync("dd", ["if=/dev/zero", `of=${join(point, "filler")}`, "bs=4096"]);
  await assert.rejects(readBack(directory), { code: "STORAGE_FULL" });
  rmSync(join(point, "filler"));
  const restored = await readBack(directory);
  assert.deepEqual([restored.recovering, restored.entries], [null, entries(1, 50, 1)]);
});

test("a read-only file system is refused as such, and not taken for damage", async (t) => {
  const point = mountSmall(t, "4m");
  if (point === null) return;
  const directory = join(point, "data");
  await readBack(directory);
  mkdirSync(join(point, "empty"));
  execFileSync("mount", ["-o", "remount,ro", point]);
  const expected = { code: "STORAGE_READ_ONLY", message: /mounted read-only; mount it read-write/ };
  await assert.rejects(readBack(directory), expected);
  await assert.rejects(readBack(join(point, "new")), expected);
  await assert.rejects(readBack(join(point, "empty")), expected);
  execFileSync("mount", ["-o", "remount,rw", point]);
  assert.equal((await readBack(directory)).recovering, null);
});

test("a directory without permission is refused as such", {
  skip: skipUnless(isRoot, "root, to become another user"),
}, async (t) => {
  const directory = privateDirectory(t);
  await readBack(directory);
  chmodSync(directory, 0o755);
  const child = fork(WORKER, ["open", directory], {
    uid: 65534,
    gid: 65534,
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  const [message] = (await once(child, "message")) as [Report];
  assert.ok(message.kind === "failed" && message.code === "STORAGE_PERMISSION", JSON.stringify(message));
  assert.match(message.message, /permission denied; give the user/);
});

test("a failing sync is fatal, and what was acknowledged before it is there", {
  skip: skipUnless(hasFiu, "fiu-run (fiu-utils)"),
}, async (t) => {
  const directory = join(privateDirectory(t), "data");
  const control = join(privateDirectory(t), "fiu");
  const worker = startWorker(t, "append", directory, ["fiu-run", "-x", "-f", control]);
  const { pid } = await worker.report("open");
  await worker.until("acknowledgements", () => (worker.acked() > 20 ? true : undefined));
  execFileSync("fiu-ctrl", [
    "-c",
    "enable name=posix/io/sync/fdatasync,failinfo=5",
    "-f",
    control,
    String(pid),
  ]);
  const exited = once(worker.child, "exit");
  const failed = await worker.report("failed");
  await exited;
  assert.deepEqual([failed.code, failed.laterCode], ["STORAGE_IO", "STORAGE_IO"], failed.message);
  assert.match(failed.message, /kernel log/);
  const restored = await readBack(directory);
  assert.equal(restored.recovering, null);
  assert.ok(restored.hardState.term >= worker.acked(), `${worker.acked()} acknowledged`);
  assert.deepEqual(restored.entries, stateAfter(restored.hardState.term).entries);
});

// The order of the two syncs is what the proof in judge.ts rests on, and no crash of a process can show it:
// the kernel keeps what was written. So each of the two is made to fail alone, and the append must fail with
// it.
for (const [point, errno, code, what] of [
  ["posix/io/sync/fdatasync", 5, "STORAGE_IO", /cannot write the log/],
  ["posix/io/rw/pwrite", 28, "STORAGE_FULL", /cannot write the mirror of the hard state/],
] as const) {
  test(`no append is acknowledged when ${point} fails`, {
    skip: skipUnless(hasFiu, "fiu-run (fiu-utils)"),
  }, async (t) => {
    const directory = join(privateDirectory(t), "data");
    const control = join(privateDirectory(t), "fiu");
    const worker = startWorker(t, "step", directory, ["fiu-run", "-x", "-f", control]);
    const { pid } = await worker.report("open");
    worker.child.send("go");
    await worker.until("one acknowledgement", () => (worker.acked() === 1 ? true : undefined));
    // Let the mirror settle, so that the next sync is that of the next append.
    await setTimeout(200);
    execFileSync("fiu-ctrl", ["-c", `enable name=${point},failinfo=${errno}`, "-f", control, String(pid)]);
    const exited = once(worker.child, "exit");
    worker.child.send("go");
    await worker.until("an answer", () => (worker.acked() > 1 || worker.failed() ? true : undefined));
    assert.equal(worker.acked(), 1, "acknowledged though it is not durable");
    const failed = await worker.report("failed");
    await exited;
    assert.deepEqual([failed.code, failed.laterCode, worker.acked()], [code, code, 1], failed.message);
    assert.match(failed.message, what);
    const restored = await readBack(directory);
    assert.equal(restored.recovering, null);
    assert.deepEqual(restored.entries, stateAfter(restored.hardState.term).entries);
  });
}
