/** Channels and questions against servers that lose, repeat, forge, truncate and stall; each played by a few lines. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createSocket, type RemoteInfo, type Socket as UdpSocket } from "node:dgram";
import { createServer, type Server, type Socket } from "node:net";
import { afterEach, test } from "node:test";
import { Deadline, endpoint } from "../../../src/drivers/dns/endpoint.js";
import { DnsError, type DnsErrorCode } from "../../../src/drivers/dns/error.js";
import {
  type DnsMessage,
  decodeMessage,
  encodeMessage,
  fullRcode,
} from "../../../src/drivers/dns/message.js";
import { queryDns, queryMessage } from "../../../src/drivers/dns/query.js";
import { CLASS, encodeValue, TYPE } from "../../../src/drivers/dns/rdata.js";
import { openTcp } from "../../../src/drivers/dns/tcp.js";
import { openUdp } from "../../../src/drivers/dns/udp.js";
import { freePort } from "../../support/name-servers.js";

/** Skips where no network namespace can be made; in CI it fails there instead. */
const blackhole = {
  skip:
    process.getuid?.() === 0 || process.env["CI"] === "true" ? false : "needs root for a network namespace",
};
const never = new AbortController().signal;
const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

/** A UDP server; `onPacket` gets each packet and a way to answer it. Gives "127.0.0.1:port" and the port. */
async function udpServer(
  onPacket: (packet: Buffer, answer: (bytes: Buffer) => void, from: RemoteInfo) => void,
  port = 0,
) {
  const socket: UdpSocket = createSocket("udp4");
  socket.on("message", (packet, from) => {
    onPacket(packet, (bytes) => socket.send(bytes, from.port, from.address), from);
  });
  await new Promise<void>((resolve) => socket.bind(port, "127.0.0.1", resolve));
  closers.push(() => socket.close());
  return { address: `127.0.0.1:${socket.address().port}`, port: socket.address().port };
}

