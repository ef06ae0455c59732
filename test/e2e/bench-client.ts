/**
 * One client process of `npm run bench:raft`: keeps so many requests under way for so long, and reports how
 * long each took.
 *
 * Both systems are driven by the same loop over one HTTP/2 connection (node:http2; gRPC's framing is five
 * bytes), because a gRPC client library would cost more than either system and hide both. etcd: one unary
 * KV.Put a request, there is no stream for it. Ours: the requests of one Exercise stream.
 *
 * Started with IPC: `{address, system}` in argv, then orders in, results out.
 */
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from "node:http2";
import { fileURLToPath } from "node:url";
import type { MethodDefinition } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { adminMethod } from "../../src/drivers/server/admin-proto.js";

/** What a client process is asked to do. */
export interface LoadOrder {
  readonly clients: number;
  readonly seconds: number;
  /** Size of a value. */
  readonly bytes: number;
}

/** What it has seen. */
export interface LoadResult {
  /** Of each answered request, in the order of the answers. Unit: µs. */
  readonly micros: Float64Array;
  /** First words of the first refusal, and how many there were. */
  readonly refused: number;
  readonly refusal: string | null;
  /** From the first request to the last answer. */
  readonly seconds: number;
  /** This process's own CPU time meanwhile. */
  readonly cpuSeconds: number;
}

/** Sends one value for client `client`; calls back with null, or with the words of a refusal. */
type Send = (client: number, value: Buffer, done: (refusal: string | null) => void) => void;

const HEADERS = { ":method": "POST", "content-type": "application/grpc", te: "trailers" };

function framed(message: Buffer): Buffer {
  const frame = Buffer.allocUnsafe(5 + message.length);
  frame.writeUInt8(0, 0);
  frame.writeUInt32BE(message.length, 1);
  message.copy(frame, 5);
  return frame;
}

function etcdSend(session: ClientHttp2Session): Send {
  const definition = loadSync("etcd-kv.proto", {
    includeDirs: [fileURLToPath(new URL("../../../test/e2e", import.meta.url))],
  });
  const service = definition["etcdserverpb.KV"] as unknown as Record<
    string,
    MethodDefinition<object, object>
  >;
  const put = service["Put"];
  if (put === undefined) throw new Error("etcd-kv.proto has no Put");
  return (client, value, done) => {
    const stream = session.request({ ...HEADERS, ":path": put.path });
    let outcome: string | null = "the stream ended without a status";
    const onStatus = (headers: Readonly<Record<string, unknown>>): void => {
      const status = headers["grpc-status"];
      if (status !== undefined)
        outcome = String(status) === "0" ? null : String(headers["grpc-message"] ?? status);
    };
    // A refusal comes as headers alone, a success in the trailers.
    stream.on("response", onStatus);
    stream.on("trailers", onStatus);
    stream.on("error", (error) => {
      outcome = error.message;
    });
    stream.on("close", () => done(outcome));
    stream.resume();
    stream.end(framed(put.requestSerialize({ key: Buffer.from(`bench/${client}`), value })));
  };
}

function exerciseSend(session: ClientHttp2Session): Send {
  const method = adminMethod("Exercise");
  const stream: ClientHttp2Stream = session.request({ ...HEADERS, ":path": method.path });
  const waiting = new Map<number, (refusal: string | null) => void>();
  let received: Buffer = Buffer.alloc(0);
  const end = (why: string): void => {
    for (const [tag, done] of waiting) {
      waiting.delete(tag);
      done(why);
    }
  };
  stream.on("data", (chunk: Buffer) => {
    received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
    let at = 0;
    for (;;) {
      const length = received.length - at < 5 ? Number.POSITIVE_INFINITY : received.readUInt32BE(at + 1);
      if (received.length - at < 5 + length) break;
      const answer = method.responseDeserialize(received.subarray(at + 5, at + 5 + length));
      at += 5 + length;
      const tag = answer["tag"] as number;
      const done = waiting.get(tag);
      waiting.delete(tag);
      const refused = answer["refused"] as { code: string; message: string } | null | undefined;
      done?.(refused === null || refused === undefined ? null : `${refused.code}: ${refused.message}`);
    }
    received = received.subarray(at);
  });
  stream.on("error", (error) => end(error.message));
  stream.on("close", () => end("the stream was closed"));
  return (client, value, done) => {
    waiting.set(client, done);
    stream.write(framed(method.requestSerialize({ tag: client, data: value })));
  };
}

/** Each client sends its next value when the last one is answered. */
function load(send: Send, { clients, seconds, bytes }: LoadOrder): Promise<LoadResult> {
  return new Promise((resolve) => {
    const value = Buffer.alloc(bytes, "v");
    const micros: number[] = [];
    let refused = 0;
    let refusal: string | null = null;
    let running = clients;
    const cpuBefore = process.cpuUsage();
    const startedAt = performance.now();
    const endsAt = startedAt + seconds * 1000;
    const next = (client: number): void => {
      const sentAt = performance.now();
      if (sentAt < endsAt) {
        send(client, value, (why) => {
          if (why === null) micros.push((performance.now() - sentAt) * 1000);
          else {
            refused += 1;
            refusal ??= why;
          }
          // A refusal is not asked again at once: that would be a busy loop.
          if (why === null) next(client);
          else setTimeout(next, 10, client);
        });
        return;
      }
      running -= 1;
      if (running > 0) return;
      const cpu = process.cpuUsage(cpuBefore);
      resolve({
        micros: Float64Array.from(micros),
        refused,
        refusal,
        seconds: (performance.now() - startedAt) / 1000,
        cpuSeconds: (cpu.user + cpu.system) / 1e6,
      });
    };
    for (let client = 0; client < clients; client++) next(client);
  });
}

const [address = "", system = ""] = process.argv.slice(2);
const session = connect(`http://${address}`, { settings: { initialWindowSize: 1 << 20 } });
session.on("error", (error) => {
  console.error(`${system} at ${address}: ${error.message}`);
  process.exit(1);
});
const send = system === "etcd" ? etcdSend(session) : exerciseSend(session);
process.on("message", (order: LoadOrder) => {
  void load(send, order).then((result) => process.send?.(result));
});
process.on("disconnect", () => process.exit(0));
session.once("connect", () => process.send?.("ready"));
