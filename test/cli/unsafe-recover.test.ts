/**
 * What `pointsman unsafe-recover` makes of the end of a log: entries that may have been decided stay, unless they are
 * to be dropped; the old directory is kept to the byte. Real processes are in test/e2e/restore.test.ts.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, it } from "node:test";
import { fileURLToPath } from "node:url";
import { parse, stringify } from "yaml";
import { logIndex, NO_NODE, nodeId, term } from "../../src/core/base/ids.js";
import { encodeEnvelope } from "../../src/core/model/command.js";
import { PLACES_LEFT_OUT } from "../../src/core/model/restored.js";
import type { Entry } from "../../src/core/raft/types.js";
import { openStorage, type Restored } from "../../src/drivers/storage/storage.js";
import { W, withPrimary } from "../core/model/fixture.js";

const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));
const EXAMPLE = fileURLToPath(
  new URL("../../../examples/two-sites-and-cloud-witness/pointsman.yaml", import.meta.url),
);
const IDENTITY = { cluster: "test", witness: W[1] };
const directory = mkdtempSync(join(tmpdir(), "pointsman-recover-"));
const config = join(directory, "pointsman.yaml");
const laid = join(directory, "laid");
const log = withPrimary();

async function recover(data: string, ...flags: string[]): Promise<{ exit: number | null; stderr: string }> {
  const words = [
    "unsafe-recover",
    "--data",
    data,
    "--witness",
    "w-b",
    "--config",
    config,
    "--cluster",
    "test",
  ];
  const child = spawn(process.execPath, [MAIN, ...words, ...flags], { stdio: ["ignore", "ignore", "pipe"] });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const [exit] = (await once(child, "close")) as [number | null];
  return { exit, stderr };
}

async function readBack(data: string): Promise<Restored> {
  const { storage, restored } = await openStorage({ directory: data, identity: IDENTITY });
  await storage.close();
  return restored;
}

before(async () => {
  log.must({ kind: "hold", group: "shop", by: "anna", reason: "not known to be decided" });
  const entries = log.envelopes.map(
    (envelope, at): Entry => ({
      type: "EntryNormal",
      term: term(4),
      index: logIndex(at + 1),
      data: encodeEnvelope(envelope),
    }),
  );
  const { storage } = await openStorage({ directory: laid, identity: IDENTITY });
  await storage.adopt({ node: nodeId(2), bootstrap: [...W] });
  const commit = logIndex(entries.length - 1);
  await storage.append({ hardState: { term: term(6), vote: NO_NODE, commit }, entries, snapshot: null });
  await storage.close();
  const document = parse(readFileSync(EXAMPLE, "utf8")) as { witnesses: Record<string, unknown> };
  const witnesses = { "w-b": document.witnesses["w-b"] };
  writeFileSync(config, stringify({ ...document, cluster: "test", version: 2, witnesses }));
});

after(() => rmSync(directory, { recursive: true, force: true }));

for (const committedOnly of [false, true]) {
  const what = committedOnly ? "drops them when told to" : "keeps entries that may have been decided";
  it(`${what}, under its own node on a new disk, above every term that it saw`, async () => {
    const data = join(directory, committedOnly ? "committed" : "all");
    cpSync(laid, data, { recursive: true });
    const ended = await recover(data, "--i-accept-data-loss", ...(committedOnly ? ["--committed-only"] : []));
    assert.equal(ended.exit, 0, ended.stderr);
    assert.match(ended.stderr, /1 entries after that may have been decided or not/);
    const last = log.state.appliedIndex - (committedOnly ? 1 : 0);
    const { snapshot, adopted, diskId, hardState } = await readBack(data);
    assert.equal(snapshot?.index, last + PLACES_LEFT_OUT);
    assert.deepEqual([snapshot?.term, hardState.term], [7, 7]);
    assert.deepEqual(snapshot?.confState.voters, [2]);
    assert.deepEqual(adopted, { node: 2, bootstrap: [] });
    const group = snapshot?.data.groups["shop"];
    assert.equal(group?.mode, "hold");
    assert.equal(group?.holdReason?.includes("anna"), !committedOnly);
    assert.equal(group?.holdReason?.includes("1 entries dropped"), committedOnly);
    assert.notEqual(diskId, (await readBack(`${data}.before-recover`)).diskId);
    assert.ok(!readdirSync(directory).some((name) => name.endsWith("-copy") || name.endsWith(".recovering")));
  });
}

it("refuses a place without a data directory, and an older document", async () => {
  const nowhere = await recover(join(directory, "nowhere"), "--i-accept-data-loss");
  assert.equal(nowhere.exit, 74, nowhere.stderr);
  assert.match(nowhere.stderr, /\[recover_no_data\]/);
  writeFileSync(config, readFileSync(config, "utf8").replace("version: 2", "version: 1"));
  const stale = await recover(laid, "--i-accept-data-loss");
  assert.equal(stale.exit, 78, stale.stderr);
  assert.match(stale.stderr, /\[restore_version\]/);
});
