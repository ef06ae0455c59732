/**
 * The package as users get it: packed, installed away from the repository, and run there. Shows that `files`
 * of package.json holds all that runs, that the proto files are found, and that nothing needs a development
 * dependency.
 */
import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, it, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { until } from "./until.js";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

interface Ended {
  readonly exit: number;
  readonly stdout: string;
  readonly stderr: string;
}

let directory: string;
let command: string;
/** Why the package could not be installed, where that is not its own fault. */
let offline: string | null = null;

function run(file: string, args: readonly string[], cwd: string): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(file, args, { cwd, maxBuffer: 16 * 1024 * 1024 }, (error, stdout, stderr) => {
      const exit = error === null ? 0 : typeof error.code === "number" ? error.code : -1;
      resolve({ exit, stdout, stderr });
    });
  });
}

/** Packs what was compiled, and installs it with what it depends on, as `npm install --global` does. */
before(async () => {
  directory = await mkdtemp(join(tmpdir(), "pointsman-package-"));
  // Without scripts: `prepare` would compile again, under the feet of the tests that run beside this one.
  const packed = await run("npm", ["pack", "--ignore-scripts", "--pack-destination", directory], ROOT);
  assert.equal(packed.exit, 0, packed.stderr);
  const tarball = (await readdir(directory)).find((file) => file.endsWith(".tgz"));
  assert.ok(tarball !== undefined, packed.stdout);
  const prefix = join(directory, "prefix");
  const flags = [
    "--global",
    "--prefix",
    prefix,
    "--prefer-offline",
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
  ];
  const installed = await run("npm", ["install", ...flags, join(directory, tarball)], directory);
  const network = /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ENETUNREACH|EHOSTUNREACH|ETIMEDOUT|ENOTCACHED/.exec(
    installed.stderr,
  );
  if (installed.exit !== 0 && network !== null && process.env["CI"] !== "true") {
    offline = `the package registry cannot be reached (${network[0]})`;
    return;
  }
  assert.equal(installed.exit, 0, installed.stderr);
  command = join(prefix, "bin", "pointsman");
  const modules = join(prefix, "lib", "node_modules", "pointsman", "node_modules");
  for (const name of ["typescript", "fast-check", "@biomejs"])
    assert.ok(!existsSync(join(modules, name)), `${name} was installed with the package`);
});

after(() => rm(directory, { recursive: true, force: true }));

/** True where the test was skipped. */
function skipped(test: TestContext): boolean {
  if (offline !== null) test.skip(offline);
  return offline !== null;
}

it("an installed package prints its help and judges a document", async (test) => {
  if (skipped(test)) return;
  const help = await run(command, ["--help"], directory);
  assert.equal(help.exit, 0, help.stderr);
  assert.match(help.stdout, /^Usage: pointsman/);
  const example = join(ROOT, "examples", "docker", "pointsman.yaml");
  const check = await run(command, ["config", "check", example], directory);
  assert.equal(check.exit, 0, check.stdout + check.stderr);
});

it("an installed package brings up the demo and ends it on Ctrl-C", async (test) => {
  if (skipped(test)) return;
  const demo: ChildProcess = spawn(command, ["demo"], { cwd: directory, stdio: ["ignore", "pipe", "pipe"] });
  let printed = "";
  for (const stream of [demo.stdout, demo.stderr])
    stream?.setEncoding("utf8").on("data", (text: string) => {
      printed += text;
    });
  const ended = new Promise<number | null>((resolve) => demo.once("exit", resolve));
  try {
    await until("the demo has a primary", () => printed.includes("It runs.") || demo.exitCode !== null);
    assert.ok(demo.exitCode === null, printed);
    demo.kill("SIGINT");
    assert.equal(await ended, 0, printed);
  } finally {
    demo.kill("SIGKILL");
  }
});
