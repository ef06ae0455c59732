/**
 * `npm run compose:check`: brings docker-compose.yml up for real, stops a service of the primary, and sees
 * the name move.
 *
 * Runs wherever Docker is (Compose v2 or docker-compose 1.29), under a project name and published ports of
 * its own, so that it disturbs no other project; only the compose file's subnet must be free. Prints each
 * command and what it printed; takes everything down again, volumes too; the last line is one JSON object.
 * Exit code 0 if all held, 1 if not. Without Docker it says why it skips and exits 0, or 1 where CI is
 * "true".
 *
 * Arguments go to `docker build` (`npm run compose:check -- --network host`). POINTSMAN_IMAGE names an image
 * to use instead.
 */
import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";
import type { StatusReport } from "../../src/core/model/admin.js";
import { queryDns } from "../../src/drivers/dns/query.js";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const PROJECT = `pointsman-check-${process.pid}`;
const NAME = "www.shop.demo";
const ADDRESS = { a: "10.77.0.21", b: "10.77.0.31" } as const;
const WITNESSES = ["a", "b", "c"] as const;
/** For what must follow; a loaded machine is slow, and a slow pass is a pass. */
const PATIENCE_MS = 120_000;
/** For how long nothing may move after the service is back: longer than hold-down and stability of the document. */
const CALM_MS = 10_000;

type Site = keyof typeof ADDRESS;
type Letter = (typeof WITNESSES)[number];

interface Stack {
  /** `docker compose` or `docker-compose`, and the project. */
  readonly compose: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  /** Published DNS address of each witness. */
  readonly dns: Readonly<Record<Letter, string>>;
}

let interrupted = false;

function run(command: readonly string[], env: NodeJS.ProcessEnv = process.env): SpawnSyncReturns<string> {
  const [file = "", ...args] = command;
  return spawnSync(file, args, { cwd: ROOT, env, encoding: "utf8", maxBuffer: 64 * 1024 * 1024 });
}

/** Runs a command, prints it and the last `tail` lines of what it printed; throws when it fails. */
function show(stack: Stack, command: readonly string[], tail = 100): string {
  console.log(`\n$ ${command.join(" ")}`);
  const result = run(command, stack.env);
  const lines = `${result.stdout}${result.stderr}`.trimEnd().split("\n");
  if (lines.length > tail) console.log(`  (${lines.length - tail} lines before)`);
  console.log(lines.slice(-tail).join("\n"));
  if (result.status === 0) return result.stdout;
  throw new Error(`exit ${result.status ?? result.signal ?? result.error?.message}: ${command.join(" ")}`);
}

/** The Compose of this machine, or why there is none that works. */
function findCompose(): readonly string[] | string {
  const engine = run(["docker", "info", "--format", "{{.ServerVersion}}"]);
  if (engine.error !== undefined) return `there is no docker command (${engine.error.message})`;
  if (engine.status !== 0 || engine.stdout.trim() === "")
    return `no Docker engine answers (${engine.stderr.trim()})`;
  const found = [["docker", "compose"], ["docker-compose"]].find(
    (compose) => run([...compose, "version"]).status === 0,
  );
  return found ?? "neither `docker compose` nor `docker-compose` is installed";
}

async function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}

async function prepare(compose: readonly string[], image: string): Promise<Stack> {
  const env: NodeJS.ProcessEnv = { ...process.env, POINTSMAN_IMAGE: image };
  const dns: Record<Letter, string> = { a: "", b: "", c: "" };
  for (const letter of WITNESSES) {
    const port = await freePort();
    env[`WITNESS_${letter.toUpperCase()}_ADMIN`] = String(await freePort());
    env[`WITNESS_${letter.toUpperCase()}_DNS`] = String(port);
    dns[letter] = `127.0.0.1:${port}`;
  }
  return { compose: [...compose, "--project-name", PROJECT], env, dns };
}

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
  if (interrupted) throw new Error("interrupted");
}

/** What a witness answers for the name over its published port: the address, or the reason why there is none. */
async function ask(server: string, tcp = false): Promise<string> {
  try {
    const answer = await queryDns(server, NAME, "A", { timeoutMs: 1000, tcp });
    const values = answer.answers.filter(({ type }) => type === "A").map(({ value }) => value);
    return values.length > 0 ? values.join(",") : answer.rcode;
  } catch (thrown) {
    return thrown instanceof Error ? thrown.message : String(thrown);
  }
}

