/**
 * The embedded name server, asked by `dig` where it is installed, by the npm library `dns-packet`, and by
 * packets that no honest client sends.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createSocket } from "node:dgram";
import { existsSync } from "node:fs";
import { createConnection, type Socket } from "node:net";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import dnsPacket from "dns-packet";
import fc from "fast-check";
import {
  decodeMessage,
  EMPTY_MESSAGE,
  encodeMessage,
  fullRcode,
  optRecord,
} from "../../../src/drivers/dns/message.js";
import { queryDns } from "../../../src/drivers/dns/query.js";
import { CLASS, TYPE } from "../../../src/drivers/dns/rdata.js";
import { answerDns } from "../../../src/drivers/server/dns-answer.js";
import { type DnsServer, DnsServerError, startDnsServer } from "../../../src/drivers/server/dns-server.js";
import type { DnsZoneData, EmbeddedZone } from "../../../src/drivers/server/dns-zone.js";
import { until } from "../../e2e/until.js";
import { message, wildName, wildRecord } from "../dns/arbitrary.js";

const ZONE: EmbeddedZone = {
  name: "pm.test",
  serial: 2 ** 32 + 2 ** 31 + 42,
  ns: ["ns1.pm.test", "ns2.other.test"],
  stale: false,
  staleness: "stale",
  soa: {
    mname: "ns1.pm.test",
    rname: "hostmaster.pm.test",
    refreshSeconds: 60,
    retrySeconds: 61,
    expireSeconds: 62,
    minimumSeconds: 7,
    ttlSeconds: 300,
  },
  records: [
    { name: "ns1.pm.test", type: "A", ttlSeconds: 60, values: ["127.0.0.1"] },
    { name: "app.pm.test", type: "A", ttlSeconds: 30, values: ["192.0.2.1", "192.0.2.2"] },
    { name: "App.pm.test", type: "AAAA", ttlSeconds: 30, values: ["2001:db8::1"] },
    { name: "www.pm.test", type: "CNAME", ttlSeconds: 30, values: ["app.pm.test"] },
    { name: "dangling.pm.test", type: "CNAME", ttlSeconds: 30, values: ["gone.pm.test"] },
    { name: "away.pm.test", type: "CNAME", ttlSeconds: 30, values: ["host.elsewhere.test"] },
    { name: "loop1.pm.test", type: "CNAME", ttlSeconds: 30, values: ["loop2.pm.test"] },
    { name: "loop2.pm.test", type: "CNAME", ttlSeconds: 30, values: ["loop1.pm.test"] },
    { name: "deep.a.b.pm.test", type: "TXT", ttlSeconds: 30, values: ["hello"] },
    { name: "_pointsman.app.pm.test", type: "TXT", ttlSeconds: 30, values: ["epoch=1 site=a group=shop"] },
    {
      name: "big.pm.test",
      type: "TXT",
      ttlSeconds: 30,
      values: Array.from({ length: 20 }, (_, at) => `${at} ${"x".repeat(100)}`),
    },
  ],
};
const SUB: EmbeddedZone = {
  ...ZONE,
  name: "sub.pm.test",
  records: [{ name: "x.sub.pm.test", type: "A", ttlSeconds: 30, values: ["192.0.2.9"] }],
};
const DATA: DnsZoneData = { zones: [ZONE, SUB] };

let current: DnsZoneData = DATA;
let server: DnsServer;
const problems: string[] = [];
before(async () => {
  server = await startDnsServer({
    host: "127.0.0.1",
    port: 0,
    lookup: () => current,
    onProblem: (text) => problems.push(text),
    tcpIdleMs: 400,
    tcpConnectionsMax: 8,
  });
});
after(async () => {
  await server.close();
});

const ask = (name: string, type: Parameters<typeof queryDns>[2], tcp = false) =>
  queryDns(`127.0.0.1:${server.port}`, name, type, { timeoutMs: 5_000, tcp });

/** An answer in one line: code, AA, sections by "type value". */
async function line(name: string, type: Parameters<typeof queryDns>[2], tcp = false): Promise<string> {
  const answer = await ask(name, type, tcp);
  const list = (records: typeof answer.answers): string =>
    records.map((record) => `${record.type}=${record.value.split(" ")[0]}`).join(",");
  const sections = [answer.answers, answer.authorities, answer.additionals].map(list).join(" | ");
  return `${answer.rcode}${answer.authoritative ? " aa" : ""} ${sections}`.trimEnd();
}

