/** Whatever connects to the port of a witness: it neither crashes nor grows, and its peers are served all the while. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { connect as connectHttp2 } from "node:http2";
import { connect, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { status } from "@grpc/grpc-js";
import { witnessId } from "../../../src/core/base/ids.js";
import { encodeFrame, STREAM_PATH } from "../../../src/drivers/transport/wire.js";
import { freePorts, heartbeat, type Member, member, sleep, until } from "./helpers.js";
import { hello, openStream } from "./raw-stream.js";

/** w2 listening, and w1 that sends it a heartbeat every 20 ms. */
async function served(t: TestContext): Promise<{ port: number; b: Member; isServed: () => Promise<void> }> {
  const [port] = (await freePorts(1)) as [number];
  const b = await member(2, [[1, "127.0.0.1:1"]], { listen: [`127.0.0.1:${port}`] });
  const a = await member(1, [[2, `127.0.0.1:${port}`]]);
  const timer = setInterval(
    () => a.transport.send(witnessId("w2"), heartbeat(1, 2, 1), { urgent: true }),
    20,
  );
  t.after(async () => {
    clearInterval(timer);
    await Promise.all([a.transport.close(), b.transport.close()]);
  });
  await until(() => b.got.length > 0, "first message");
  const isServed = async (): Promise<void> => {
    const seen = b.got.length;
    await until(() => b.got.length > seen + 5, "the honest peer is still served");
  };
  return { port, b, isServed };
}

/** Connects, writes, and waits a moment for what comes of it. */
async function shout(port: number, bytes: Buffer | string): Promise<void> {
  const socket: Socket = connect(port, "127.0.0.1");
  socket.on("error", () => {});
  socket.resume();
  await new Promise((resolve) => socket.once("connect", resolve));
  socket.write(bytes);
  await sleep(30);
  socket.destroy();
}

