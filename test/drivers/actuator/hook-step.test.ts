/**
 * Exec hooks: real programs that end well, badly, late, or not at all.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { StepOutcome } from "../../../src/core/model/state.js";
import type { StepDescription } from "../../../src/drivers/actuator/step-context.js";
import { ANY_ROUTE, actuatorOf, configure, directoryOf, order, script } from "./fixture.js";

/** Runs the promote step with that script as its hook. */
async function promote(
  context: TestContext,
  lines: string,
  options: { timeout?: string; attempt?: number } = {},
): Promise<{ outcome: StepOutcome; directory: string; tookMs: number }> {
  const directory = await directoryOf(context);
  const path = await script(directory, "hook", `cd ${directory}\n${lines}`);
  const config = configure(
    `    promote: { exec: [${path}, one, "two words"], timeout: ${options.timeout ?? "10s"} }\n${ANY_ROUTE}`,
  );
  const { actuator } = actuatorOf(context, config);
  const startedAt = performance.now();
  const outcome = await actuator.run(order(config, "promote", { attempt: options.attempt ?? 1 }));
  return { outcome, directory, tookMs: performance.now() - startedAt };
}

async function waitForFile(path: string): Promise<void> {
  for (let tries = 0; tries < 1000 && !existsSync(path); tries++) await sleep(10);
}

async function isGone(pid: number): Promise<boolean> {
  for (let tries = 0; tries < 300; tries++) {
    const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => null);
    if (stat === null || /\) Z /.test(stat)) return true;
    await sleep(10);
  }
  return false;
}

test("a hook gets the facts as environment, as JSON, and its arguments unchanged; nothing of our own environment", async (context) => {
  process.env["POINTSMAN_TEST_SECRET"] = "hunter2";
  context.after(() => delete process.env["POINTSMAN_TEST_SECRET"]);
  const { outcome, directory } = await promote(
    context,
    'env | sort > env; cat > stdin; printf "%s|" "$@" > args; echo promoted',
    { attempt: 3 },
  );
  assert.deepEqual([outcome.kind, outcome.code, outcome.detail], ["done", "ok", "promoted"]);
  const env = await readFile(join(directory, "env"), "utf8");
  const ours = env.split("\n").filter((line) => line.startsWith("POINTSMAN_"));
  assert.deepEqual(ours, [
    "POINTSMAN_ATTEMPT=3",
    "POINTSMAN_CLUSTER=acme",
    "POINTSMAN_EPOCH=7",
    "POINTSMAN_FROM=a",
    "POINTSMAN_GROUP=shop",
    "POINTSMAN_IDEMPOTENCY_KEY=shop:7:promote",
    "POINTSMAN_KIND=failover",
    "POINTSMAN_STEP=promote",
    "POINTSMAN_TO=b",
    "POINTSMAN_WITNESS=w-b",
  ]);
  assert.ok(!env.includes("hunter2"));
  const facts = JSON.parse(await readFile(join(directory, "stdin"), "utf8")) as StepDescription;
  assert.deepEqual(facts, {
    cluster: "acme",
    group: "shop",
    from: "a",
    to: "b",
    epoch: 7,
    step: "promote",
    attempt: 3,
    kind: "failover",
    idempotencyKey: "shop:7:promote",
    witness: "w-b",
    by: "policy",
    reason: 'web of a is down: "refused"\nsaid two of three',
    evidence: ["w-b: refused", "w-c: refused"],
  });
  assert.equal(await readFile(join(directory, "args"), "utf8"), "one|two words|");
});

for (const [lines, kind, code, retriable] of [
  ["exit 0", "done", "ok", false],
  ["exit 1", "failed", "hook_failed", true],
  ["exit 75", "unknown", "hook_tempfail", true],
  ["exit 255", "failed", "hook_failed", true],
  ["kill -KILL $$", "unknown", "hook_killed", true],
] as const) {
  test(`a hook that does "${lines}" is ${kind}, code ${code}`, async (context) => {
    const { outcome } = await promote(context, `echo said; echo more >&2; ${lines}`);
    assert.deepEqual(
      [outcome.kind, outcome.code, outcome.retriable],
      [kind, code, retriable],
      outcome.message,
    );
    assert.match(outcome.detail, /said/);
    assert.match(outcome.detail, /more/);
  });
}

test("a hook that never ends is stopped with its children at its timeout, as unknown", async (context) => {
  const { outcome, directory, tookMs } = await promote(
    context,
    "echo begun; sleep 1000 & echo $! > child.tmp; mv child.tmp child; wait",
    { timeout: "500ms" },
  );
  assert.deepEqual([outcome.kind, outcome.code, outcome.retriable], ["unknown", "hook_timeout", true]);
  assert.match(outcome.detail, /begun/);
  assert.ok(tookMs >= 350 && tookMs < 8000, `${tookMs}`);
  await waitForFile(join(directory, "child"));
  assert.ok(await isGone(Number(await readFile(join(directory, "child"), "utf8"))), "its child lives");
});

test("a hook that ignores SIGTERM is killed", async (context) => {
  const { outcome, tookMs } = await promote(context, "trap '' TERM; while :; do sleep 1; done", {
    timeout: "600ms",
  });
  assert.deepEqual([outcome.kind, outcome.code], ["unknown", "hook_timeout"]);
  assert.ok(tookMs < 8000, `${tookMs}`);
});

test("a hook that says 0 when it is told to end is unknown all the same: it was in the midst of its work", async (context) => {
  const { outcome } = await promote(context, "trap 'exit 0' TERM; while :; do sleep 0.05; done", {
    timeout: "1s",
  });
  assert.deepEqual([outcome.kind, outcome.code], ["unknown", "hook_timeout"]);
});

test("of a hook that writes a megabyte the end is kept, with how much is not", async (context) => {
  const { outcome } = await promote(context, "head -c 1000000 /dev/zero | tr '\\0' x; echo; echo the end");
  assert.equal(outcome.kind, "done");
  const cut = /^\(the first (\d+) of 1000009 bytes of output are not kept\)\n/.exec(outcome.detail);
  assert.ok(cut !== null, outcome.detail.slice(0, 100));
  assert.equal(Number(cut[1]), 1_000_009 - 4096);
  assert.ok(outcome.detail.endsWith("xxx\nthe end"));
  assert.ok(outcome.detail.length < 4300);
});

test("a hook that does not read its input, and leaves a daemon behind, is done", async (context) => {
  const { outcome, directory } = await promote(
    context,
    "exec <&-; sleep 30 >/dev/null 2>&1 & echo $! > daemon; exit 0",
  );
  const pid = Number(await readFile(join(directory, "daemon"), "utf8"));
  context.after(() => process.kill(pid));
  assert.equal(outcome.kind, "done");
  assert.ok(existsSync(`/proc/${pid}`), "its daemon was killed");
});

test("a hook that is no program has failed, and trying again is no use", async (context) => {
  const directory = await directoryOf(context);
  const path = await script(directory, "hook", "exit 0");
  const config = configure(`    announce: [{ exec: [${path}.gone] }]\n${ANY_ROUTE}`);
  const { actuator } = actuatorOf(context, config);
  const outcome = await actuator.run(order(config, "announce"));
  assert.deepEqual([outcome.kind, outcome.code, outcome.retriable], ["failed", "hook_not_started", false]);
  assert.match(outcome.message, /ENOENT/);
});