test("every kind of question gets the right code and the right sections, over UDP and TCP", async () => {
  const negative = "SOA=ns1.pm.test";
  for (const tcp of [false, true]) {
    for (const [name, type, expected] of [
      ["app.pm.test", "A", "NOERROR aa A=192.0.2.1,A=192.0.2.2 |  |"],
      ["app.pm.test", "AAAA", "NOERROR aa AAAA=2001:db8::1 |  |"],
      ["pm.test", "SOA", "NOERROR aa SOA=ns1.pm.test |  |"],
      ["pm.test", "NS", "NOERROR aa NS=ns1.pm.test,NS=ns2.other.test |  | A=127.0.0.1"],
      ["pm.test", "A", `NOERROR aa  | ${negative} |`],
      ["app.pm.test", "TXT", `NOERROR aa  | ${negative} |`],
      ["nope.pm.test", "A", `NXDOMAIN aa  | ${negative} |`],
      ["below.app.pm.test", "A", `NXDOMAIN aa  | ${negative} |`],
      ["a.b.pm.test", "A", `NOERROR aa  | ${negative} |`],
      ["b.pm.test", "TXT", `NOERROR aa  | ${negative} |`],
      ["c.b.pm.test", "TXT", `NXDOMAIN aa  | ${negative} |`],
      ["www.pm.test", "A", "NOERROR aa CNAME=app.pm.test,A=192.0.2.1,A=192.0.2.2 |  |"],
      ["www.pm.test", "CNAME", "NOERROR aa CNAME=app.pm.test |  |"],
      ["www.pm.test", "TXT", `NOERROR aa CNAME=app.pm.test | ${negative} |`],
      ["dangling.pm.test", "A", `NXDOMAIN aa CNAME=gone.pm.test | ${negative} |`],
      ["away.pm.test", "A", "NOERROR aa CNAME=host.elsewhere.test |  |"],
      ["app.pm.test", "ANY", "NOERROR aa A=192.0.2.1,A=192.0.2.2 |  |"],
      ["nope.pm.test", "ANY", `NXDOMAIN aa  | ${negative} |`],
      ["x.sub.pm.test", "A", "NOERROR aa A=192.0.2.9 |  |"],
      ["elsewhere.test", "A", "REFUSED  |  |"],
      ["test", "SOA", "REFUSED  |  |"],
      ["apm.test", "A", "REFUSED  |  |"],
    ] as const) {
      assert.equal(
        await line(name, type, tcp),
        expected.trimEnd(),
        `${name} ${type}${tcp ? " over TCP" : ""}`,
      );
    }
  }
});

test("a CNAME loop ends", async () => {
  const answer = await ask("loop1.pm.test", "A");
  assert.equal(answer.rcode, "NOERROR");
  assert.ok(answer.answers.length >= 2 && answer.answers.length < 12);
});

test("the serial is taken modulo 2^32 and negative answers may be cached for the minimum, not for the SOA's TTL", async () => {
  const soa = (await ask("pm.test", "SOA")).answers[0];
  assert.equal(soa?.value, "ns1.pm.test hostmaster.pm.test 2147483690 60 61 62 7");
  assert.equal(soa?.ttl, 300);
  assert.equal((await ask("nope.pm.test", "A")).authorities[0]?.ttl, 7);
});

test("the spelling of a question comes back as it was asked", async () => {
  const answer = await ask("aPP.pM.tEsT", "A");
  assert.equal(answer.message.questions[0]?.name, "aPP.pM.tEsT");
  assert.deepEqual([...new Set(answer.answers.map((record) => record.name))], ["aPP.pM.tEsT"]);
});

test("an answer too large for UDP is cut, and comes whole over TCP", async () => {
  const question = { name: "big.pm.test", type: TYPE.TXT, class: CLASS.IN };
  const request = { ...EMPTY_MESSAGE, id: 7, questions: [question] };
  for (const additionals of [[], [optRecord({ payloadBytes: 600 })], [optRecord({ payloadBytes: 65_000 })]]) {
    const reply = answerDns(encodeMessage({ ...request, additionals }), DATA, "udp");
    assert.ok(reply !== null);
    const decoded = decodeMessage(reply.bytes);
    assert.equal(decoded.truncated, true);
    assert.equal(decoded.answers.length, 0);
    assert.equal(decoded.additionals.length, additionals.length);
  }
  const whole = await ask("big.pm.test", "TXT");
  assert.equal(whole.answers.length, 20);
});

