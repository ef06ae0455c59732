/**
 * `pointsman run` as a real process of one witness: how it ends when something is in its way, and what the
 * other verbs say of it while it lives.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, it } from "node:test";
import { fileURLToPath } from "node:url";
import { until } from "../drivers/server/admin-samples.js";

const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));
const PATIENCE_MS = 30_000;

let directory: string;
const children = new Set<ChildProcess>();

before(async () => {
  directory = await mkdtemp(join(tmpdir(), "pointsman-run-test-"));
});

afterEach(() => {
  for (const child of children) child.kill("SIGKILL");
});

after(() => rm(directory, { recursive: true, force: true }));

function start(args: readonly string[]) {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  children.add(child);
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  const exit = new Promise<number | null>((resolve) => {
    child.on("close", (code) => {
      children.delete(child);
      resolve(code);
    });
  });
  return { child, exit, output: () => output };
}

async function listen(): Promise<{ port: number; server: Server }> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const bound = server.address();
  assert.ok(bound !== null && typeof bound === "object");
  return { port: bound.port, server };
}

/** A document of one witness, in a file; `admin` is its port. */
async function document(name: string): Promise<{ file: string; data: string; admin: number }> {
  const taken = [await listen(), await listen(), await listen()];
  const [peer, admin, target] = taken.map(({ port }) => port);
  for (const { server } of taken) await new Promise((resolve) => server.close(resolve));
  assert.ok(admin !== undefined);
  const file = join(directory, `${name}.yaml`);
  await writeFile(
    file,
    `cluster: run-test
version: 1
witnesses:
  w1: { peer: "127.0.0.1:${peer}", admin: "127.0.0.1:${admin}" }
sites: [a, b]
timings: { profile: fast }
groups:
  shop:
    mode: hold
    sites:
      a: { targets: { web: { tcp: "127.0.0.1:${target}" } } }
      b: { targets: { web: { tcp: "127.0.0.1:${target}" } } }
`,
  );
  return { file, data: join(directory, `${name}-data`), admin };
}

it("exits 78 for a document with errors and for a witness that is not in it, and names both", async () => {
  const { file, data } = await document("errors");
  const stranger = start(["run", "--config", file, "--witness", "w9", "--data", data]);
  const missing = start(["run", "--config", `${file}.nope`, "--witness", "w1", "--data", data]);
  assert.equal(await stranger.exit, 78, stranger.output());
  assert.match(stranger.output(), /w9.*w1/);
  assert.equal(await missing.exit, 78, missing.output());
  assert.match(missing.output(), /does not exist/);
});

it("exits 69 when its admin port is taken, and names port and remedy", async () => {
  const { file, data, admin } = await document("port");
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(admin, "127.0.0.1", resolve));
  const run = start(["run", "--config", file, "--witness", "w1", "--data", data]);
  assert.equal(await run.exit, 69, run.output());
  taken.close();
  assert.match(run.output(), new RegExp(`admin_port_in_use.*127\\.0\\.0\\.1:${admin}`));
  for (const line of run.output().trim().split("\n")) assert.doesNotThrow(() => JSON.parse(line), line);
});

it("exits 74 when its data directory is a file", async () => {
  const { file } = await document("disk");
  const run = start(["run", "--config", file, "--witness", "w1", "--data", file]);
  assert.equal(await run.exit, 74, run.output());
  assert.match(run.output(), /STORAGE_NOT_A_DIRECTORY/);
});

it("answers status, explain and hold while it lives, and ends with 0 on SIGTERM", async () => {
  const { file, data, admin } = await document("lives");
  const run = start(["run", "--config", file, "--witness", "w1", "--data", data]);
  const ask = async (...args: string[]) => {
    const asked = start([...args, "-a", `127.0.0.1:${admin}`, "--timeout", "20s"]);
    return { exit: await asked.exit, output: asked.output() };
  };
  await until("it listens", () => run.output().includes("witness started"), PATIENCE_MS);
  let leads = false;
  for (let attempt = 0; !leads && attempt < 50; attempt++) {
    const status = await ask("status", "--linearizable");
    leads = status.exit === 0 && status.output.includes("GROUP shop");
  }
  assert.ok(leads, run.output());
  const hold = await ask("hold", "shop", "--reason", "disk swap", "--by", "anna");
  assert.equal(hold.exit, 0, hold.output);
  const explain = await ask("explain", "shop");
  assert.equal(explain.exit, 0, explain.output);
  assert.match(explain.output, /on hold[^\n]*disk swap/);
  assert.equal((await ask("switchover", "shop", "--to", "c")).exit, 1);
  const history = await ask("history", "shop", "--json");
  assert.match(history.output, /"kind":"hold"/);
  run.child.kill("SIGTERM");
  assert.equal(await run.exit, 0, run.output());
});

it("ends in good order when its terminal goes away, as on SIGTERM", async () => {
  const { file, data } = await document("hangup");
  const run = start(["run", "--config", file, "--witness", "w1", "--data", data]);
  await until("it listens", () => run.output().includes("witness started"), PATIENCE_MS);
  run.child.kill("SIGHUP");
  assert.equal(await run.exit, 0, run.output());
  assert.match(run.output(), /stopping: SIGHUP/);
});
