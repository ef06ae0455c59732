/**
 * The exercise stream over real gRPC: each request is answered under its tag, a refusal does not end the stream, a
 * client that does not wait is held back, and a server that stops says so.
 */
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { Client, type ClientDuplexStream, credentials, type ServiceError } from "@grpc/grpc-js";
import { logIndex } from "../../../src/core/base/ids.js";
import type { AdminRequest, AdminResponse, ExerciseRequest } from "../../../src/core/model/admin.js";
import { type AdminServer, startAdminServer } from "../../../src/drivers/server/admin.js";
import type { WireObject } from "../../../src/drivers/server/admin-codec.js";
import { adminMethod } from "../../../src/drivers/server/admin-proto.js";
import { SampleBackend, SILENT_LOG, until, W2 } from "./admin-samples.js";

/** Keeps requests until it is told how to answer them. */
class SlowBackend extends SampleBackend {
  readonly waiting: { request: AdminRequest | ExerciseRequest; resolve: (answer: AdminResponse) => void }[] =
    [];

  override request(request: AdminRequest | ExerciseRequest, signal: AbortSignal): Promise<AdminResponse> {
    this.signals.push(signal);
    return new Promise((resolve) => this.waiting.push({ request, resolve }));
  }
}

let backend: SlowBackend;
let server: AdminServer;
let client: Client;
let stream: ClientDuplexStream<WireObject, WireObject>;
let answers: WireObject[];
let ended: ServiceError | "end" | null;

beforeEach(async () => {
  backend = new SlowBackend();
  server = await startAdminServer({ address: "127.0.0.1:0", backend, log: SILENT_LOG, version: "0.1.0" });
  client = new Client(`127.0.0.1:${server.port}`, credentials.createInsecure());
  const { path, requestSerialize, responseDeserialize } = adminMethod("Exercise");
  stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
  answers = [];
  ended = null;
  stream.on("data", (answer: WireObject) => answers.push(answer));
  stream.on("error", (error: ServiceError) => {
    ended = error;
  });
  stream.on("end", () => {
    ended ??= "end";
  });
});

afterEach(async () => {
  stream.cancel();
  client.close();
  await server.close(0);
});

function accepted(index: number): AdminResponse {
  return { kind: "accepted", index: logIndex(index), epoch: null, message: "done" };
}

test("each request is answered under its own tag, in the order in which they are applied", async () => {
  stream.write({ tag: 7, data: Buffer.from([0, 255, 10]) });
  stream.write({ tag: 8, data: Buffer.from("b") });
  await until("both arrive", () => backend.waiting.length === 2);
  assert.deepEqual(backend.waiting[0]?.request, { kind: "exercise", data: "AP8K" });
  backend.waiting[1]?.resolve(accepted(12));
  await until("one answer", () => answers.length === 1);
  backend.waiting[0]?.resolve(accepted(13));
  await until("two answers", () => answers.length === 2);
  assert.deepEqual(
    answers.map(({ tag, index }) => [tag, index]),
    [
      [8, "12"],
      [7, "13"],
    ],
  );
});

test("a refusal names the leader and does not end the stream; too much data is refused at the border", async () => {
  stream.write({ tag: 1, data: Buffer.from("a") });
  await until("it arrives", () => backend.waiting.length === 1);
  backend.waiting[0]?.resolve({ kind: "refused", code: "not_leader", message: "w2 leads", leader: W2 });
  stream.write({ tag: 2, data: Buffer.alloc(16 * 1024 + 1) });
  await until("two answers", () => answers.length === 2);
  const refusals = answers.map(({ refused }) => refused as { code: string; leader?: string });
  assert.deepEqual(
    refusals.map(({ code }) => code),
    ["not_leader", "invalid"],
  );
  assert.equal(refusals[0]?.leader, "w2");
  assert.equal(backend.waiting.length, 1, "what is too large never reaches the backend");
  assert.equal(ended, null);
});

test("no more than 256 are under way at once, and all are answered before the stream ends", async () => {
  for (let tag = 0; tag < 300; tag++) stream.write({ tag, data: Buffer.from("x") });
  stream.end();
  await until("the window is full", () => backend.waiting.length >= 256);
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(backend.waiting.length, 256);
  for (let at = 0; at < 300; at++) {
    await until(`request ${at} arrives`, () => backend.waiting.length > at);
    backend.waiting[at]?.resolve(accepted(at));
  }
  await until("the stream ends", () => ended !== null);
  assert.equal(ended, "end");
  assert.equal(answers.length, 300);
});

test("a client that goes away is told to the backend, and a server that stops ends the stream", async () => {
  stream.write({ tag: 1, data: Buffer.from("a") });
  await until("it arrives", () => backend.waiting.length === 1);
  await server.close(5000);
  await until("the stream ends", () => ended !== null);
  assert.match(String(ended), /stopping/);
  assert.equal(backend.signals[0]?.aborted, true);
});