test("garbage, HTTP/1, a TLS hello and broken HTTP/2 leave it standing", async (t) => {
  const { port, isServed } = await served(t);
  await shout(port, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  await shout(port, Buffer.from("16030100c8010000c40303", "hex"));
  await shout(port, "");
  for (let i = 0; i < 10; i++) await shout(port, randomBytes(2000));
  const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  await shout(port, preface);
  for (let i = 0; i < 10; i++) await shout(port, Buffer.concat([Buffer.from(preface), randomBytes(500)]));
  // HEADERS on stream 0, an error of the connection.
  await shout(
    port,
    Buffer.concat([Buffer.from(preface), Buffer.from("000000040000000000000001010500000000ff", "hex")]),
  );
  await isServed();
});

test("a message of 100 MB is refused without being read into memory", async (t) => {
  const { port, isServed } = await served(t);
  const { stream, end, acks, write } = openStream(t, port);
  write(hello());
  await until(() => acks.length > 0, "the hello's acknowledgement");
  const huge = Buffer.alloc(100 * 2 ** 20, 1);
  await sleep(50);
  const before = process.memoryUsage().rss;
  stream.write(huge);
  await until(() => end.error !== null, "the refusal");
  assert.equal(end.error?.code, status.RESOURCE_EXHAUSTED, String(end.error));
  assert.match(end.error?.details ?? "", /larger than max/);
  await isServed();
  const grownMb = (process.memoryUsage().rss - before) / 2 ** 20;
  t.diagnostic(
    `RSS of sender and receiver together grew by ${grownMb.toFixed(0)} MB, 100 of it the sender's copy`,
  );
  assert.ok(grownMb < 170, `grew by ${grownMb} MB`);
});

test("a compressed message that unpacks to more than the limit is refused, too", async (t) => {
  const { port, isServed } = await served(t);
  const { stream, end, write, acks } = openStream(t, port, { "grpc.default_compression_algorithm": 2 });
  write(hello());
  await until(() => acks.length > 0 || end.error !== null, "an answer to the hello");
  stream.write(Buffer.alloc(12 * 2 ** 20, 1));
  await until(() => end.error !== null, "the refusal", 20_000);
  assert.equal(end.error?.code, status.RESOURCE_EXHAUSTED, String(end.error));
  await isServed();
});

test("a stream without a hello, or with one of another protocol, ends with a status that says so", async (t) => {
  const { port, b, isServed } = await served(t);
  const ping = openStream(t, port);
  ping.write({ kind: "ping" });
  await until(() => ping.end.error !== null, "the refusal");
  assert.equal(ping.end.error?.code, status.INVALID_ARGUMENT);
  assert.match(ping.end.error?.details ?? "", /^bad_hello: /);
  const garbage = openStream(t, port);
  garbage.stream.write(randomBytes(300));
  await until(() => garbage.end.error !== null, "the refusal");
  const newer = openStream(t, port);
  newer.write(hello({ protocol: 99 }));
  await until(() => newer.end.error !== null, "the refusal");
  assert.equal(newer.end.error?.code, status.FAILED_PRECONDITION);
  assert.match(newer.end.error?.details ?? "", /^newer_protocol: .*99.*upgrade/);
  const older = openStream(t, port);
  older.write(hello({ protocol: 1 }));
  await until(() => older.end.error !== null, "the refusal");
  assert.match(older.end.error?.details ?? "", /^older_protocol: .*upgrade/);
  const diskless = openStream(t, port);
  // Field 6 of the hello, renamed to a field that nobody knows.
  const bytes = encodeFrame({ seq: 0, sentMs: 1, body: hello() });
  bytes[bytes.lastIndexOf(Buffer.from("3224", "hex"))] = 0x3a;
  diskless.stream.write(bytes);
  await until(() => diskless.end.error !== null, "the refusal");
  assert.match(diskless.end.error?.details ?? "", /^bad_hello: .*disk/);
  assert.equal(b.transport.strangers().newer_protocol, 1);
  await isServed();
});

test("garbage after a good hello ends the stream; a value out of range costs only its message", async (t) => {
  const { port, b, isServed } = await served(t);
  const one = openStream(t, port);
  one.write(hello());
  one.write({ kind: "message", message: heartbeat(1, 2, 7) }, 1);
  const outOfRange = encodeFrame({ seq: 2, sentMs: 1, body: { kind: "ping" } });
  one.stream.write(outOfRange);
  one.write({ kind: "message", message: heartbeat(1, 2, 8) }, 3);
  const got = (commit: number) =>
    b.got.some(({ message }) => message.kind === "raft" && message.message.commit === commit);
  await until(() => got(7) && got(8), "the messages around the bad one");
  assert.equal(b.transport.stats()[0]?.refusedFrom.malformed, 1);
  one.stream.write(Buffer.alloc(64, 0xff));
  await until(() => one.end.error !== null, "the refusal");
  assert.match(one.end.error?.details ?? "", /^malformed: /);
  await isServed();
});

test("one peer cannot keep more than its share of streams open", async (t) => {
  const { port, b, isServed } = await served(t);
  const streams = Array.from({ length: 20 }, () => openStream(t, port));
  for (const { write } of streams) write(hello());
  await until(
    () => (b.transport.stats()[0]?.refusedFrom.too_many_streams ?? 0) >= 4,
    "refusals of the oldest",
  );
  await isServed();
});

test("silent strangers are limited and do not keep peers out", async (t) => {
  const { port, isServed } = await served(t);
  let open = 0;
  const sockets = Array.from({ length: 200 }, () => {
    const socket = connect(port, "127.0.0.1", () => {
      open += 1;
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      open -= 1;
    });
    socket.resume();
    return socket;
  });
  t.after(() => sockets.forEach((socket) => void socket.destroy()));
  await until(() => open === 200, "two hundred connected", 2000).catch(() => {});
  await until(() => open <= 64, "the oldest strangers to be put out");
  const [late] = (await freePorts(1)) as [number];
  const c = await member(1, [[2, `127.0.0.1:${port}`]], { listen: [`127.0.0.1:${late}`] });
  t.after(() => c.transport.close());
  await until(() => c.transport.stats()[0]?.connectionsUp === 2, "a peer that comes later");
  await isServed();
});

test("streams that are reset in the middle of a frame leave nothing half applied", async (t) => {
  const { port, b, isServed } = await served(t);
  const frame = encodeFrame({ seq: 1, sentMs: 1, body: { kind: "message", message: heartbeat(1, 2, 77) } });
  for (let i = 0; i < 10; i++) {
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    session.on("error", () => {});
    const stream = session.request({
      ":method": "POST",
      ":path": STREAM_PATH,
      "content-type": "application/grpc",
      te: "trailers",
    });
    stream.on("error", () => {});
    const prefixed = (body: Buffer): Buffer => {
      const head = Buffer.alloc(5);
      head.writeUInt32BE(body.length, 1);
      return Buffer.concat([head, body]);
    };
    stream.write(prefixed(encodeFrame({ seq: 0, sentMs: 1, body: hello({ life: 100 + i }) })));
    stream.write(prefixed(frame).subarray(0, 5 + i));
    await sleep(20);
    session.destroy();
  }
  await isServed();
  assert.ok(!b.got.some(({ message }) => message.kind === "raft" && message.message.commit === 77));
});