/** Asks each of `letters` until it answers with the address of `site`, over UDP and then over TCP. */
async function untilName(stack: Stack, site: Site, letters: readonly Letter[] = WITNESSES): Promise<void> {
  const deadlineMs = Date.now() + PATIENCE_MS;
  for (const letter of letters) {
    let answer = await ask(stack.dns[letter]);
    while (answer !== ADDRESS[site]) {
      if (Date.now() > deadlineMs)
        throw new Error(`witness-${letter} answers ${answer}, not ${ADDRESS[site]}`);
      await pause(50);
      answer = await ask(stack.dns[letter]);
    }
  }
}

/** As `untilName`, and prints what each of them says over UDP and over TCP. */
async function showName(stack: Stack, site: Site, letters: readonly Letter[] = WITNESSES): Promise<void> {
  await untilName(stack, site, letters);
  for (const letter of letters) {
    const [udp, tcp] = [await ask(stack.dns[letter]), await ask(stack.dns[letter], true)];
    console.log(`  ${NAME} at witness-${letter} (${stack.dns[letter]}): ${udp} over UDP, ${tcp} over TCP`);
    if (udp !== ADDRESS[site] || tcp !== ADDRESS[site])
      throw new Error(`witness-${letter} does not stay with ${ADDRESS[site]}`);
  }
}

/** The status as one witness reports it, or null while it does not answer. */
function status(stack: Stack, letter: Letter): StatusReport | null {
  const command = [...stack.compose, "exec", "-T", `witness-${letter}`, "pointsman", "status", "--json"];
  const result = run(command, stack.env);
  return result.status === 0 ? (JSON.parse(result.stdout) as StatusReport) : null;
}

async function untilStatus(
  stack: Stack,
  letter: Letter,
  what: string,
  holds: (report: StatusReport) => boolean,
): Promise<StatusReport> {
  const deadlineMs = Date.now() + PATIENCE_MS;
  for (;;) {
    const report = status(stack, letter);
    if (report !== null && holds(report)) return report;
    if (Date.now() > deadlineMs) throw new Error(`within ${PATIENCE_MS / 1000} s it did not hold: ${what}`);
    await pause(250);
  }
}

function verdict(report: StatusReport, site: Site): string | undefined {
  return report.groups[0]?.sites.find((one) => one.site === site)?.verdict;
}

/** Follows the name as a client would, from inside the network, and says who answers there. */
async function follow(stack: Stack, service: string): Promise<void> {
  const address = await ask(stack.dns.c);
  const code = "fetch(`http://$" + "{process.argv[1]}:8080/`).then(async (r) => console.log(await r.text()))";
  const answer = show(stack, [...stack.compose, "exec", "-T", "witness-c", "node", "-e", code, address]);
  if (!answer.includes(`"${service}"`)) throw new Error(`expected ${service} at ${address}`);
}

async function play(stack: Stack): Promise<Record<string, number>> {
  const { compose } = stack;
  const title = (text: string): void => console.log(`\n=== ${text}`);

  title("Up: three witnesses, two sites of three services each.");
  show(stack, [...compose, "up", "--detach", "--no-build"], 12);
  const upAtMs = Date.now();
  await untilName(stack, "a");
  const firstPrimaryMs = Date.now() - upAtMs;
  await showName(stack, "a");
  await untilStatus(
    stack,
    "c",
    "both sites are seen up",
    (s) => verdict(s, "a") === "up" && verdict(s, "b") === "up",
  );
  show(stack, [...compose, "ps"]);
  show(stack, [...compose, "exec", "-T", "witness-a", "pointsman", "status"]);
  await follow(stack, "a/web");

  title("One service of the primary is stopped: the name moves.");
  const stopAtMs = Date.now();
  show(stack, [...compose, "stop", "site-a-api"]);
  const stoppedMs = Date.now() - stopAtMs;
  await untilName(stack, "b");
  const failoverMs = Date.now() - stopAtMs;
  console.log(
    `  the stop took ${stoppedMs} ms; ${failoverMs} ms after its begin all three answer with site b`,
  );
  await showName(stack, "b");
  await untilStatus(stack, "c", "the plan is done", (s) => s.groups[0]?.group.plan?.status === "done");
  show(stack, [...compose, "exec", "-T", "witness-b", "pointsman", "explain", "shop"]);
  await follow(stack, "b/web");

  title("It is started again: nothing moves back by itself.");
  show(stack, [...compose, "start", "site-a-api"]);
  await untilStatus(stack, "a", "site a is seen up again", (s) => verdict(s, "a") === "up");
  await pause(CALM_MS);
  await showName(stack, "b");
  const calm = await untilStatus(stack, "a", "a leader is known", (s) => s.raft.leader !== null);
  const epoch = calm.groups[0]?.group.ticket.epoch;
  if (epoch !== 2) throw new Error(`the epoch is ${epoch}, expected 2: one grant and one failover`);

  await restartLeader(stack, calm.raft.leader ?? "", title);
  return { firstPrimaryMs, failoverMs };
}

