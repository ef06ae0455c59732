/**
 * Runs the compiled tests with node's own runner: every `*.test.js` below `dist/test`, or those whose path contains
 * one of the words on the command line (`npm test -- storage dns`).
 *
 * Node 20 has neither globs nor a sane default concurrency on two cores, hence the file list and the explicit number.
 */
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL(".", import.meta.url));
const words = process.argv.slice(2);
const files = readdirSync(root, { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".test.js"))
  .filter((file) => words.length === 0 || words.some((word) => file.includes(word)))
  .sort()
  .map((file) => join(root, file));

if (files.length === 0) {
  console.error(`no test file matches ${words.join(" ")} below ${root}`);
  process.exit(2);
}
const child = spawn(process.execPath, ["--enable-source-maps", "--test", "--test-concurrency=2", ...files], {
  stdio: "inherit",
  env: { ...process.env, UV_THREADPOOL_SIZE: process.env["UV_THREADPOOL_SIZE"] ?? "16" },
});
child.on("exit", (code, signal) => process.exit(signal === null ? (code ?? 1) : 1));