test("an answer between 512 and 1232 bytes needs EDNS to come by UDP", () => {
  const records = [
    {
      name: "t.pm.test",
      type: "TXT" as const,
      ttlSeconds: 5,
      values: ["a".repeat(250), "b".repeat(250), "c"],
    },
  ];
  const data = { zones: [{ ...ZONE, records }] };
  const request = { ...EMPTY_MESSAGE, questions: [{ name: "t.pm.test", type: TYPE.TXT, class: CLASS.IN }] };
  const without = answerDns(encodeMessage(request), data, "udp");
  const withEdns = answerDns(
    encodeMessage({ ...request, additionals: [optRecord({ payloadBytes: 1232 })] }),
    data,
    "udp",
  );
  assert.equal(decodeMessage(without?.bytes ?? Buffer.alloc(0)).truncated, true);
  assert.equal(decodeMessage(withEdns?.bytes ?? Buffer.alloc(0)).truncated, false);
});

test("EDNS is echoed with our size and the DO bit; a newer version gets BADVERS", () => {
  const questions = [{ name: "app.pm.test", type: TYPE.A, class: CLASS.IN }];
  const reply = (opt: ReturnType<typeof optRecord>) => {
    const bytes = encodeMessage({ ...EMPTY_MESSAGE, id: 1, questions, additionals: [opt] });
    const answer = answerDns(bytes, DATA, "udp");
    assert.ok(answer !== null);
    return decodeMessage(answer.bytes);
  };
  const good = reply(optRecord({ payloadBytes: 4_096, dnssecOk: true }));
  assert.deepEqual(good.additionals, [optRecord({ payloadBytes: 1232, dnssecOk: true })]);
  const newer = reply(optRecord({ payloadBytes: 4_096, version: 1 }));
  assert.equal(fullRcode(newer), 16);
  assert.equal(newer.answers.length, 0);
});

test("what we do not do is refused with the code that says so", () => {
  const question = { name: "app.pm.test", type: TYPE.A as number, class: CLASS.IN as number };
  const opt = optRecord({ payloadBytes: 1232 });
  const rcode = (more: Partial<typeof EMPTY_MESSAGE>): number | null => {
    const reply = answerDns(encodeMessage({ ...EMPTY_MESSAGE, questions: [question], ...more }), DATA, "tcp");
    return reply === null ? null : fullRcode(decodeMessage(reply.bytes));
  };
  assert.equal(rcode({}), 0);
  for (const opcode of [1, 2, 4, 5, 15]) assert.equal(rcode({ opcode }), 4, `opcode ${opcode}`);
  assert.equal(rcode({ questions: [] }), 1);
  assert.equal(rcode({ questions: [question, question] }), 1);
  assert.equal(rcode({ questions: [{ ...question, class: CLASS.CH }] }), 5);
  for (const type of [TYPE.AXFR, TYPE.IXFR]) assert.equal(rcode({ questions: [{ ...question, type }] }), 5);
  for (const type of [0, TYPE.OPT, TYPE.TSIG]) assert.equal(rcode({ questions: [{ ...question, type }] }), 1);
  for (const type of [253, 254]) assert.equal(rcode({ questions: [{ ...question, type }] }), 4);
  assert.equal(rcode({ additionals: [opt, opt] }), 1);
  assert.equal(rcode({ additionals: [{ ...opt, name: "x.test" }] }), 1);
  assert.equal(rcode({ isResponse: true }), null);
});

test("a stale witness answers with a short TTL and says so, or fails, as configured", async () => {
  try {
    current = { zones: [{ ...ZONE, stale: true }] };
    const stale = await ask("app.pm.test", "A");
    assert.deepEqual(
      stale.answers.map((record) => record.ttl),
      [5, 5],
    );
    const options = stale.message.additionals[0]?.rdata ?? Buffer.alloc(0);
    assert.equal(options.readUInt16BE(0), 15);
    assert.equal(options.readUInt16BE(4), 3);
    current = { zones: [{ ...ZONE, stale: true, staleness: "servfail" }, SUB] };
    assert.equal((await ask("app.pm.test", "A")).rcode, "SERVFAIL");
    assert.equal((await ask("nope.pm.test", "A")).rcode, "SERVFAIL");
    assert.equal((await ask("x.sub.pm.test", "A")).rcode, "NOERROR");
  } finally {
    current = DATA;
  }
});