async function restartLeader(stack: Stack, leader: string, title: (text: string) => void): Promise<void> {
  const { compose } = stack;
  title(
    `The container of the leader ${leader} is stopped and started again: it stops in good order and remembers.`,
  );
  const letter = WITNESSES.find((one) => leader === `w-${one}`) ?? "a";
  const container = show(stack, [...compose, "ps", "--quiet", `witness-${letter}`]).trim();
  show(stack, [...compose, "stop", `witness-${letter}`]);
  const exit = show(stack, ["docker", "inspect", "--format", "exit code {{.State.ExitCode}}", container]);
  if (exit.trim() !== "exit code 0") throw new Error("process 1 did not stop in good order on SIGTERM");
  show(stack, [...compose, "logs", "--no-color", "--tail", "4", `witness-${letter}`]);
  await showName(
    stack,
    "b",
    WITNESSES.filter((one) => one !== letter),
  );
  show(stack, [...compose, "start", `witness-${letter}`]);
  await showName(stack, "b");
  const back = await untilStatus(stack, letter, "it follows a leader", (s) => s.raft.leader !== null);
  if (back.groups[0]?.group.ticket.epoch !== 2) throw new Error("the witness forgot the epoch");
  show(stack, [...compose, "exec", "-T", `witness-${letter}`, "pointsman", "status"]);
  show(stack, [...compose, "exec", "-T", `witness-${letter}`, "pointsman", "history", "shop"], 40);
}

/** Plays, and takes everything down whatever happened; gives what failed, or null. */
async function playAndClear(stack: Stack, built: string | null): Promise<Record<string, unknown>> {
  let result: Record<string, unknown>;
  try {
    show(stack, ["docker", "version", "--format", "client {{.Client.Version}}, engine {{.Server.Version}}"]);
    show(stack, [...stack.compose.slice(0, -2), "version"], 1);
    if (built !== null) show(stack, ["docker", "build", "--tag", built, ...process.argv.slice(2), "."], 5);
    result = { ok: true, ...(await play(stack)) };
  } catch (thrown) {
    console.error(run([...stack.compose, "logs", "--no-color", "--tail", "15"], stack.env).stdout);
    result = { ok: false, failed: thrown instanceof Error ? thrown.message : String(thrown) };
  }
  console.log("\n=== Down.");
  try {
    show(stack, [...stack.compose, "down", "--volumes"], 16);
    if (built !== null) show(stack, ["docker", "image", "rm", built], 1);
  } catch (thrown) {
    return { ...result, ok: false, leftBehind: thrown instanceof Error ? thrown.message : String(thrown) };
  }
  return result;
}

const compose = findCompose();
if (typeof compose === "string") {
  console.log(`SKIPPED: ${compose}`);
  process.exitCode = process.env["CI"] === "true" ? 1 : 0;
} else {
  // Ctrl-C ends the command that runs at the moment as well; what was started is then taken down.
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      interrupted = true;
    });
  }
  const given = process.env["POINTSMAN_IMAGE"];
  const image = given ?? `${PROJECT}:latest`;
  const result = await playAndClear(await prepare(compose, image), given === undefined ? image : null);
  console.log(`\n${JSON.stringify(result)}`);
  process.exitCode = result["ok"] === true ? 0 : 1;
}
