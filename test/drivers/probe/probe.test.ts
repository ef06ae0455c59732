/**
 * Probes against real sockets and programs: every ending is one of four, in time.
 */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import * as http from "node:http";
import * as https from "node:https";
import * as net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { HttpProbe, ProbeSpec } from "../../../src/core/model/config.js";
import type { ProbeResult } from "../../../src/core/model/observation.js";
import { createProber } from "../../../src/drivers/probe/probe.js";

const prober = createProber();
const servers: (http.Server | net.Server)[] = [];
after(() => {
  prober.close();
  for (const server of servers) {
    server.close();
    if (server instanceof http.Server) server.closeAllConnections();
  }
});

async function listen(server: http.Server | net.Server): Promise<number> {
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as net.AddressInfo).port;
}

async function closedPort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function httpSpec(url: string, options: Partial<HttpProbe> = {}): HttpProbe {
  return {
    kind: "http",
    url,
    method: "GET",
    headers: [],
    expectStatus: [[200, 299]],
    expectBody: null,
    tls: { verify: true, caFile: null, serverName: null },
    ...options,
  };
}

async function expectEnd(
  spec: ProbeSpec,
  kind: ProbeResult["kind"],
  text: RegExp,
  timeoutMs = 5000,
): Promise<void> {
  const result = await prober.run(spec, timeoutMs, "shop/a/web");
  assert.equal(result.kind, kind, `${result.kind}: ${result.text}`);
  assert.match(result.text, text);
}

describe("tcp", () => {
  test("a listening port is up, and its connection is not left behind", async () => {
    const sockets: net.Socket[] = [];
    const port = await listen(
      net.createServer((socket) => {
        socket.on("error", () => {});
        sockets.push(socket);
      }),
    );
    await expectEnd({ kind: "tcp", host: "127.0.0.1", port }, "ok", /connected to 127\.0\.0\.1:/);
    for (let i = 0; i < 100 && !sockets[0]?.closed; i++) await new Promise((r) => setTimeout(r, 10));
    assert.equal(sockets[0]?.closed, true);
  });

  test("a closed port is definite, by address and by name", async () => {
    const port = await closedPort();
    await expectEnd(
      { kind: "tcp", host: "127.0.0.1", port },
      "definite",
      /connection refused by 127\.0\.0\.1:/,
    );
    await expectEnd({ kind: "tcp", host: "localhost", port }, "definite", /connection refused by localhost:/);
  });

  test("a host that drops packets is silence within the budget", async () => {
    // A full accept queue drops further SYNs, as a firewall does: Linux keeps backlog + 1 unaccepted
    // connections, and this server sleeps.
    const script =
      "const fs = require('fs'); const s = require('net').createServer();" +
      "s.listen(0, '127.0.0.1', 1, () => { fs.writeSync(1, String(s.address().port));" +
      "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60000); })";
    const holder = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] });
    try {
      const port = await new Promise<number>((resolve, reject) => {
        holder.on("error", reject);
        holder.stdout.once("data", (data) => resolve(Number(String(data))));
      });
      const fillers = Array.from({ length: 4 }, () => net.connect(port, "127.0.0.1"));
      for (const filler of fillers) filler.on("error", () => {});
      await new Promise((resolve) => setTimeout(resolve, 200));
      const startedAt = performance.now();
      await expectEnd(
        { kind: "tcp", host: "127.0.0.1", port },
        "ambiguous",
        /no connection to .* in 300 ms/,
        300,
      );
      assert.ok(performance.now() - startedAt < 3000);
      for (const filler of fillers) filler.destroy();
    } finally {
      holder.kill("SIGKILL");
    }
  });

  test("a name that does not exist says nothing of the target", async () => {
    const result = await prober.run({ kind: "tcp", host: "nosuch.invalid", port: 80 }, 3000);
    // Without any name server the resolver is silent instead: also no word from the target.
    assert.ok(result.kind === "failed" || result.kind === "ambiguous", `${result.kind}: ${result.text}`);
  });
});