test("a zone that cannot be served fails alone, and a person is told which record is wrong", async () => {
  try {
    current = {
      zones: [
        SUB,
        { ...ZONE, records: [{ name: "app.pm.test", type: "A", ttlSeconds: 5, values: ["nonsense"] }] },
      ],
    };
    assert.equal((await ask("app.pm.test", "A")).rcode, "SERVFAIL");
    assert.equal((await ask("x.sub.pm.test", "A")).rcode, "NOERROR");
    assert.ok(
      problems.some((text) => text.includes('"nonsense" is no IPv4 address')),
      problems.join("\n"),
    );
  } finally {
    current = DATA;
  }
});

test("whatever bytes come, there is an answer that the library can read, or none", () => {
  const check = (bytes: Buffer): void => {
    for (const transport of ["udp", "tcp"] as const) {
      const reply = answerDns(bytes, DATA, transport);
      if (reply === null) continue;
      assert.equal(reply.bytes.readUInt16BE(0), bytes.readUInt16BE(0));
      assert.equal((reply.bytes.readUInt16BE(2) & 0x8000) !== 0, true);
      assert.ok(transport === "tcp" || reply.bytes.length <= 1232);
      decodeMessage(reply.bytes);
    }
  };
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => check(Buffer.from(bytes))),
    { numRuns: 1_000 },
  );
  const anyMessage = message(wildName, wildRecord, fc.integer({ min: 0, max: 15 }));
  fc.assert(
    fc.property(anyMessage, fc.nat(), fc.nat({ max: 255 }), (one, at, value) => {
      const bytes = encodeMessage(one);
      check(bytes);
      bytes[at % bytes.length] = value;
      check(bytes);
    }),
    { numRuns: 300 },
  );
});

test("names of any bytes below the zone get NXDOMAIN with their own bytes back", () => {
  fc.assert(
    fc.property(wildName, (prefix) => {
      const name = prefix === "." ? "zz.pm.test" : `${prefix}.zz.pm.test`;
      const questions = [{ name, type: TYPE.A, class: CLASS.IN }];
      let bytes: Buffer;
      try {
        bytes = encodeMessage({ ...EMPTY_MESSAGE, questions });
      } catch {
        return;
      }
      const reply = decodeMessage(answerDns(bytes, DATA, "udp")?.bytes ?? Buffer.alloc(0));
      assert.equal(reply.rcode, 3);
      assert.deepEqual(reply.questions, questions);
    }),
  );
});

test("garbage over UDP does not stop the next honest question", async () => {
  const socket = createSocket("udp4");
  for (const size of [0, 1, 11, 12, 13, 500, 1400]) {
    const junk = Buffer.alloc(size, 0x3f);
    await new Promise<void>((resolve) => socket.send(junk, server.port, "127.0.0.1", () => resolve()));
  }
  socket.close();
  assert.equal((await ask("app.pm.test", "A")).answers.length, 2);
});

function connect(): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host: "127.0.0.1", port: server.port });
    socket.once("connect", () => resolve(socket));
    socket.once("error", reject);
    socket.on("error", () => {});
  });
}

const closed = (socket: Socket): Promise<void> =>
  new Promise((resolve) => {
    socket.resume();
    if (socket.destroyed) resolve();
    else socket.once("close", () => resolve());
  });

const tcpQuestion = (id: number): Buffer =>
  dnsPacket.streamEncode({ type: "query", id, questions: [{ type: "A", name: "app.pm.test" }] });

test("many questions in one segment are all answered, and one cut in two waits for its rest", async () => {
  const socket = await connect();
  const ids: number[] = [];
  let received: Buffer = Buffer.alloc(0);
  const done = new Promise<void>((resolve) => {
    socket.on("data", (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
        ids.push(dnsPacket.decode(received.subarray(2, 2 + received.readUInt16BE(0))).id ?? -1);
        received = received.subarray(2 + received.readUInt16BE(0));
      }
      if (ids.length === 51) resolve();
    });
  });
  const all = Buffer.concat(Array.from({ length: 51 }, (_, id) => tcpQuestion(id)));
  socket.write(all.subarray(0, all.length - 5));
  await new Promise((resolve) => setTimeout(resolve, 50));
  socket.write(all.subarray(all.length - 5));
  await done;
  assert.deepEqual(
    ids,
    Array.from({ length: 51 }, (_, id) => id),
  );
  socket.destroy();
});

