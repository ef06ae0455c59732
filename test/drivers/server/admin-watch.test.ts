/**
 * Watches over real gRPC: nothing is lost or told twice over a resume, slow clients are let go with the place to resume
 * from, and no subscription outlives its client.
 */
import assert from "node:assert/strict";
import { afterEach, beforeEach, it } from "node:test";
import { Client, type ClientReadableStream, credentials, type ServiceError, status } from "@grpc/grpc-js";
import { siteId, term } from "../../../src/core/base/ids.js";
import type { AuditRecord } from "../../../src/core/model/state.js";
import { type AdminServer, startAdminServer } from "../../../src/drivers/server/admin.js";
import { type AdminConnection, connectAdmin } from "../../../src/drivers/server/admin-client.js";
import type { WireObject } from "../../../src/drivers/server/admin-codec.js";
import { adminMethod } from "../../../src/drivers/server/admin-proto.js";
import type { Place } from "../../../src/drivers/server/admin-requests.js";
import { WATCH_QUEUE_MAX } from "../../../src/drivers/server/admin-watch.js";
import type { WatchMessage } from "../../../src/drivers/server/admin-wire.js";
import { record, SampleBackend, SILENT_LOG, until, W2 } from "./admin-samples.js";

let backend: SampleBackend;
let server: AdminServer;
let connection: AdminConnection;

beforeEach(async () => {
  backend = new SampleBackend();
  server = await startAdminServer({ address: "127.0.0.1:0", backend, log: SILENT_LOG, version: "0.1.0" });
  connection = await connectAdmin(`127.0.0.1:${server.port}`, 30_000);
});

afterEach(async () => {
  connection.close();
  await server.close(0);
  assert.equal(backend.listeners.size, 0, "a subscription outlived its server");
});

interface Watching {
  readonly messages: WatchMessage[];
  /** (index, seq) of the audit records so far. */
  places(): string[];
  stop(): void;
  readonly ended: Promise<unknown>;
}

function watch(since: Place | null, group: string | null = null): Watching {
  const messages: WatchMessage[] = [];
  const abort = new AbortController();
  const stream = connection.watch({ group, since }, abort.signal);
  const ended = (async () => {
    for (;;) {
      const next = await stream.next();
      if (next.done === true) return next.value;
      messages.push(next.value);
    }
  })().catch((error: unknown) => error);
  return {
    messages,
    places: () =>
      messages.flatMap((message) =>
        message.kind === "audit" ? [`${message.record.index}.${message.record.seq}`] : [],
      ),
    stop: () => abort.abort(),
    ended,
  };
}

it("starts with where it stands and then tells what happens, of every kind", async () => {
  backend.records = [record(7, 0), record(7, 1)];
  const watching = watch(null);
  await until("it started", () => watching.messages.length === 1);
  backend.append(record(8, 0));
  backend.publish({ kind: "role", term: term(8), role: "leader", leader: W2 });
  backend.publish({ kind: "routed", group: "shop", site: siteId("lyon") });
  backend.publish({ kind: "warning", code: "stall", message: "this process stood still for 4 s" });
  await until("all arrived", () => watching.messages.length === 5);
  assert.deepEqual(watching.messages, [
    { kind: "started", afterIndex: 7, afterSeq: 1, truncatedBeforeIndex: null },
    { kind: "audit", record: record(8, 0) },
    { kind: "role", term: 8, role: "leader", leader: W2 },
    { kind: "routed", group: "shop", site: "lyon" },
    { kind: "warning", code: "stall", message: "this process stood still for 4 s" },
  ]);
  watching.stop();
  assert.equal(await watching.ended, null);
});

it("resumes in the middle of an index without losing or repeating a record", async () => {
  backend.records = [record(7, 0), record(7, 1), record(7, 2), record(8, 0)];
  const fromSeq = watch({ index: 7, seq: 0 });
  const fromIndex = watch({ index: 7, seq: null });
  await until("the backlog is there", () => fromSeq.places().length === 3 && fromIndex.places().length === 1);
  assert.deepEqual(fromSeq.places(), ["7.1", "7.2", "8.0"]);
  assert.deepEqual(fromIndex.places(), ["8.0"]);
  fromSeq.stop();
  fromIndex.stop();
});

it("does not tell again what a restarted witness publishes while it replays its log", async () => {
  backend.records = [record(5, 0), record(6, 0)];
  const watching = watch({ index: 5, seq: 0 });
  await until("the backlog is there", () => watching.places().length === 1);
  for (const again of [record(4, 0), record(5, 0), record(6, 0)])
    backend.publish({ kind: "audit", record: again });
  backend.append(record(9, 0));
  await until("the new one is there", () => watching.places().includes("9.0"));
  assert.deepEqual(watching.places(), ["6.0", "9.0"]);
  watching.stop();
});

