/**
 * The admin server over real gRPC on loopback: data arrive whole, bad requests are refused at the border, refusals keep
 * their code, clients that vanish leave nothing behind, and a stop leaves nobody hanging.
 */
import assert from "node:assert/strict";
import { createServer } from "node:net";
import { afterEach, beforeEach, describe, it } from "node:test";
import { Client, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { protoPath as healthProtoPath } from "grpc-health-check";
import { epoch, logIndex, siteId, witnessId } from "../../../src/core/base/ids.js";
import { REFUSAL_CODES, type RefusalCode } from "../../../src/core/model/code.js";
import { type AdminServer, startAdminServer } from "../../../src/drivers/server/admin.js";
import { type AdminConnection, connectAdmin } from "../../../src/drivers/server/admin-client.js";
import { ADMIN_SERVICE } from "../../../src/drivers/server/admin-proto.js";
import { GRPC_STATUS } from "../../../src/drivers/server/grpc-status.js";
import {
  EXPLANATION,
  MEMBERS_REPORT,
  record,
  SampleBackend,
  SILENT_LOG,
  STATUS,
  until,
  W2,
} from "./admin-samples.js";

let backend: SampleBackend;
let server: AdminServer;
let connection: AdminConnection;
let raw: Client;

beforeEach(async () => {
  backend = new SampleBackend();
  server = await startAdminServer({ address: "127.0.0.1:0", backend, log: SILENT_LOG, version: "0.1.0" });
  const address = `127.0.0.1:${server.port}`;
  connection = await connectAdmin(address, 30_000);
  raw = new Client(address, credentials.createInsecure(), { "grpc.max_send_message_length": -1 });
});

afterEach(async () => {
  connection.close();
  raw.close();
  await server.close(0);
});

/** Sends bytes as they are; resolves with the error, or null when the server accepted them. */
function sendBytes(path: string, bytes: Uint8Array): Promise<ServiceError | null> {
  return new Promise((resolve) => {
    raw.makeUnaryRequest(
      path,
      (value: Uint8Array) => Buffer.from(value),
      (value) => value,
      bytes,
      { deadline: Date.now() + 10_000 },
      (error) => resolve(error),
    );
  });
}

/** A protobuf field of wire type 2: bytes. */
function field(number: number, value: string | Uint8Array): Buffer {
  const bytes = Buffer.from(value);
  const length: number[] = [];
  for (let rest = bytes.length; ; rest = Math.floor(rest / 128)) {
    length.push(rest >= 128 ? (rest % 128) | 0x80 : rest);
    if (rest < 128) break;
  }
  return Buffer.concat([Buffer.from([(number << 3) | 2, ...length]), bytes]);
}

describe("reads", () => {
  it("loses no field of a status report on the wire", async () => {
    const answer = await connection.request({ kind: "status", linearizable: true }, 30_000);
    assert.deepEqual(answer, { kind: "status", status: STATUS });
    assert.deepEqual(backend.requests, [{ kind: "status", linearizable: true }]);
  });

  it("loses no field of an explanation on the wire", async () => {
    const answer = await connection.request({ kind: "explain", group: "shop" }, 30_000);
    assert.deepEqual(answer, { kind: "explain", explanation: EXPLANATION });
  });

  it("keeps what is absent apart from what is zero", async () => {
    backend.answer = () => ({
      kind: "status",
      status: {
        ...STATUS,
        raft: { ...STATUS.raft, leader: null },
        leaderContactAgeMs: null,
        configVersion: null,
        witnesses: [],
        groups: [],
      },
    });
    const answer = await connection.request({ kind: "status", linearizable: false }, 30_000);
    assert.equal(answer.kind === "status" && answer.status.leaderContactAgeMs, null);
    assert.equal(answer.kind === "status" && answer.status.raft.leader, null);
    backend.answer = () => ({
      kind: "status",
      status: { ...STATUS, leaderContactAgeMs: 0, configVersion: 0 },
    });
    const zero = await connection.request({ kind: "status", linearizable: false }, 30_000);
    assert.equal(zero.kind === "status" && zero.status.leaderContactAgeMs, 0);
    assert.equal(zero.kind === "status" && zero.status.configVersion, 0);
  });

  it("pages through the history without losing records that share an index", async () => {
    backend.records = [
      record(1, 0),
      record(2, 0),
      record(2, 1),
      record(2, 2),
      record(3, 0, "other"),
      record(4, 0),
    ];
    const first = await connection.history(
      { group: "shop", since: { index: 1, seq: null }, limit: 2 },
      30_000,
    );
    assert.ok("records" in first);
    assert.deepEqual(first.records, [record(2, 0), record(2, 1)]);
    assert.equal(first.more, true);
    const second = await connection.history({ group: "shop", since: { index: 2, seq: 1 }, limit: 2 }, 30_000);
    assert.ok("records" in second);
    assert.deepEqual(second.records, [record(2, 2), record(4, 0)]);
    assert.equal(second.more, false);
    const newest = await connection.history({ group: null, since: null, limit: 2 }, 30_000);
    assert.ok("records" in newest);
    assert.deepEqual(newest.records, [record(3, 0, "other"), record(4, 0)]);
  });

  it("says when the records that were asked for are not kept any more", async () => {
    backend.records = Array.from({ length: 2000 }, (_, at) => record(at + 501, 0));
    const gone = await connection.history(
      { group: null, since: { index: 100, seq: null }, limit: 5 },
      30_000,
    );
    assert.equal("records" in gone && gone.truncatedBeforeIndex, 501);
    const kept = await connection.history(
      { group: null, since: { index: 501, seq: null }, limit: 5 },
      30_000,
    );
    assert.equal("records" in kept && kept.truncatedBeforeIndex, null);
    const newest = await connection.history({ group: null, since: null, limit: 5 }, 30_000);
    assert.equal("records" in newest && newest.truncatedBeforeIndex, null);
  });
});

describe("writes", () => {
  it("hands every field to the backend and the decision back", async () => {
    const switchover = {
      kind: "switchover",
      group: "shop",
      to: siteId("paris"),
      by: "anna",
      reason: "disk swap, ticket 4711: ä €",
    } as const;
    assert.deepEqual(await connection.request(switchover, 30_000), {
      kind: "accepted",
      index: logIndex(4713),
      epoch: epoch(6),
      message: "switchover is decided",
    });
    const session = { id: "0123456789abcdef", sequence: Number.MAX_SAFE_INTEGER };
    const hold = { kind: "hold", group: "shop", by: "anna", reason: "disk swap", session } as const;
    const resume = { kind: "resume", group: "shop", by: "anna", session } as const;
    const transfer = { kind: "transfer", to: witnessId("w3") } as const;
    for (const request of [hold, resume, transfer]) {
      const answer = await connection.request(request, 30_000);
      assert.equal(answer.kind === "accepted" && answer.epoch, null);
    }
    assert.deepEqual(backend.requests, [switchover, hold, resume, transfer]);
  });

  it("carries the members and every field of the requests that change them", async () => {
    const w3 = witnessId("w3");
    const place = { site: siteId("paris"), peers: ["10.2.0.5:7400"], dns: "10.2.0.5:53" };
    const none = { site: null, dns: null };
    const requests = [
      { kind: "member_add", witness: w3, ...place, admin: "10.2.0.5:7401", by: "anna" },
      { kind: "member_add", witness: w3, ...none, peers: ["h:1", "h:2"], admin: "h:3", by: "anna" },
      { kind: "member_promote", witness: w3, by: "anna" },
      { kind: "member_remove", witness: w3, force: true, by: "anna" },
      {
        kind: "member_replace",
        witness: w3,
        successor: null,
        ...none,
        peers: [],
        admin: null,
        force: false,
        by: "a",
      },
      {
        kind: "member_replace",
        witness: w3,
        successor: witnessId("w4"),
        ...place,
        admin: "h:3",
        force: true,
        by: "anna",
      },
    ] as const;
    for (const request of requests) {
      const answer = await connection.request(request, 30_000);
      assert.equal(answer.kind, "accepted", JSON.stringify(answer));
    }
    assert.deepEqual(backend.requests, requests);
    const answer = await connection.request({ kind: "members" }, 30_000);
    assert.deepEqual(answer, { kind: "members", report: MEMBERS_REPORT });
  });

  it("refuses addresses that no document could hold, with field, value and remedy", async () => {
    const base = { kind: "member_add", witness: witnessId("w4"), site: null, dns: null, by: "anna" } as const;
    for (const [change, message] of [
      [{ peers: [], admin: "h:1" }, /peers has 0 addresses: give 1 to 16/],
      [{ peers: ["h:1", "H:1"], admin: "h:1" }, /peers has h:1 twice/],
      [{ peers: ["10.0.0.256:1"], admin: "h:1" }, /peers is "10\.0\.0\.256:1", which has no host name/],
      [{ peers: ["fe80::1"], admin: "h:1" }, /IPv6 address without brackets/],
      [{ peers: ["h:0"], admin: "h:1" }, /port out of bounds/],
      [{ peers: ["h:1"], admin: "h" }, /admin is "h", which is no host:port: give host:port/],
    ] as const) {
      const answer = await connection.request({ ...base, ...change }, 30_000);
      assert.equal(answer.kind === "refused" && answer.code, "invalid");
      assert.match(answer.kind === "refused" ? answer.message : "", message);
    }
    assert.deepEqual(backend.requests, []);
  });

  for (const code of Object.keys(REFUSAL_CODES) as RefusalCode[]) {
    it(`carries the refusal ${code} with its code, message and leader to the client`, async () => {
      const refusal = { kind: "refused", code, message: `why: ${code}, naïve`, leader: W2 } as const;
      backend.answer = () => refusal;
      assert.deepEqual(
        await connection.request({ kind: "resume", group: "shop", by: "anna" }, 30_000),
        refusal,
      );
      backend.answer = () => ({ ...refusal, leader: null });
      const error = await sendBytes(
        `/${ADMIN_SERVICE}/Resume`,
        Buffer.concat([field(1, "shop"), field(2, "anna")]),
      );
      assert.equal(error?.code, GRPC_STATUS[code]);
      assert.deepEqual(error?.metadata.get("pointsman-code"), [code]);
      assert.deepEqual(error?.metadata.get("pointsman-leader"), []);
    });
  }

  it("never lets a generic client retry what may have happened", () => {
    const retried = [status.UNAVAILABLE, status.DEADLINE_EXCEEDED, status.ABORTED, status.RESOURCE_EXHAUSTED];
    assert.ok(!retried.includes(GRPC_STATUS.unknown_outcome));
  });

  it("tells the client that an unanswered write may have happened, and the backend that nobody waits", async () => {
    backend.answer = () => null;
    const answer = await connection.request({ kind: "resume", group: "shop", by: "anna" }, 200);
    assert.equal(answer.kind === "refused" && answer.code, "unknown_outcome");
    await until("the backend is told", () => backend.signals[0]?.aborted === true);
  });

  it("answers INTERNAL without the inside of the error when the backend throws", async () => {
    backend.answer = () => {
      throw new Error("secret inside");
    };
    const error = await sendBytes(`/${ADMIN_SERVICE}/Status`, new Uint8Array());
    assert.equal(error?.code, status.INTERNAL);
    assert.ok(!error?.details.includes("secret"));
  });
});

describe("bad input", () => {
  const GARBAGE: readonly (readonly [string, string, Buffer, RegExp])[] = [
    ["an empty group", "Explain", field(1, ""), /group is ""/],
    // protobufjs cuts a string that claims to be longer than the message, in silence.
    ["a group that ends before its length", "Explain", Buffer.from([0x0a, 0xff, 0x01]), /group is ""/],
    ["a group of a thousand characters", "Explain", field(1, "g".repeat(1_000)), /group is "ggg.*1 to 63/],
    ["a group with a line break", "Explain", field(1, "shop\nforged line"), /group is "shop\\nforged line"/],
    ["a group that is not UTF-8", "Explain", field(1, new Uint8Array([0xff, 0xfe])), /group is/],
    [
      "a site with a slash",
      "Switchover",
      Buffer.concat([field(1, "shop"), field(2, "a/b"), field(3, "x")]),
      /to is/,
    ],
    ["nobody who asks", "Resume", field(1, "shop"), /by is empty/],
    [
      "a hold without a reason",
      "Hold",
      Buffer.concat([field(1, "shop"), field(2, "anna")]),
      /reason is empty/,
    ],
    [
      "a session whose id two clients could choose",
      "Resume",
      Buffer.concat([field(1, "shop"), field(2, "anna"), field(3, field(1, "short"))]),
      /session\.id is "short": give 16/,
    ],
    [
      "a session without a number",
      "Resume",
      Buffer.concat([field(1, "shop"), field(2, "anna"), field(3, field(1, "0123456789abcdef"))]),
      /session\.sequence is "0": count/,
    ],
    [
      "a reason of 501 characters",
      "Hold",
      Buffer.concat([field(1, "shop"), field(2, "anna"), field(3, "x".repeat(501))]),
      /reason is 501 characters long/,
    ],
    [
      "a reason with an escape sequence",
      "Hold",
      Buffer.concat([field(1, "shop"), field(2, "anna"), field(3, "\u001b[2Jok")]),
      /reason is "\\u001b\[2Jok"/,
    ],
    [
      "a reason that turns the text direction",
      "Hold",
      Buffer.concat([field(1, "shop"), field(2, "anna"), field(3, "a\u202eb")]),
      /reason is "a\\u202eb"/,
    ],
    [
      "a negative since_index",
      "History",
      Buffer.from([0x10, ...Array(9).fill(0xff), 0x01]),
      /sinceIndex is "-1"/,
    ],
    [
      "a since_index past 2^53",
      "History",
      Buffer.from([0x10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]),
      /sinceIndex is "9223372036854775807"/,
    ],
    ["a limit of 2001", "History", Buffer.from([0x20, 0xd1, 0x0f]), /limit is 2001/],
    [
      "since_seq without since_index",
      "History",
      Buffer.from([0x18, 0x01]),
      /since_seq is set without since_index/,
    ],
  ];

  for (const [what, method, bytes, message] of GARBAGE) {
    it(`refuses ${what} and asks the backend nothing`, async () => {
      const error = await sendBytes(`/${ADMIN_SERVICE}/${method}`, bytes);
      assert.equal(error?.code, status.INVALID_ARGUMENT, error?.details);
      assert.deepEqual(error?.metadata.get("pointsman-code"), ["invalid"]);
      assert.match(error?.details ?? "", message);
      assert.deepEqual(backend.requests, []);
    });
  }

  it("refuses bytes that are no protobuf, and serves on", async () => {
    const error = await sendBytes(`/${ADMIN_SERVICE}/Explain`, Buffer.from([0x0f]));
    assert.equal(error?.code, status.INTERNAL, error?.details);
    const answer = await connection.request({ kind: "explain", group: "shop" }, 30_000);
    assert.equal(answer.kind, "explain");
  });

  it("refuses a message of 100 MB without keeping it, and serves on", async () => {
    const error = await sendBytes(
      `/${ADMIN_SERVICE}/Explain`,
      field(1, Buffer.alloc(100 * 1024 * 1024, 0x67)),
    );
    assert.equal(error?.code, status.RESOURCE_EXHAUSTED);
    assert.deepEqual(backend.requests, []);
    const answer = await connection.request({ kind: "explain", group: "shop" }, 30_000);
    assert.equal(answer.kind, "explain");
  });

  it("answers UNIMPLEMENTED for a method that does not exist", async () => {
    const error = await sendBytes(`/${ADMIN_SERVICE}/Explode`, new Uint8Array());
    assert.equal(error?.code, status.UNIMPLEMENTED);
  });
});

describe("health and reflection", () => {
  const healthMethod = loadSync(healthProtoPath, { enums: String })["grpc.health.v1.Health"] as unknown as {
    Check: {
      path: string;
      requestSerialize(v: object): Buffer;
      responseDeserialize(b: Buffer): { status: string };
    };
  };

  function check(service: string): Promise<string> {
    const { path, requestSerialize, responseDeserialize } = healthMethod.Check;
    return new Promise((resolve) => {
      raw.makeUnaryRequest(path, requestSerialize, responseDeserialize, { service }, (error, answer) =>
        resolve(error === null ? (answer?.status ?? "") : String(status[error.code])),
      );
    });
  }

  it("says NOT_SERVING until the witness says otherwise, and again after", async () => {
    assert.equal(await check(""), "NOT_SERVING");
    server.setServing(true);
    assert.equal(await check(""), "SERVING");
    assert.equal(await check(ADMIN_SERVICE), "SERVING");
    server.setServing(false);
    assert.equal(await check(ADMIN_SERVICE), "NOT_SERVING");
    assert.equal(await check("no.such.Service"), "NOT_FOUND");
  });

  it("lists its services and describes a method to a reflection client", async () => {
    const call = raw.makeBidiStreamRequest(
      "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
      (value: Buffer) => value,
      (value: Buffer) => value.toString("latin1"),
      new Metadata(),
    );
    const answers: string[] = [];
    call.on("data", (text: string) => answers.push(text));
    call.write(field(7, "*"));
    call.write(field(4, "pointsman.v1.Admin.Switchover"));
    await until("both answers are there", () => answers.length === 2);
    const ended = new Promise((resolve) => call.once("status", resolve));
    call.end();
    await ended;
    for (const service of ["pointsman.v1.Admin", "grpc.health.v1.Health"]) {
      assert.ok(answers[0]?.includes(service), `reflection does not list ${service}`);
    }
    assert.ok(answers[1]?.includes("SwitchoverRequest"), "reflection does not describe the request");
  });
});

describe("start and stop", () => {
  it("says that the port is in use, by which address, and what to do", async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
    const address = taken.address();
    assert.ok(address !== null && typeof address === "object");
    await assert.rejects(
      startAdminServer({ address: `127.0.0.1:${address.port}`, backend, log: SILENT_LOG, version: "0.1.0" }),
      (error: Error & { code?: string }) =>
        error.code === "admin_port_in_use" && error.message.includes(`127.0.0.1:${address.port}`),
    );
    await new Promise((resolve) => taken.close(resolve));
  });

  it("does not share its port with a second admin server", async () => {
    await assert.rejects(
      startAdminServer({ address: `127.0.0.1:${server.port}`, backend, log: SILENT_LOG, version: "0.1.0" }),
      { code: "admin_port_in_use" },
    );
  });

  it("names an address that is not of this machine, and one that is nonsense", async () => {
    const start = (address: string) =>
      startAdminServer({ address, backend, log: SILENT_LOG, version: "0.1.0" });
    await assert.rejects(start("192.0.2.1:7401"), { code: "admin_address_not_here" });
    await assert.rejects(start("127.0.0.1:99999"), { name: "AdminServerError" });
  });

  it("lets a call in work end before it closes", async () => {
    let resolve: (() => void) | undefined;
    backend.request = () =>
      new Promise((done) => {
        resolve = () => done({ kind: "accepted", index: logIndex(9), epoch: null, message: "late" });
      });
    const answer = connection.request({ kind: "resume", group: "shop", by: "anna" }, 30_000);
    await until("the call is in work", () => resolve !== undefined);
    const closed = server.close(30_000);
    resolve?.();
    assert.equal((await answer).kind, "accepted");
    await closed;
  });

  it("does not wait longer than its grace for a call that never ends", async () => {
    backend.answer = () => null;
    const answer = connection.request({ kind: "resume", group: "shop", by: "anna" }, 30_000);
    await until("the call is in work", () => backend.requests.length === 1);
    const begin = Date.now();
    await server.close(150);
    assert.ok(Date.now() - begin < 15_000);
    const ended = await answer;
    assert.equal(ended.kind === "refused" && ended.code, "unknown_outcome");
  });
});