test("a connection that brings no whole question is closed, however busily it sends bytes", async () => {
  const socket = await connect();
  const startedAt = performance.now();
  const trickle = setInterval(() => socket.write(Buffer.from([0x10])), 50);
  await closed(socket);
  clearInterval(trickle);
  const tookMs = performance.now() - startedAt;
  assert.ok(tookMs >= 350 && tookMs < 3_000, `${tookMs}`);
});

test("a connection that goes on asking is kept past the idle limit", async () => {
  const socket = await connect();
  let answers = 0;
  socket.on("data", () => answers++);
  for (let at = 0; at < 6; at++) {
    socket.write(tcpQuestion(at));
    await new Promise((resolve) => setTimeout(resolve, 120));
  }
  assert.equal(answers, 6);
  socket.destroy();
});

test("more connections than allowed are closed at once and free places are used again", async () => {
  const sockets = await Promise.all(Array.from({ length: 8 }, () => connect()));
  const refusedBefore = server.stats().tcpRefused;
  const extra = await connect();
  await closed(extra);
  assert.equal(server.stats().tcpRefused, refusedBefore + 1);
  for (const socket of sockets) socket.destroy();
  await Promise.all(sockets.map(closed));
  for (let trial = 0; server.stats().tcpOpen > 0 && trial < 100; trial++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.equal((await ask("app.pm.test", "A", true)).answers.length, 2);
});

test("a thousand questions in one segment do not hold up what else the process has to do", async () => {
  let inTurn = 0;
  let most = 0;
  const counting = await startDnsServer({
    host: "127.0.0.1",
    port: 0,
    lookup: () => {
      inTurn++;
      most = Math.max(most, inTurn);
      return DATA;
    },
  });
  let counts = true;
  const turn = (): void => {
    inTurn = 0;
    if (counts) setImmediate(turn);
  };
  turn();
  const socket = createConnection(counting.port, "127.0.0.1");
  socket.resume();
  socket.write(Buffer.concat(Array.from({ length: 1000 }, (_, id) => tcpQuestion(id))));
  await until("all are answered", () => counting.stats().tcpQueries === 1000);
  counts = false;
  socket.destroy();
  await counting.close();
  assert.ok(most <= 32, `${most} questions were answered in one turn`);
});

test("a peer that asks and never reads does not fill our memory", async () => {
  const socket = await connect();
  socket.pause();
  // 31 bytes ask for 2.3 kB: all of these would be 115 MB of answers.
  const question = dnsPacket.streamEncode({
    type: "query",
    id: 1,
    questions: [{ type: "TXT", name: "big.pm.test" }],
  });
  const before = server.stats().tcpQueries;
  socket.write(Buffer.concat(Array.from({ length: 50_000 }, () => question)));
  // The idle limit ends it, because no further question is taken.
  for (let trial = 0; trial < 500 && (trial < 5 || server.stats().tcpOpen > 0); trial++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  socket.destroy();
  assert.ok(
    server.stats().tcpQueries - before < 20_000,
    `${server.stats().tcpQueries - before} were answered`,
  );
  assert.equal((await ask("app.pm.test", "A")).answers.length, 2);
});

test("a port that another program has is told with address and remedy", async () => {
  for (const [blocker, protocol] of [
    ["udp", "UDP"],
    ["tcp", "TCP"],
  ] as const) {
    const other = await startDnsServer({ host: "127.0.0.1", port: 0, lookup: () => DATA });
    let port = other.port;
    let udp: ReturnType<typeof createSocket> | null = null;
    if (blocker === "udp") {
      await other.close();
      const socket = createSocket("udp4");
      await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
      port = socket.address().port;
      udp = socket;
    }
    await assert.rejects(
      startDnsServer({ host: "127.0.0.1", port, lookup: () => DATA }),
      (error: unknown) => {
        assert.ok(error instanceof DnsServerError);
        assert.equal(error.code, "dns_listen_in_use");
        assert.match(
          error.message,
          new RegExp(`127.0.0.1:${port} \\(${protocol}\\): another program has it`),
        );
        return true;
      },
    );
    udp?.close();
    if (blocker === "tcp") await other.close();
  }
  await assert.rejects(startDnsServer({ host: "192.0.2.1", port: 0, lookup: () => DATA }), {
    code: "dns_listen_address",
  });
});

test("it listens on IPv6 too", async () => {
  const v6 = await startDnsServer({ host: "::1", port: 0, lookup: () => DATA });
  try {
    for (const tcp of [false, true]) {
      const answer = await queryDns(`[::1]:${v6.port}`, "app.pm.test", "AAAA", { timeoutMs: 5_000, tcp });
      assert.equal(answer.answers[0]?.value, "2001:db8::1");
    }
  } finally {
    await v6.close();
  }
});

test("a snapshot that cannot be had is SERVFAIL, and told once a second at most", async () => {
  const told: string[] = [];
  const broken = await startDnsServer({
    host: "127.0.0.1",
    port: 0,
    lookup: () => {
      throw new Error("no state yet");
    },
    onProblem: (text) => told.push(text),
  });
  try {
    for (let at = 0; at < 5; at++) {
      const answer = await queryDns(`127.0.0.1:${broken.port}`, "app.pm.test", "A", { timeoutMs: 5_000 });
      assert.equal(answer.rcode, "SERVFAIL");
    }
    assert.equal(told.length, 1);
    assert.match(told[0] ?? "", /no state yet/);
  } finally {
    await broken.close();
  }
});

/** Only a raw socket can send from port 0; Node has none. */
const RAW = process.getuid?.() === 0 || process.env["CI"] === "true" ? false : "needs root, for a raw socket";

test("a packet from port 0, to which nobody can answer, does not end the process", {
  skip: RAW,
}, async () => {
  const before = server.stats().dropped;
  const query = encodeMessage({
    ...EMPTY_MESSAGE,
    questions: [{ name: "app.pm.test", type: TYPE.A, class: CLASS.IN }],
  });
  const header = Buffer.alloc(8);
  header.writeUInt16BE(server.port, 2);
  header.writeUInt16BE(8 + query.length, 4);
  const send = `import socket
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
raw.sendto(bytes.fromhex("${Buffer.concat([header, query]).toString("hex")}"), ("127.0.0.1", 0))`;
  await promisify(execFile)("python3", ["-c", send]);
  for (let waits = 0; waits < 500 && server.stats().dropped === before; waits++)
    await new Promise((resolve) => setTimeout(resolve, 10));
  assert.equal(server.stats().dropped, before + 1);
  assert.equal((await ask("app.pm.test", "A")).rcode, "NOERROR");
});

const DIG =
  existsSync("/usr/bin/dig") || process.env["CI"] === "true"
    ? false
    : "dig is not installed (bind9-dnsutils)";

test("dig finds nothing to complain about", { skip: DIG }, async () => {
  // Not the synchronous call: the server that it asks runs in this process.
  const dig = async (...words: string[]): Promise<string> => {
    const common = ["@127.0.0.1", "-p", String(server.port), "+norec", "+tries=1", "+time=5"];
    return (await promisify(execFile)("dig", [...common, ...words])).stdout;
  };
  for (const words of [
    ["app.pm.test", "A"],
    ["app.pm.test", "A", "+tcp"],
    ["app.pm.test", "A", "+noedns"],
    ["pm.test", "SOA"],
    ["big.pm.test", "TXT"],
    ["www.pm.test", "AAAA", "+dnssec"],
  ]) {
    const text = await dig(...words);
    assert.match(text, /status: NOERROR/, words.join(" "));
    assert.match(text, /flags: qr aa/, words.join(" "));
    assert.doesNotMatch(text, /WARNING|malformed|extra bytes|mismatch/i, words.join(" "));
  }
  assert.match(await dig("big.pm.test", "TXT", "+ignore"), /flags: qr aa tc/);
  assert.match(await dig("app.pm.test", "A", "+edns=1", "+noednsnegotiation"), /status: BADVERS/);
  const key = `hmac-sha256:k:${Buffer.alloc(32).toString("base64")}`;
  assert.match(await dig("app.pm.test", "A", "-y", key), /BADKEY/);
  assert.match(await dig("b.pm.test", "A"), /status: NOERROR[\s\S]*ANSWER: 0, AUTHORITY: 1/);
});
