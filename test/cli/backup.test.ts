/**
 * `pointsman backup` and `restore` as child processes: whole or refused, and what is restored is what was decided.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { readBackup } from "../../src/cli/backup-file.js";
import { witnessId } from "../../src/core/base/ids.js";
import { PLACES_LEFT_OUT } from "../../src/core/model/restored.js";
import { HISTORY_MAX } from "../../src/core/model/state.js";
import { type AdminServer, startAdminServer } from "../../src/drivers/server/admin.js";
import { openStorage } from "../../src/drivers/storage/storage.js";
import { withPrimary } from "../core/model/fixture.js";
import { record, SampleBackend, SILENT_LOG } from "../drivers/server/admin-samples.js";

const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));
const EXAMPLE = fileURLToPath(
  new URL("../../../examples/two-sites-and-cloud-witness/pointsman.yaml", import.meta.url),
);

interface Ended {
  readonly exit: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

async function run(args: readonly string[]): Promise<Ended> {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  const output = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (text: string) => {
      output[name] += text;
    });
  }
  const [exit] = (await once(child, "close")) as [number | null];
  return { exit, ...output };
}

describe("backup and restore", () => {
  const directory = mkdtempSync(join(tmpdir(), "pointsman-backup-"));
  const file = join(directory, "state.pmbackup");
  const config = join(directory, "pointsman.yaml");
  const backend = new SampleBackend();
  let server: AdminServer;
  let address: string;

  before(async () => {
    const log = withPrimary();
    log.must({ kind: "hold", group: "shop", by: "anna", reason: "maintenance" });
    const history = Array.from({ length: HISTORY_MAX }, (_, i) => ({
      ...record(i + 1, 0),
      detail: ["x".repeat(500)],
    }));
    backend.replicated = { ...log.state, history };
    const document = readFileSync(EXAMPLE, "utf8").replace(/^version: *\d+/m, "version: 7");
    writeFileSync(config, document);
    server = await startAdminServer({
      address: "127.0.0.1:0",
      backend,
      log: SILENT_LOG,
      version: "0.1.0",
    });
    address = `127.0.0.1:${server.port}`;
  });

  after(async () => {
    await server.close(0);
    rmSync(directory, { recursive: true, force: true });
  });

  it("writes the whole state, confirmed by a majority, and leaves nothing but the file", async () => {
    const ended = await run(["backup", "--out", file, "-a", address, "--json"]);
    assert.equal(ended.exit, 0, ended.stderr);
    assert.deepEqual(backend.requests.at(-1), { kind: "status", linearizable: true });
    const told = JSON.parse(ended.stdout) as { index: number; sha256: string; bytes: number };
    const backup = await readBackup(file);
    assert.deepEqual(backup.state, backend.replicated);
    assert.equal(told.index, backend.replicated.appliedIndex);
    assert.equal(told.sha256, backup.sha256);
    assert.equal(told.bytes, readFileSync(file).length);
    assert.ok(told.bytes > 1_000_000, "more than one part");
    assert.deepEqual(
      readdirSync(directory).filter((name) => name.includes("part")),
      [],
    );
  });

  it("does not write over a file, unless it is told to", async () => {
    const first = readFileSync(file);
    const refused = await run(["backup", "--out", file, "-a", address]);
    assert.equal(refused.exit, 1, refused.stderr);
    assert.match(refused.stderr, /backup_exists/);
    assert.deepEqual(readFileSync(file), first);
    const forced = await run(["backup", "--out", file, "-a", address, "--force"]);
    assert.equal(forced.exit, 0, forced.stderr);
  });

  it("writes nothing when no majority confirms, and ends as a read does", async () => {
    const answer = backend.answer;
    backend.answer = () => ({ kind: "refused", code: "no_leader", message: "alone", leader: null });
    const other = join(directory, "other");
    const ended = await run(["backup", "--out", other, "-a", address]);
    backend.answer = answer;
    assert.equal(ended.exit, 3, ended.stderr);
    assert.match(ended.stderr, /no_leader/);
    assert.ok(!readdirSync(directory).includes("other"));
  });

  it("finds each flipped byte and each cut of the file", async () => {
    const whole = readFileSync(file);
    const damaged = join(directory, "damaged");
    for (let i = 0; i < 60; i++) {
      const bytes = Buffer.from(whole);
      const at = Math.floor((i / 60) * bytes.length);
      bytes[at] = (bytes[at] ?? 0) ^ 4;
      writeFileSync(damaged, i % 2 === 0 ? bytes : whole.subarray(0, at));
      await assert.rejects(readBackup(damaged), { code: "backup_damaged" }, `at ${at}`);
    }
  });

  it("makes a directory that holds what was decided, for the witnesses of the document", async () => {
    const data = join(directory, "w-b");
    const words = ["restore", "--from", file, "--config", config, "--witness", "w-b", "--data", data];
    const ended = await run(words);
    assert.equal(ended.exit, 0, ended.stderr);
    const cluster = /^cluster: *(\S+)/m.exec(readFileSync(config, "utf8"))?.[1] ?? "";
    const identity = { cluster, witness: witnessId("w-b") };
    const { storage, restored } = await openStorage({ directory: data, identity });
    await storage.close();
    const { replicated } = backend;
    const state = restored.snapshot?.data;
    const place = replicated.appliedIndex + PLACES_LEFT_OUT;
    assert.deepEqual(
      [restored.snapshot?.index, restored.snapshot?.term, restored.hardState.commit],
      [place, replicated.appliedTerm + 1, place],
    );
    assert.equal(restored.adopted?.node, 2);
    assert.deepEqual(restored.snapshot?.confState.voters, [1, 2, 3]);
    const [before, now] = [replicated.groups["shop"], state?.groups["shop"]];
    assert.deepEqual([now?.ticket, now?.plan], [before?.ticket, before?.plan]);
    assert.equal(now?.lastEpoch, (before?.lastEpoch ?? 0) + 1000);
    assert.match(now?.holdReason ?? "", /restored from the backup of .*\(held before by anna: maintenance\)/);
    const told = state?.history.slice(-2) ?? [];
    assert.deepEqual(
      told.map(({ index, kind, group, seq }) => [index - place, kind, group, seq]),
      [
        [0, "note", null, 0],
        [0, "hold", "shop", 1],
      ],
    );
    assert.deepEqual(state?.history.slice(0, -2), replicated.history.slice(2));
    assert.deepEqual(
      state?.members.map(({ witness, node, role, disk }) => [witness, node, role, disk]),
      ["w-a", "w-b", "w-c"].map((id, i) => [id, i + 1, "voter", null]),
    );
    const again = await run(words);
    assert.equal(again.exit, 74, again.stderr);
    assert.match(again.stderr, /restore_not_empty/);
  });

  it("refuses a document that is not newer than the backup or has its name, and a witness that is not in it", async () => {
    const old = join(directory, "old.yaml");
    writeFileSync(old, readFileSync(config, "utf8").replace("version: 7", "version: 1"));
    const data = join(directory, "refused");
    const clusterOfBackup = (await readBackup(file)).header.cluster;
    mkdirSync(data);
    const words = ["restore", "--from", file, "--data", data];
    const stale = await run([...words, "--config", old, "--witness", "w-a"]);
    assert.equal(stale.exit, 78, stale.stderr);
    assert.match(stale.stderr, /restore_version/);
    const same = join(directory, "same.yaml");
    writeFileSync(same, readFileSync(config, "utf8").replace(/^cluster: .*/m, `cluster: ${clusterOfBackup}`));
    const twin = await run([...words, "--config", same, "--witness", "w-a"]);
    assert.equal(twin.exit, 78, twin.stderr);
    assert.match(twin.stderr, /restore_cluster/);
    const stranger = await run([...words, "--config", config, "--witness", "w-x"]);
    assert.equal(stranger.exit, 78, stranger.stderr);
    assert.deepEqual(readdirSync(data), []);
  });
});
