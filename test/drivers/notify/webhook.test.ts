/**
 * Webhooks against real servers that answer, redirect, stay silent and break off.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from "node:net";
import { describe, type TestContext, test } from "node:test";
import type { StepOutcome } from "../../../src/core/model/state.js";
import { postWebhook, showUrl } from "../../../src/drivers/notify/webhook.js";

const body = { group: "shop", epoch: 7, text: "moved ä" };

async function listen(context: TestContext, server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  context.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

function post(port: number, timeoutMs = 5000, signal?: AbortSignal): Promise<StepOutcome> {
  const url = `http://127.0.0.1:${port}/hooks/T0SECRET`;
  return postWebhook({
    url,
    body,
    idempotencyKey: "shop:7:announce",
    timeoutMs,
    ...(signal === undefined ? {} : { signal }),
  });
}

/** A server that answers every request by `answer`. */
function http(
  context: TestContext,
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<number> {
  return listen(context, createServer(answer));
}

/** A server that says `reply` once something came in, and then nothing. */
function raw(context: TestContext, reply: string | null, end = false): Promise<number> {
  const server = createTcpServer((socket) => {
    socket.once("data", () => {
      if (reply !== null) socket.write(reply);
      if (end) socket.destroy();
    });
  });
  return listen(context, server);
}

describe("a webhook", () => {
  test("gets the JSON, its length and the idempotency key, in one POST", async (context) => {
    const seen: { method?: string | undefined; key?: unknown; body: string }[] = [];
    const port = await http(context, (request, response) => {
      let text = "";
      request.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      request.on("end", () => {
        seen.push({ method: request.method, key: request.headers["idempotency-key"], body: text });
        response.writeHead(202).end("thank\nyou");
      });
    });
    const outcome = await post(port);
    assert.equal(outcome.kind, "done");
    assert.equal(outcome.detail, "thank you");
    assert.deepEqual(seen, [{ method: "POST", key: "shop:7:announce", body: JSON.stringify(body) }]);
  });

  const statuses: [number, StepOutcome["kind"], boolean][] = [
    [200, "done", false],
    [204, "done", false],
    [301, "failed", false],
    [307, "failed", false],
    [400, "failed", false],
    [404, "failed", false],
    [408, "failed", true],
    [429, "failed", true],
    [500, "failed", true],
    [503, "failed", true],
  ];
  for (const [status, kind, retriable] of statuses) {
    test(`that answers ${status} is ${kind}${retriable ? ", and tried again" : ""}`, async (context) => {
      let count = 0;
      const port = await http(context, (_, response) => {
        count++;
        response.writeHead(status, { location: `http://127.0.0.1:${port}/elsewhere` }).end();
      });
      const outcome = await post(port);
      assert.deepEqual([outcome.kind, outcome.retriable], [kind, retriable], outcome.message);
      assert.equal(count, 1, "a redirect was followed");
      assert.ok(!outcome.message.includes("T0SECRET"), "the path of the URL is shown");
    });
  }

  test("that accepts and never answers ends at its timeout, as unknown", async (context) => {
    const port = await raw(context, null);
    const startedAt = performance.now();
    const outcome = await post(port, 200);
    assert.deepEqual([outcome.kind, outcome.code, outcome.retriable], ["unknown", "webhook_timeout", true]);
    const tookMs = performance.now() - startedAt;
    assert.ok(tookMs >= 195 && tookMs < 3000, `${tookMs}`);
  });

  test("that trickles its header for ever ends at its timeout", async (context) => {
    const server = createTcpServer((socket) => {
      socket.write("HTTP/1.1 200 OK\r\n");
      const timer = setInterval(() => socket.write("x: y\r\n"), 20);
      socket.on("close", () => clearInterval(timer));
      socket.resume();
    });
    const outcome = await post(await listen(context, server), 200);
    assert.deepEqual([outcome.kind, outcome.code], ["unknown", "webhook_timeout"]);
  });

  test("that says 200 and never ends its body is done, without waiting for the body", async (context) => {
    const outcome = await post(await raw(context, "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc"), 5000);
    assert.deepEqual([outcome.kind, outcome.detail], ["done", "abc"]);
  });

  test("that sends a body without end is done, and a kilobyte of it is kept", async (context) => {
    let written = 0;
    const port = await http(context, (_, response) => {
      response.writeHead(200);
      const pump = (): void => {
        do written += 65_536;
        while (!response.destroyed && response.write("y".repeat(65_536)));
        if (!response.destroyed) response.once("drain", pump);
      };
      pump();
    });
    const outcome = await post(port);
    assert.equal(outcome.kind, "done");
    assert.equal(outcome.detail.length, 1024);
    // What socket buffers hold, not what half a second of reading brings.
    assert.ok(written < 20_000_000, `${written} bytes were read`);
  });

  for (const [name, reply] of [
    ["garbage", "\0\x01\x02 not http at all\r\n\r\n"],
    ["a header of a megabyte", `HTTP/1.1 200 OK\r\nx: ${"y".repeat(1_000_000)}\r\n\r\n`],
  ] as const) {
    test(`that answers with ${name} is unknown: it may have been delivered`, async (context) => {
      const outcome = await post(await raw(context, reply));
      assert.deepEqual([outcome.kind, outcome.code], ["unknown", "webhook_broken"], outcome.message);
    });
  }

  test("that cuts the connection after it was told is unknown", async (context) => {
    const outcome = await post(await raw(context, null, true));
    assert.deepEqual([outcome.kind, outcome.code], ["unknown", "webhook_broken"], outcome.message);
  });

  test("that nobody listens to has failed for sure, and may be tried again", async (context) => {
    const server = createTcpServer();
    const port = await listen(context, server);
    server.close();
    await once(server, "close");
    const outcome = await post(port);
    assert.deepEqual(
      [outcome.kind, outcome.code, outcome.retriable],
      ["failed", "webhook_unreachable", true],
    );
  });

  test("that speaks no TLS on an https URL has failed and does not hang", async (context) => {
    const port = await raw(context, "HTTP/1.1 400 Bad Request\r\n\r\n");
    const url = `https://127.0.0.1:${port}/`;
    const outcome = await postWebhook({ url, body, idempotencyKey: "k", timeoutMs: 2000 });
    assert.equal(outcome.kind, "failed");
  });

  test("ends when the step is stopped, before and while it runs", async (context) => {
    const port = await raw(context, null);
    const controller = new AbortController();
    const running = post(port, 30_000, controller.signal);
    setTimeout(() => controller.abort(), 100);
    const outcome = await running;
    assert.deepEqual([outcome.kind, outcome.code], ["unknown", "cancelled"]);
    assert.deepEqual([(await post(port, 30_000, controller.signal)).kind], ["failed"]);
  });

  test("is shown by scheme and host only, because the path may be a secret", () => {
    assert.equal(showUrl("https://user:pw@chat.example.com/hooks/T0SECRET?x=1"), "https://chat.example.com");
    assert.equal(showUrl("nonsense"), "(no URL)");
  });
});
