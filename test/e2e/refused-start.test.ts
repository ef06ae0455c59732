/**
 * A witness that cannot work says so in one line with a stable code, ends with the exit code that
 * docs/errors.md gives, and does so before it promised anything to anybody.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { Cluster, COMMAND } from "./cluster.js";
import { LOOPBACK } from "./machine.js";
import { mountSmallDisk } from "./small-disk.js";
import { until } from "./until.js";

/** What `pointsman run` came to. */
interface Start {
  readonly exit: number | null;
  /** Lines of level error and fatal. */
  readonly complaints: readonly Record<string, unknown>[];
  readonly output: string;
}

const PATIENCE_MS = 60_000;

/** Runs a witness that is expected to end by itself. */
async function run(config: string, witness: string, data: string): Promise<Start> {
  const child = spawn(
    process.execPath,
    [COMMAND, "run", "--config", config, "--witness", witness, "--data", data],
    { stdio: ["ignore", "pipe", "pipe"] },
  );
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => {
      output += chunk.toString("utf8");
    });
  }
  const timer = setTimeout(() => child.kill("SIGKILL"), PATIENCE_MS);
  const [exit] = (await once(child, "close")) as [number | null];
  clearTimeout(timer);
  const lines = output.split("\n").filter((line) => line !== "");
  const complaints = lines
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter(({ level }) => level === "error" || level === "fatal");
  return { exit, complaints, output };
}

/** One complaint, with that code, in words that match. */
function expectRefused(start: Start, exit: number, code: string, words: RegExp): void {
  assert.equal(start.exit, exit, start.output);
  assert.equal(start.complaints.length, 1, start.output);
  assert.equal(start.complaints[0]?.["code"], code);
  assert.match(String(start.complaints[0]?.["msg"]), words);
}

/** A document of three witnesses of which none runs. */
async function idle(t: TestContext): Promise<Cluster> {
  const machines = { "w-a": LOOPBACK, "w-b": LOOPBACK, "w-c": LOOPBACK };
  const cluster = await Cluster.start({
    machines,
    embeddedDns: true,
    startWitnesses: false,
    startServices: false,
  });
  t.after(() => cluster.destroy());
  return cluster;
}

test("a port that is in use is named, whichever it is", { timeout: 300_000 }, async (t) => {
  const cluster = await idle(t);
  const { peer, admin, dns, data } = cluster.place("w-a");
  for (const [address, code] of [
    [peer, "TRANSPORT_PORT_IN_USE"],
    [admin, "admin_port_in_use"],
    [dns ?? "", "dns_listen_in_use"],
  ] as const) {
    const port = Number(address.split(":")[1]);
    const other = createServer().listen(port, "127.0.0.1");
    await once(other, "listening");
    try {
      const start = await run(cluster.configFile, "w-a", data);
      expectRefused(start, 69, code, new RegExp(`${port}`));
    } finally {
      other.close();
    }
  }
});

test("a data directory that is not its own is refused and left as it is", { timeout: 300_000 }, async (t) => {
  const cluster = await idle(t);
  const { data } = cluster.place("w-a");
  await cluster.startWitness("w-a");
  await until("w-a runs", () => cluster.status("w-a"));

  await t.test("in use by another process", async () => {
    expectRefused(await run(other(cluster), "w-b", data), 74, "STORAGE_IN_USE", /in use/);
    assert.ok(cluster.isRunning("w-a"), "the one that has it goes on");
  });
  await cluster.stop("w-a");
  await t.test("of another witness", async () => {
    const start = await run(cluster.configFile, "w-b", data);
    expectRefused(start, 74, "STORAGE_OTHER_WITNESS", /w-a/);
  });
  await t.test("of another cluster", async () => {
    const start = await run(other(cluster), "w-a", data);
    expectRefused(start, 74, "STORAGE_OTHER_CLUSTER", /e2e/);
  });
  await t.test("and it is still w-a's", async () => {
    await cluster.startWitness("w-a");
    await until("w-a runs again", () => cluster.status("w-a"));
  });
});

/** The same document under another cluster's name. */
function other(cluster: Cluster): string {
  const file = join(cluster.directory, "other.yaml");
  writeFileSync(file, readFileSync(cluster.configFile, "utf8").replace("cluster: e2e", "cluster: other"));
  return file;
}

test("a read-only disk and a full one are named", { timeout: 300_000 }, async (t) => {
  const cluster = await idle(t);
  const readOnly = mountSmallDisk(t, "4m");
  const full = mountSmallDisk(t, "1m");
  if (readOnly === null || full === null) return;
  mkdirSync(join(readOnly.path, "data"));
  readOnly.readOnly();
  const first = await run(cluster.configFile, "w-a", join(readOnly.path, "data"));
  expectRefused(first, 74, "STORAGE_READ_ONLY", /read-only/);
  full.fill(0);
  const second = await run(cluster.configFile, "w-a", join(full.path, "data"));
  expectRefused(second, 74, "STORAGE_FULL", /full/);
});

test("a document that cannot be used, and a witness that it does not name, end with 78", {
  timeout: 300_000,
}, async (t) => {
  const cluster = await idle(t);
  const { data } = cluster.place("w-a");
  expectRefused(await run(cluster.configFile, "w-x", data), 78, "unknown_witness", /w-a, w-b, w-c/);
  const broken = join(cluster.directory, "broken.yaml");
  writeFileSync(broken, readFileSync(cluster.configFile, "utf8").replace("cluster:", "clutser:"));
  const start = await run(broken, "w-a", data);
  assert.equal(start.exit, 78, start.output);
  assert.match(start.output, /Did you mean `cluster`/);
  assert.match(start.output, /broken\.yaml:1/);
});