describe("http", () => {
  let port = 0;
  let written = 0;
  before(async () => {
    port = await listen(
      http.createServer((request, response) => {
        request.on("error", () => {});
        switch (new URL(request.url ?? "/", "http://x").pathname) {
          case "/ok":
            response.end(`hello ${request.headers["x-probe"] ?? "nobody"} at ${request.headers.host}`);
            return;
          case "/json":
            response.end(JSON.stringify({ checks: [{ db: { status: "ok" } }], "odd.name": 3, lag: null }));
            return;
          case "/error":
            response.writeHead(503).end("down for repair");
            return;
          case "/redirect":
            response.writeHead(302, { location: "/ok" }).end();
            return;
          case "/drip": {
            response.writeHead(200);
            const timer = setInterval(() => response.write("."), 20);
            response.on("close", () => clearInterval(timer));
            return;
          }
          case "/cut":
            response.writeHead(200, { "content-length": "1000" });
            response.write("only so much", () => response.destroy());
            return;
          case "/huge": {
            const chunk = Buffer.alloc(1 << 20, "x");
            const pump = (): void => {
              while (!response.destroyed && written < 100) {
                written++;
                if (!response.write(written === 1 ? `needle${chunk.toString()}` : chunk)) {
                  response.once("drain", pump);
                  return;
                }
              }
              response.end();
            };
            pump();
            return;
          }
          default:
            return; // Never answers.
        }
      }),
    );
  });
  const url = (path: string) => `http://127.0.0.1:${port}${path}`;

  test("status ranges decide, and a redirect is a status like others", async () => {
    await expectEnd(httpSpec(url("/ok")), "ok", /HTTP 200/);
    await expectEnd(httpSpec(url("/error")), "definite", /HTTP 503 from 127.0.0.1:\d+, expected 200-299/);
    await expectEnd(httpSpec(url("/redirect")), "definite", /HTTP 302/);
    await expectEnd(httpSpec(url("/redirect"), { expectStatus: [[302, 302]] }), "ok", /HTTP 302/);
  });

  test("the body is matched by text, pattern and JSON path", async () => {
    const body = (path: string, expectBody: HttpProbe["expectBody"]) => httpSpec(url(path), { expectBody });
    await expectEnd(body("/ok", { kind: "contains", text: "hello" }), "ok", /./);
    await expectEnd(body("/ok", { kind: "contains", text: "goodbye" }), "definite", /lacks "goodbye"/);
    await expectEnd(body("/ok", { kind: "matches", pattern: "^hello \\w+ at" }), "ok", /./);
    await expectEnd(body("/ok", { kind: "matches", pattern: "^at" }), "definite", /does not match/);
    await expectEnd(body("/ok", { kind: "matches", pattern: "(" }), "failed", /bad pattern/);
    const json = (path: string, equals: string | number | null) => ({ kind: "json", path, equals }) as const;
    await expectEnd(body("/json", json("$.checks[0].db.status", "ok")), "ok", /./);
    await expectEnd(
      body("/json", json("checks[0].db.status", "bad")),
      "definite",
      /says "ok" at .* expected "bad"/,
    );
    await expectEnd(body("/json", json('$["odd.name"]', 3)), "ok", /./);
    await expectEnd(body("/json", json("lag", null)), "ok", /./);
    await expectEnd(body("/json", json("$.constructor", null)), "definite", /says nothing/);
    await expectEnd(body("/json", json("$.checks[*]", 1)), "failed", /bad path/);
    await expectEnd(body("/ok", json("$.a", 1)), "definite", /is not JSON/);
  });

  test("headers are sent as given, and none can smuggle in another", async () => {
    const spec = httpSpec(url("/ok"), {
      headers: [
        ["X-Probe", "pointsman"],
        ["Host", "shop.example"],
      ],
      expectBody: { kind: "contains", text: "hello pointsman at shop.example" },
    });
    await expectEnd(spec, "ok", /./);
    await expectEnd(
      httpSpec(url("/ok"), { headers: [["X-Probe", "a\r\nX-Evil: 1"]] }),
      "failed",
      /[Ii]nvalid/,
    );
    await expectEnd(httpSpec(url("/ok"), { headers: [["X\r\nEvil", "a"]] }), "failed", /./);
    await expectEnd(httpSpec(url("/ok"), { method: "GET / HTTP/1.1\r\nX: y" }), "failed", /./);
  });

  test("a server that accepts and says nothing is silence, and the text says how far it came", async () => {
    await expectEnd(httpSpec(url("/never")), "ambiguous", /connected to .*, but no answer in 300 ms/, 300);
  });

  test("a body that drips for ever ends with the budget", async () => {
    const startedAt = performance.now();
    await expectEnd(httpSpec(url("/drip")), "ambiguous", /HTTP 200 .* body did not end in 400 ms/, 400);
    assert.ok(performance.now() - startedAt < 3000, "came back late");
  });

  test("a body cut off by the server is definite", async () => {
    await expectEnd(httpSpec(url("/cut")), "definite", /connection reset by/);
  });

  test("of a body of 100 MB only the first 64 KiB are read", async () => {
    written = 0;
    await expectEnd(httpSpec(url("/huge"), { expectBody: { kind: "contains", text: "needle" } }), "ok", /./);
    await expectEnd(
      httpSpec(url("/huge"), { expectBody: { kind: "contains", text: "haystack" } }),
      "definite",
      /lacks "haystack" in its first 64 KiB/,
    );
    assert.ok(written < 60, `the server could send ${written} MB`);
    const json = httpSpec(url("/huge"), { expectBody: { kind: "json", path: "$.a", equals: 1 } });
    written = 0;
    await expectEnd(json, "failed", /longer than 64 KiB, not judged/);
  });

  test("a closed port is definite, and a server that speaks no HTTP too", async () => {
    await expectEnd(httpSpec(`http://127.0.0.1:${await closedPort()}/`), "definite", /connection refused/);
    const odd = await listen(
      net.createServer((socket) => {
        socket.on("error", () => {});
        socket.end("220 mail.example ESMTP\r\n");
      }),
    );
    await expectEnd(httpSpec(`http://127.0.0.1:${odd}/`), "definite", /./);
    await expectEnd(httpSpec(`https://127.0.0.1:${odd}/`), "definite", /./);
  });

  test("a url that is none is our failure", async () => {
    await expectEnd(httpSpec("not a url"), "failed", /not one/);
  });
});

