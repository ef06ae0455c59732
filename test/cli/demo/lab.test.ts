/**
 * The demo's processes: what happens to them, and to us, when the demo does not go to its end.
 */
import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Lab } from "../../../src/cli/demo/lab.js";

const ENTRY = fileURLToPath(new URL("../../../src/cli/main.js", import.meta.url));

/** `pointsman demo --script` with a temporary directory of its own. */
function demo(t: TestContext) {
  const directory = mkdtempSync(join(tmpdir(), "pointsman-test-"));
  const child = fork(ENTRY, ["demo", "--script"], {
    stdio: ["ignore", "pipe", "pipe", "ipc"],
    env: { ...process.env, TMPDIR: directory },
  });
  t.after(() => {
    child.kill("SIGKILL");
    rmSync(directory, { recursive: true, force: true });
  });
  const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
  return { child, directory, ended };
}

test("a demo that is interrupted ends then, and not when what it waits for would have been late", async (t) => {
  const { child, directory, ended } = demo(t);
  await new Promise<void>((resolve) => {
    let said = "";
    child.stdout?.on("data", (chunk: Buffer) => {
      said += chunk.toString();
      if (said.includes("Act 1")) resolve();
    });
  });
  const askedAt = performance.now();
  child.kill("SIGINT");
  assert.equal(await ended, 5);
  // What was waited for has 20 s; stopping three witnesses takes one or two.
  const tookMs = performance.now() - askedAt;
  assert.ok(tookMs < 12_000, `it took ${Math.round(tookMs)} ms`);
  assert.deepEqual(readdirSync(directory), []);
});

test("a lab that cannot start leaves neither processes nor a directory behind", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "pointsman-test-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const { TMPDIR, NODE_OPTIONS } = process.env;
  // Every process that it starts dies at once.
  Object.assign(process.env, { TMPDIR: directory, NODE_OPTIONS: "--no-such-option" });
  try {
    await assert.rejects(Lab.start(), /did not start/);
  } finally {
    for (const [name, value] of Object.entries({ TMPDIR, NODE_OPTIONS })) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
  assert.deepEqual(readdirSync(directory), []);
});