/** A TCP server; `onMessage` gets each whole message and the socket to answer on. */
async function tcpServer(
  onMessage: (message: Buffer, answer: (bytes: Buffer) => void, socket: Socket) => void,
  port = 0,
) {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    let received: Buffer = Buffer.alloc(0);
    socket.on("error", () => {});
    socket.on("data", (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
        const end = 2 + received.readUInt16BE(0);
        const message = received.subarray(2, end);
        received = received.subarray(end);
        const answer = (bytes: Buffer): void => {
          const length = Buffer.alloc(2);
          length.writeUInt16BE(bytes.length, 0);
          socket.write(Buffer.concat([length, bytes]));
        };
        onMessage(message, answer, socket);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  closers.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const bound = server.address();
  assert.ok(bound !== null && typeof bound === "object");
  return { address: `127.0.0.1:${bound.port}`, port: bound.port };
}

function answerTo(packet: Buffer, more: Partial<DnsMessage> = {}): Buffer {
  const request = decodeMessage(packet);
  const name = request.questions[0]?.name ?? ".";
  return encodeMessage({
    ...request,
    isResponse: true,
    authoritative: true,
    answers: [{ name, type: TYPE.A, class: CLASS.IN, ttl: 5, rdata: encodeValue("A", "192.0.2.1") }],
    additionals: [],
    ...more,
  });
}

const failsWith = (code: DnsErrorCode, maybeDone?: boolean) => (error: unknown) => {
  assert.ok(error instanceof DnsError, String(error));
  assert.equal(error.code, code, error.message);
  if (maybeDone !== undefined) assert.equal(error.maybeDone, maybeDone, error.message);
  return true;
};

const packet = (id: number): Buffer =>
  encodeMessage({ ...queryMessage("app.test", TYPE.A, { recursion: false, edns: false }), id });

test("a lost packet is sent again and the answer counts", async () => {
  let seen = 0;
  const server = await udpServer((request, answer) => {
    if (++seen === 3) answer(answerTo(request));
  });
  const answer = await queryDns(server.address, "app.test", "A", { timeoutMs: 5_000, resendAfterMs: 30 });
  assert.equal(answer.answers[0]?.value, "192.0.2.1");
  assert.equal(seen, 3);
});

test("answers with a foreign id, to another question, or no answers at all are waited past", async () => {
  const server = await udpServer((request, answer) => {
    const foreignId = answerTo(request);
    foreignId.writeUInt16BE(request.readUInt16BE(0) ^ 1, 0);
    answer(foreignId);
    answer(answerTo(request, { questions: [{ name: "evil.test", type: TYPE.A, class: CLASS.IN }] }));
    answer(request);
    answer(Buffer.from("junk"));
    setTimeout(() => answer(answerTo(request)), 50);
  });
  const answer = await queryDns(server.address, "app.test", "A", { timeoutMs: 5_000 });
  assert.equal(answer.answers[0]?.name, "app.test");
});

test("a packet from another sender is not an answer", async () => {
  const other = createSocket("udp4");
  closers.push(() => other.close());
  const server = await udpServer((request, _answer, from) =>
    other.send(answerTo(request), from.port, from.address),
  );
  await assert.rejects(
    queryDns(server.address, "app.test", "A", { timeoutMs: 300 }),
    failsWith("dns_timeout", true),
  );
});

test("a truncated answer is fetched over TCP within the same budget", async () => {
  const port = await freePort();
  await udpServer((request, answer) => answer(answerTo(request, { truncated: true, answers: [] })), port);
  let tcpRequests = 0;
  const server = await tcpServer((request, answer) => {
    tcpRequests++;
    answer(answerTo(request));
  }, port);
  const answer = await queryDns(server.address, "app.test", "A", { timeoutMs: 5_000 });
  assert.equal(answer.answers.length, 1);
  assert.equal(tcpRequests, 1);
});

test("a truncated answer and a TCP side that is silent end when the one budget ends", async () => {
  const port = await freePort();
  await udpServer((request, answer) => answer(answerTo(request, { truncated: true })), port);
  const server = await tcpServer(() => {}, port);
  const startedAt = performance.now();
  await assert.rejects(
    queryDns(server.address, "app.test", "A", { timeoutMs: 400 }),
    failsWith("dns_timeout", true),
  );
  assert.ok(performance.now() - startedAt < 1_500);
});

test("a port without a server is told as such, over UDP and over TCP, and nothing was sent", async () => {
  const address = `127.0.0.1:${await freePort()}`;
  for (const tcp of [false, true]) {
    await assert.rejects(
      queryDns(address, "app.test", "A", { timeoutMs: 5_000, tcp }),
      failsWith("dns_unreachable", false),
    );
  }
});

test(
  "a server behind a line that swallows everything is a timeout at which nothing was sent",
  blackhole,
  () => {
    const namespace = `pmdns${process.pid}`;
    const ip = (...words: string[]): string => execFileSync("ip", words, { encoding: "utf8" });
    const module = (path: string): string =>
      JSON.stringify(new URL(`../../../src/drivers/${path}`, import.meta.url).href);
    // A link whose other end drops what comes: what is sent there is gone.
    const script = `
    import { openTcp } from ${module("dns/tcp.js")};
    import { Deadline, endpoint } from ${module("dns/endpoint.js")};
    const [at, signal] = [endpoint("10.99.0.2", 53), new AbortController().signal];
    const error = await openTcp(at, Deadline.in(300), signal).catch((error) => error);
    console.log(error.code, error.maybeDone, error.message);`;
    try {
      ip("netns", "add", namespace);
      ip("-n", namespace, "link", "add", "near", "type", "veth", "peer", "name", "far");
      ip("-n", namespace, "addr", "add", "10.99.0.1/24", "dev", "near");
      ip("-n", namespace, "link", "set", "near", "up");
      ip("-n", namespace, "link", "set", "far", "up");
      ip("-n", namespace, "neigh", "add", "10.99.0.2", "lladdr", "02:00:00:00:00:02", "dev", "near");
      const said = ip("netns", "exec", namespace, process.execPath, "--input-type=module", "-e", script);
      assert.match(said, /^dns_timeout false .*10\.99\.0\.2:53 did not answer in time; nothing was sent/);
    } finally {
      execFileSync("ip", ["netns", "del", namespace]);
    }
  },
);

test("several requests on one connection get their own answers, in whatever order they come", async () => {
  const waiting: { request: Buffer; answer: (bytes: Buffer) => void }[] = [];
  const server = await tcpServer((request, answer) => {
    waiting.push({ request: Buffer.from(request), answer });
    if (waiting.length === 3) for (const one of waiting.reverse()) one.answer(answerTo(one.request));
  });
  const deadline = Deadline.in(5_000);
  const channel = await openTcp(endpoint("127.0.0.1", server.port), deadline, never);
  closers.push(() => channel.close());
  const ids = [channel.nextId(), channel.nextId(), channel.nextId()];
  assert.equal(new Set(ids).size, 3);
  const answers = await Promise.all(ids.map((id) => channel.exchange(packet(id), deadline, never)));
  assert.deepEqual(
    answers.map(({ bytes }) => bytes.readUInt16BE(0)),
    ids,
  );
});

test("an answer in single bytes is put together", async () => {
  const server = await tcpServer((request, _answer, socket) => {
    const answer = answerTo(request);
    const length = Buffer.alloc(2);
    length.writeUInt16BE(answer.length, 0);
    socket.setNoDelay(true);
    void (async () => {
      for (const byte of Buffer.concat([length, answer])) {
        socket.write(Buffer.from([byte]));
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
  });
  const answer = await queryDns(server.address, "app.test", "A", { timeoutMs: 5_000, tcp: true });
  assert.equal(answer.answers.length, 1);
});

test("a connection that ends after the request leaves it open whether the request was carried out", async () => {
  for (const end of [(socket: Socket) => socket.end(), (socket: Socket) => socket.resetAndDestroy()]) {
    const server = await tcpServer((_request, _answer, socket) => end(socket));
    await assert.rejects(
      queryDns(server.address, "app.test", "A", { timeoutMs: 5_000, tcp: true }),
      failsWith("dns_closed", true),
    );
  }
});

test("on a connection that is gone, a further request fails for sure", async () => {
  const server = await tcpServer((_request, _answer, socket) => socket.destroy());
  const deadline = Deadline.in(5_000);
  const channel = await openTcp(endpoint("127.0.0.1", server.port), deadline, never);
  await assert.rejects(channel.exchange(packet(1), deadline, never), failsWith("dns_closed", true));
  await assert.rejects(channel.exchange(packet(2), deadline, never), failsWith("dns_closed", false));
});

test("calling off ends an exchange at once, before and after sending", async () => {
  const server = await udpServer(() => {});
  const channel = openUdp(endpoint("127.0.0.1", server.port), 400);
  await assert.rejects(
    channel.exchange(packet(1), Deadline.in(5_000), AbortSignal.abort()),
    failsWith("dns_aborted", false),
  );
  const stop = new AbortController();
  setTimeout(() => stop.abort(), 50);
  await assert.rejects(
    channel.exchange(packet(1), Deadline.in(5_000), stop.signal),
    failsWith("dns_aborted", true),
  );
});

test("an answer that is garbage, or to another question over TCP, is an error and no crash", async () => {
  for (const damage of [
    (request: Buffer) => Buffer.concat([answerTo(request), Buffer.from([1])]),
    (request: Buffer) =>
      answerTo(request, { questions: [{ name: "evil.test", type: TYPE.A, class: CLASS.IN }] }),
    (request: Buffer) => answerTo(request, { isResponse: false }),
  ]) {
    const server = await tcpServer((request, answer) => answer(damage(request)));
    await assert.rejects(
      queryDns(server.address, "app.test", "A", { timeoutMs: 5_000, tcp: true }),
      failsWith("dns_malformed"),
    );
  }
});

test("a server from before EDNS is asked again without it", async () => {
  const server = await udpServer((request, answer) => {
    const hasEdns = decodeMessage(request).additionals.length > 0;
    answer(hasEdns ? answerTo(request, { rcode: 1, answers: [] }) : answerTo(request));
  });
  const answer = await queryDns(server.address, "app.test", "A", { timeoutMs: 5_000 });
  assert.equal(answer.rcode, "NOERROR");
  assert.equal(fullRcode(answer.message), 0);
});
