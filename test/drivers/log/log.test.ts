/**
 * The log: readable lines, no secret in them, and a process that lives whatever becomes of its reader.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { openSync } from "node:fs";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { createLog, type Log, type LogOptions, stepBindings } from "../../../src/drivers/log/log.js";
import { protectSecret, sanitize } from "../../../src/drivers/log/redact.js";

function capture(options: Partial<LogOptions> = {}): {
  log: Log;
  lines: string[];
  last: () => Record<string, unknown>;
} {
  const lines: string[] = [];
  const output = { write: (line: string) => void lines.push(line) };
  const log = createLog({ witness: "w-a", level: "trace", format: "json", output, ...options });
  return { log, lines, last: () => JSON.parse(lines.at(-1) ?? "") as Record<string, unknown> };
}

describe("a log line", () => {
  test("is one JSON object with witness, level in words, time, and the bindings of the part that speaks", () => {
    let term = 3;
    const { log, last } = capture({ context: () => ({ term }) });
    const child = log.child(stepBindings({ group: "shop", epoch: 7, step: "route", attempt: 2 }));
    child.warn({ tookMs: 12 }, "step runs");
    const { time, ...rest } = last();
    assert.match(String(time), /^\d{4}-\d\d-\d\dT.*Z$/);
    assert.deepEqual(rest, {
      level: "warn",
      witness: "w-a",
      group: "shop",
      epoch: 7,
      step: "route",
      attempt: 2,
      term: 3,
      tookMs: 12,
      msg: "step runs",
    });
    term = 4;
    log.info("x");
    assert.equal(last()["term"], 4);
  });

  test("below the level is not written", () => {
    const { log, lines } = capture({ level: "warn" });
    log.info("quiet");
    log.error("loud");
    assert.equal(lines.length, 1);
  });

  test("on a terminal format is readable and has the same redaction", () => {
    const { PassThrough } = process.getBuiltinModule("node:stream");
    const output = new PassThrough();
    const { log } = capture({ format: "pretty", output: output as unknown as LogOptions["output"] });
    log.info({ group: "shop", password: "hunter2hunter2" }, "moved");
    const text = String(output.read());
    assert.match(text, /INFO.*moved/);
    assert.match(text, /shop/);
    assert.ok(!text.includes("hunter2"));
    assert.throws(() => JSON.parse(text));
  });

  test("holds an error with its cause and code, and not what hangs on it", () => {
    const { log, last } = capture();
    const error = Object.assign(new Error("outer", { cause: new Error("inner") }), {
      code: "x",
      token: "hunter2hunter2",
    });
    log.error({ err: error }, "failed");
    const logged = last()["err"] as Record<string, unknown>;
    assert.deepEqual(
      [logged["type"], logged["message"], logged["code"], logged["token"]],
      ["Error", "outer", "x", "[redacted]"],
    );
    assert.equal((logged["cause"] as Record<string, unknown>)["message"], "inner");
    log.error(error);
    assert.equal(last()["msg"], "outer");
  });
});

describe("a secret", () => {
  const secret = "S3cr3t+/zq9!";
  const base64 = Buffer.from(secret).toString("base64");

  /** All the ways by which it could get into a line. */
  const ways: [string, (log: Log) => void][] = [
    ["as a field", (log) => log.info({ secret }, "x")],
    [
      "as a field of another spelling",
      (log) => log.info({ apiKey: secret, passWord: secret, authorization: secret }, "x"),
    ],
    ["deep in a structure", (log) => log.info({ a: [{ b: { tsig: { secret } } }] }, "x")],
    [
      "as bytes",
      (log) => log.info({ key: Buffer.from(secret), more: [new Uint8Array(Buffer.from(secret))] }, "x"),
    ],
    ["in a binding", (log) => log.child({ token: secret, tsig: { secret: Buffer.from(secret) } }).info("x")],
    [
      "in an error",
      (log) => log.error(Object.assign(new Error("x"), { secret, buffer: Buffer.from(secret) })),
    ],
    [
      "in an error's cause",
      (log) => log.error(new Error("x", { cause: Object.assign(new Error("y"), { cookie: secret }) })),
    ],
    [
      "in a URL",
      (log) =>
        log.info(
          { url: `https://user:${secret.replace("/", "")}@host/` },
          `post to https://u:p${base64}@host/`,
        ),
    ],
    ["in a header as text", (log) => log.info(`sent Authorization: Bearer ${base64}`)],
  ];
  for (const [name, write] of ways) {
    test(`${name} does not appear`, () => {
      const { log, lines } = capture();
      write(log);
      assert.equal(lines.length, 1);
      const line = lines.join("");
      for (const form of [secret, base64, secret.replace("/", ""), [...Buffer.from(secret)].join(",")]) {
        assert.ok(!line.includes(form), `${name}: ${line}`);
      }
    });
  }

  test("that the process fetched does not appear wherever it is put, in no spelling", () => {
    const known = Buffer.from('kq7#"\\x!known-secret-0123');
    protectSecret(known);
    const spellings = [
      known.toString(),
      known.toString("base64"),
      known.toString("hex"),
      known.toString("base64url"),
    ];
    const place = fc.constantFrom("message", "field", "name", "error", "binding", "nested");
    fc.assert(
      fc.property(
        place,
        fc.constantFrom(...spellings),
        fc.string(),
        fc.string(),
        (where, text, before, after) => {
          const { log, lines } = capture();
          const value = before + text + after;
          if (where === "message") log.info(value);
          else if (where === "field") log.info({ harmless: value }, "x");
          else if (where === "name") log.info({ [value]: 1 }, "x");
          else if (where === "error") log.error(new Error(value));
          else if (where === "binding") log.child({ harmless: value }).info("x");
          else log.info({ a: { b: [value] } }, "x");
          const line = lines.join("");
          for (const form of spellings) {
            assert.ok(!line.includes(form.replace(/=+$/, "")), line);
            assert.ok(!line.includes(JSON.stringify(form).slice(1, -1).replace(/=+$/, "")), line);
          }
        },
      ),
    );
  });

  test("is told from its place: the names of files and variables stay readable", () => {
    const copy = sanitize({ secretFile: "/etc/key", idempotencyKey: "g:1:route", hasSecret: true, epoch: 4 });
    const bytes = { mac: Buffer.from("abc"), more: [new Uint8Array(2)] };
    assert.deepEqual(sanitize(bytes), { mac: "[3 bytes]", more: ["[2 bytes]"] });
    assert.deepEqual(copy, {
      secretFile: "/etc/key",
      idempotencyKey: "g:1:route",
      hasSecret: true,
      epoch: 4,
    });
  });

  test("search never fails: cycles, depth, getters that throw, strange values", () => {
    const cycle: Record<string, unknown> = {
      n: 1n,
      f: () => 1,
      s: Symbol("x"),
      m: new Map([[1, 2]]),
      d: new Date(0),
    };
    cycle["self"] = cycle;
    const bad = Object.defineProperty({}, "x", {
      enumerable: true,
      get: () => {
        throw new Error("no");
      },
    });
    let deep: unknown = "end";
    for (let at = 0; at < 100; at++) deep = { deep };
    const { log, lines } = capture();
    log.info({ cycle, bad, deep }, "x");
    assert.equal(lines.length, 1);
    fc.assert(fc.property(fc.anything(), (value) => void sanitize(value)));
  });
});