describe("https", () => {
  let dir = "";
  let port = 0;
  let caFile = "";
  before(async () => {
    dir = mkdtempSync(join(tmpdir(), "pointsman-probe-"));
    caFile = join(dir, "cert.pem");
    const keyFile = join(dir, "key.pem");
    const subject = ["-subj", "/CN=shop.example", "-addext", "subjectAltName=DNS:shop.example,IP:127.0.0.1"];
    const kind = [
      "req",
      "-x509",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:P-256",
      "-nodes",
      "-days",
      "2",
    ];
    execFileSync("openssl", [...kind, "-keyout", keyFile, "-out", caFile, ...subject], { stdio: "ignore" });
    const options = { key: readFileSync(keyFile), cert: readFileSync(caFile) };
    port = await listen(https.createServer(options, (_, response) => response.end("secure")));
  });
  after(() => rmSync(dir, { recursive: true, force: true }));
  const url = () => `https://127.0.0.1:${port}/`;
  const tls = (options: Partial<HttpProbe["tls"]>) => ({
    tls: { verify: true, caFile: null, serverName: null, ...options },
  });

  test("an unknown certificate is definite unless verification is off", async () => {
    await expectEnd(httpSpec(url()), "definite", /self.signed certificate/i);
    await expectEnd(httpSpec(url(), tls({ verify: false })), "ok", /HTTP 200/);
  });

  test("a certificate of the given CA is accepted for its own name and address only", async () => {
    await expectEnd(httpSpec(url(), tls({ caFile })), "ok", /HTTP 200/);
    await expectEnd(httpSpec(url(), tls({ caFile, serverName: "shop.example" })), "ok", /HTTP 200/);
    await expectEnd(
      httpSpec(url(), tls({ caFile, serverName: "other.example" })),
      "definite",
      /other\.example/,
    );
  });

  test("a CA file that is missing or no certificate is our failure, and is read again later", async () => {
    const late = join(dir, "late.pem");
    await expectEnd(httpSpec(url(), tls({ caFile: late })), "failed", /cannot use the CA file/);
    writeFileSync(late, readFileSync(caFile));
    await expectEnd(httpSpec(url(), tls({ caFile: late })), "ok", /HTTP 200/);
  });
});

