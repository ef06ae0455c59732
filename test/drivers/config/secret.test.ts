/**
 * Secrets: fetched from files and environment, refused when mangled, and never shown.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { resolveSecret, SecretError, type SecretRef } from "../../../src/drivers/config/secret.js";

const bytes = Buffer.from("0123456789abcdef0123456789abcdef");
const secret = bytes.toString("base64");

describe("a secret", () => {
  let directory = "";
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "pointsman-secret-"));
  });
  after(() => rm(directory, { recursive: true }));

  const inFile = async (content: string | Buffer, mode = 0o600): Promise<SecretRef> => {
    const path = join(directory, "key");
    await writeFile(path, content);
    await chmod(path, mode);
    return { kind: "file", path };
  };

  const refusal = async (ref: SecretRef, env: NodeJS.ProcessEnv = {}): Promise<SecretError> => {
    try {
      await resolveSecret(ref, env);
    } catch (error) {
      assert.ok(error instanceof SecretError);
      assert.equal(error.cause, undefined);
      return error;
    }
    assert.fail("the secret was accepted");
  };

  test("comes from a file, with or without a line end, and from the environment", async () => {
    assert.deepEqual((await resolveSecret(await inFile(secret))).bytes, bytes);
    assert.deepEqual((await resolveSecret(await inFile(`${secret}\n`))).bytes, bytes);
    assert.deepEqual((await resolveSecret({ kind: "env", name: "K" }, { K: ` ${secret} ` })).bytes, bytes);
  });

  test("in a file that everybody may read is given, with a warning", async () => {
    assert.equal((await resolveSecret(await inFile(secret, 0o640))).warning, null);
    const { warning } = await resolveSecret(await inFile(secret, 0o644));
    assert.match(warning ?? "", /chmod 600/);
    assert.ok(!warning?.includes(secret));
  });

  test("that is no base64 is refused instead of silently shortened, and never repeated", async () => {
    const wrong = [
      "not base64 at all!",
      `${secret.slice(0, -1)}*`,
      `key ${secret}`,
      "",
      "====",
      `${secret}x`,
    ];
    for (const content of wrong) {
      const error = await refusal(await inFile(content));
      assert.equal(error.code, "secret_malformed", content);
      assert.ok(content === "" || !error.message.includes(content), error.message);
    }
    const error = await refusal({ kind: "env", name: "K" }, { K: "hunter2!" });
    assert.equal(error.code, "secret_malformed");
    assert.ok(!`${error.stack}`.includes("hunter2"));
  });

  test("of less than 16 bytes is refused", async () => {
    assert.equal((await refusal(await inFile("aGVsbG8="))).code, "secret_malformed");
  });

  test("that is not there is refused with the place and the remedy", async () => {
    const error = await refusal({ kind: "file", path: join(directory, "absent") });
    assert.equal(error.code, "secret_unreadable");
    assert.match(error.message, /absent.*ENOENT/);
    assert.equal((await refusal({ kind: "env", name: "K" })).code, "secret_missing");
    assert.equal((await refusal({ kind: "file", path: directory })).code, "secret_unreadable");
    assert.equal((await refusal(await inFile("A".repeat(5000)))).code, "secret_malformed");
  });

  test("in a FIFO that nobody writes to is refused and does not hang", async () => {
    const path = join(directory, "fifo");
    execFileSync("mkfifo", [path]);
    assert.equal((await refusal({ kind: "file", path })).code, "secret_unreadable");
  });
});