it("waits for the place to be reached when it asks a witness that lags behind", async () => {
  backend.records = [record(5, 0)];
  const watching = watch({ index: 8, seq: 0 });
  await until("it started", () => watching.messages.length === 1);
  backend.append(record(7, 0), record(8, 0), record(8, 1));
  await until("the new one is there", () => watching.places().length === 1);
  assert.deepEqual(watching.places(), ["8.1"]);
  watching.stop();
});

it("tells only what concerns the group when asked to", async () => {
  backend.records = [record(1, 0, "other"), record(2, 0), record(3, 0, null)];
  const watching = watch({ index: 0, seq: null }, "shop");
  await until("it started", () => watching.messages.length === 2);
  backend.append(record(4, 0, "other"), record(5, 0, null), record(6, 0));
  backend.publish({ kind: "routed", group: "other", site: siteId("lyon") });
  backend.publish({ kind: "role", term: term(8), role: "leader", leader: W2 });
  backend.append(record(7, 0));
  await until("all arrived", () => watching.places().includes("7.0"));
  assert.deepEqual(watching.places(), ["2.0", "6.0", "7.0"]);
  assert.equal(watching.messages.length, 4);
  watching.stop();
});

it("says first that the records asked for are gone, and which is the oldest", async () => {
  backend.records = Array.from({ length: 2000 }, (_, at) => record(at + 501, 0));
  const gone = watch({ index: 100, seq: null });
  await until("the whole backlog is there", () => gone.places().length === 2000);
  assert.deepEqual(gone.messages[0], {
    kind: "started",
    afterIndex: 100,
    afterSeq: null,
    truncatedBeforeIndex: 501,
  });
  const kept = watch({ index: 2499, seq: 0 });
  await until("the last record is there", () => kept.places().length === 1);
  assert.equal(kept.messages[0]?.kind === "started" && kept.messages[0].truncatedBeforeIndex, null);
  gone.stop();
  kept.stop();
});

it("leaves no subscription behind when the client goes away in mid-stream", async () => {
  backend.records = Array.from({ length: 2000 }, (_, at) => record(at + 1, 0));
  const watching = watch({ index: 0, seq: null });
  await until("it streams", () => watching.messages.length > 0);
  assert.equal(backend.listeners.size, 1);
  watching.stop();
  await until("the subscription ended", () => backend.listeners.size === 0);
  const again = watch(null);
  await until("it started", () => again.messages.length === 1);
  connection.close();
  again.stop();
  await until("the subscription ended", () => backend.listeners.size === 0);
});

it("lets a slow client go with the place to resume from, and a resume loses nothing", async () => {
  const method = adminMethod("Watch");
  const client = new Client(`127.0.0.1:${server.port}`, credentials.createInsecure());
  const stream: ClientReadableStream<WireObject> = client.makeServerStreamRequest(
    method.path,
    method.requestSerialize,
    method.responseDeserialize,
    { group: "", sinceIndex: 0 },
  );
  stream.on("error", () => undefined);
  await until("it subscribed", () => backend.listeners.size === 1);
  // Nothing reads the stream: flow control fills, then the queue.
  const bulky = (index: number): AuditRecord => ({ ...record(index, 0), detail: ["x".repeat(8_000)] });
  let appended = 0;
  while (backend.listeners.size === 1) {
    appended += 1;
    backend.append(bulky(appended));
    if (appended % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    assert.ok(appended < WATCH_QUEUE_MAX * 3, "the queue grows without bound");
  }
  const seen: number[] = [];
  const error = await new Promise<ServiceError>((resolve) => {
    stream.on("error", resolve);
    stream.on("data", (wire: { audit?: { index: string } | null }) => {
      if (wire.audit) seen.push(Number(wire.audit.index));
    });
  });
  client.close();
  assert.equal(error.code, status.RESOURCE_EXHAUSTED);
  const resumeIndex = Number(error.metadata.get("pointsman-resume-index")[0]);
  const resumeSeq = Number(error.metadata.get("pointsman-resume-seq")[0]);
  assert.equal(seen.at(-1), resumeIndex, "the place is not that of the last record that arrived");
  const resumed = watch({ index: resumeIndex, seq: resumeSeq });
  await until("the rest is there", () => resumed.places().length === appended - seen.length);
  const all = [...seen, ...resumed.places().map((place) => Number.parseInt(place, 10))];
  assert.deepEqual(
    all,
    Array.from({ length: appended }, (_, at) => at + 1),
  );
  resumed.stop();
});

it("ends the watches of a witness that stops, so that clients go elsewhere", async () => {
  backend.records = [record(3, 2)];
  const watching = watch(null);
  await until("it started", () => watching.messages.length === 1);
  await server.close(1_000);
  const refusal = await watching.ended;
  assert.equal((refusal as { code?: string }).code, "stopping");
});

it("cannot be made to throw into the witness that publishes", async () => {
  const watching = watch(null);
  await until("it started", () => watching.messages.length === 1);
  backend.publish({ kind: "audit", record: { ...record(9, 0), term: term(1), atMs: Number.NaN } });
  const error = await watching.ended;
  assert.equal((error as { code?: string }).code, "admin_failed");
  assert.equal(backend.listeners.size, 0);
});