describe("a process that logs", () => {
  const worker = fileURLToPath(new URL("./worker.js", import.meta.url));

  test("loses no line when it exits at once with a full buffer", async () => {
    const child = spawn(process.execPath, [worker, "json", "2000", "the-secret-of-the-worker"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let text = "";
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
    const [code] = (await once(child, "close")) as [number];
    assert.equal(code, 70);
    const lines = text.trimEnd().split("\n");
    assert.equal(lines.length, 2000);
    for (const [at, line] of lines.entries()) assert.equal((JSON.parse(line) as { at: number }).at, at);
    assert.ok(!text.includes("the-secret"));
  });

  test("writes JSON when its output is no terminal", async () => {
    const child = spawn(process.execPath, [worker, "auto", "1"], { stdio: ["ignore", "pipe", "inherit"] });
    const chunks: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
    await once(child, "close");
    assert.equal((JSON.parse(Buffer.concat(chunks).toString()) as { witness: string }).witness, "w-a");
  });

  test("lives on when the disk below its log is full", async () => {
    const full = openSync("/dev/full", "w");
    const env = { ...process.env, LIVES_MS: "300" };
    const child = spawn(process.execPath, [worker, "json", "50"], { stdio: ["ignore", full, "pipe"], env });
    let trouble = "";
    child.stderr?.setEncoding("utf8").on("data", (chunk: string) => {
      trouble += chunk;
    });
    const [code] = (await once(child, "close")) as [number];
    assert.equal(code, 70, trouble);
  });

  test("lives on when the reader of its log is gone", async () => {
    const env = { ...process.env, LIVES_MS: "300" };
    const child = spawn(process.execPath, [worker, "json", "5000"], {
      stdio: ["ignore", "pipe", "inherit"],
      env,
    });
    child.stdout.destroy();
    const [code] = (await once(child, "exit")) as [number];
    assert.equal(code, 70);
  });

  test("writes to a pipe as well as to a socket", async () => {
    const shell = `exec "$0" "$1" json 3000 | cat`;
    const child = spawn("/bin/sh", ["-c", shell, process.execPath, worker], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let text = "";
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
    await once(child, "close");
    assert.equal(text.trimEnd().split("\n").length, 3000);
  });

  test("does not wait for a reader that stalls, and tells of the lines that it lost when the reader is back", async () => {
    // 60,000 lines are 10 MB: more than pipe and buffer hold.
    const env = { ...process.env, LIVES_MS: "1500" };
    const child = spawn(process.execPath, [worker, "json", "60000"], {
      stdio: ["ignore", "pipe", "inherit"],
      env,
    });
    let text = "";
    child.stdout.setEncoding("utf8").pause();
    setTimeout(() => {
      child.stdout.on("data", (chunk: string) => {
        text += chunk;
      });
      child.stdout.resume();
    }, 1000);
    const [code] = (await once(child, "close")) as [number];
    assert.equal(code, 70);
    const lines = text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { at?: number; lost?: number; msg: string });
    const lost = lines.reduce((sum, line) => sum + (line.lost ?? 0), 0);
    const came = lines.filter((line) => line.at !== undefined).length;
    assert.ok(lost > 0, `${came} lines came`);
    assert.equal(lost + came, 60_000);
    assert.ok(lines.some((line) => line.msg === "still here"));
  });
});
