/**
 * Commands: whatever a program does, the call comes back in time and leaves nothing running.
 */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { baseEnvironment, type CommandOptions, runCommand } from "../../../src/drivers/exec/run-command.js";

function run(script: string, options: Partial<CommandOptions> = {}) {
  return runCommand({
    command: ["/bin/sh", "-c", script],
    env: baseEnvironment(),
    timeoutMs: 10_000,
    ...options,
  });
}

/** A process that is gone or waits to be reaped. */
function isDead(pid: number): boolean {
  try {
    return /^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return true;
  }
}

async function diesSoon(pid: number): Promise<boolean> {
  for (let i = 0; i < 100 && !isDead(pid); i++) await sleep(20);
  return isDead(pid);
}

describe("run-command", {
  skip: process.platform !== "linux" && process.env["CI"] !== "true" ? "needs Linux" : false,
}, () => {
  let dir = "";
  before(() => {
    dir = mkdtempSync(join(tmpdir(), "pointsman-exec-"));
  });
  after(() => rmSync(dir, { recursive: true, force: true }));

  test("exit code, output of both streams and JSON input come through", async () => {
    const result = await run('read line; echo "got $line"; echo oops >&2; exit 7', {
      stdinJson: { group: "shop" },
    });
    assert.equal(result.exitCode, 7);
    assert.equal(result.timedOut, false);
    assert.equal(result.spawnError, null);
    assert.match(result.output, /got \{"group":"shop"\}/);
    assert.match(result.output, /oops/);
  });

  test("only the environment that was handed in is seen", async () => {
    process.env["POINTSMAN_TEST_SECRET"] = "hunter2";
    try {
      const result = await run("env", { env: baseEnvironment({ POINTSMAN_STEP: "fence" }) });
      assert.match(result.output, /POINTSMAN_STEP=fence/);
      assert.doesNotMatch(result.output, /hunter2/);
    } finally {
      delete process.env["POINTSMAN_TEST_SECRET"];
    }
  });

  test("arguments reach the program without a shell between", async () => {
    const result = await runCommand({
      command: ["printf", "%s|", "$(id)", "a b", ";"],
      env: baseEnvironment(),
      timeoutMs: 10_000,
    });
    assert.equal(result.output, "$(id)|a b|;|");
  });

  test("a program that does not exist is a spawn error, not an exit", async () => {
    const result = await runCommand({ command: ["/nonexistent/hook"], env: {}, timeoutMs: 10_000 });
    assert.equal(result.spawnError?.code, "ENOENT");
    assert.equal(result.exitCode, null);
    const odd = await runCommand({ command: ["a\0b"], env: {}, timeoutMs: 10_000 });
    assert.notEqual(odd.spawnError, null);
    const empty = await runCommand({ command: [], env: {}, timeoutMs: 10_000 });
    assert.equal(empty.spawnError?.code, "EINVAL");
  });

  test("a hook that ignores SIGTERM and forks grandchildren is killed with all of them in time", async () => {
    const pidFile = join(dir, "grandchild");
    const startedAt = performance.now();
    const result = await run(
      `trap '' TERM; (trap '' TERM; sh -c 'echo $$ > ${pidFile}; while :; do sleep 1; done') & while :; do sleep 1; done`,
      { timeoutMs: 600, graceMs: 200 },
    );
    assert.equal(result.timedOut, true);
    assert.equal(result.signal, "SIGKILL");
    assert.ok(performance.now() - startedAt < 3000, "came back late");
    assert.ok(await diesSoon(Number(readFileSync(pidFile, "utf8"))), "the grandchild lives on");
  });

  test("a hook that heeds SIGTERM may clean up before the time ends", async () => {
    const result = await run("trap 'echo cleaned; exit 3' TERM; while :; do sleep 0.05; done", {
      timeoutMs: 5000,
      graceMs: 4500,
    });
    assert.match(result.output, /cleaned/);
    assert.equal(result.exitCode, 3);
    assert.equal(result.timedOut, true);
  });

  test("a grandchild that holds the output open does not hold up the result", async () => {
    const pidFile = join(dir, "daemon");
    const startedAt = performance.now();
    const result = await run(`sleep 30 & echo $! > ${pidFile}; echo started`, { timeoutMs: 20_000 });
    assert.equal(result.exitCode, 0);
    assert.match(result.output, /started/);
    assert.ok(performance.now() - startedAt < 5000, "waited for the grandchild");
    const pid = Number(readFileSync(pidFile, "utf8"));
    assert.equal(isDead(pid), false, "a hook's daemon was killed");
    process.kill(pid, "SIGKILL");
  });

  test("what a probe leaves running is killed when asked", async () => {
    const pidFile = join(dir, "leftover");
    await run(`sleep 30 & echo $! > ${pidFile}`, { leftovers: "kill" });
    assert.ok(await diesSoon(Number(readFileSync(pidFile, "utf8"))));
  });

  test("an abort ends it, and an abort from before means that it never starts", async () => {
    const controller = new AbortController();
    const pending = run("sleep 30", { signal: controller.signal, timeoutMs: 20_000 });
    setTimeout(() => controller.abort(), 100);
    const result = await pending;
    assert.equal(result.aborted, true);
    assert.equal(result.timedOut, false);
    const mark = join(dir, "never");
    const never = await run(`touch ${mark}`, { signal: AbortSignal.abort() });
    assert.equal(never.aborted, true);
    assert.equal(existsSync(mark), false);
  });

  test("endless output keeps its end only, whole characters, and no memory", async () => {
    const result = await run("head -c 30000000 /dev/zero | tr '\\0' 'x'; printf 'ééé'; echo end", {
      outputLimit: 10,
    });
    assert.equal(result.outputCut, true);
    assert.ok(Buffer.byteLength(result.output) <= 10);
    assert.match(result.output, /^x*é+end\n$/);
  });

  test("a command that does not read a large input does not break the witness", async () => {
    const result = await run("exit 0", { stdinJson: "x".repeat(1_000_000) });
    assert.equal(result.exitCode, 0);
  });
});