describe("exec", () => {
  const spec = (script: string, expectExit = 0): ProbeSpec => ({
    kind: "exec",
    command: ["/bin/sh", "-c", script],
    expectExit,
  });

  test("the exit code decides, and the last line it wrote is the evidence", async () => {
    await expectEnd(spec("echo fine"), "ok", /exit 0: fine/);
    await expectEnd(spec("echo one; echo 'lag 93 s'; exit 2"), "definite", /exit 2, expected 0: lag 93 s/);
    await expectEnd(spec("exit 3", 3), "ok", /exit 3/);
  });

  test("a check that could not run says nothing of the target", async () => {
    await expectEnd({ kind: "exec", command: ["/nonexistent"], expectExit: 0 }, "failed", /ENOENT/);
    await expectEnd(spec("no-such-program-anywhere"), "failed", /exit 127/);
    await expectEnd(spec("kill -9 $$"), "failed", /SIGKILL/);
  });

  test("it is told its target, and control characters do not reach the evidence", async () => {
    await expectEnd(spec('echo "$POINTSMAN_TARGET"'), "ok", /: shop\/a\/web$/);
    await expectEnd(spec("printf 'red \\033[31m alert'"), "ok", /: red \[31m alert$/);
  });

  test("a check that ignores SIGTERM and leaves grandchildren ends as silence in time", async () => {
    const startedAt = performance.now();
    await expectEnd(
      spec("trap '' TERM; sleep 60 & while :; do sleep 1; done"),
      "ambiguous",
      /did not end in 400 ms/,
      400,
    );
    assert.ok(performance.now() - startedAt < 3000);
  });
});

test("a closed prober ends what runs and takes no more", async () => {
  const own = createProber();
  const port = await listen(net.createServer((socket) => socket.on("error", () => {})));
  const running = [
    own.run(httpSpec(`http://127.0.0.1:${port}/`), 60_000),
    own.run({ kind: "exec", command: ["sleep", "60"], expectExit: 0 }, 60_000),
  ];
  await new Promise((resolve) => setTimeout(resolve, 100));
  own.close();
  for (const result of await Promise.all(running)) assert.equal(result.kind, "failed");
  const later = await own.run({ kind: "tcp", host: "127.0.0.1", port }, 1000);
  assert.equal(later.kind, "failed");
});

test("an answer that lay in the kernel while this process was busy is not taken for silence", async () => {
  const port = await listen(net.createServer((socket) => socket.on("error", () => {})));
  const pending = prober.run({ kind: "tcp", host: "127.0.0.1", port }, 100);
  await new Promise((resolve) => process.nextTick(resolve));
  const untilMs = performance.now() + 300;
  while (performance.now() < untilMs);
  const result = await pending;
  assert.equal(result.kind, "ok", result.text);
});

test("a silence that was noticed late is our own stall and no evidence", async () => {
  const port = await listen(net.createServer((socket) => socket.on("error", () => {})));
  const pending = prober.run(httpSpec(`http://127.0.0.1:${port}/`), 100);
  await new Promise((resolve) => setTimeout(resolve, 20));
  const untilMs = performance.now() + 900;
  while (performance.now() < untilMs);
  const result = await pending;
  assert.equal(result.kind, "failed", result.text);
  assert.match(result.text, /was itself stopped: a timeout of 100 ms came \d+ ms late/);
});
