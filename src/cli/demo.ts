/**
 * `pointsman demo`: the main job on one machine, with real processes, in one command. Without a flag it stays
 * up, says what to look at and what to break, and narrates; with `--script` it plays and judges itself and
 * ends with one line of JSON.
 *
 * What a user kills comes back by itself after a while, as a supervisor would do it, so that one demo shows both ways.
 */
import type { Command } from "commander";
import { ADDRESS, GROUP, Lab, NAME, SITES } from "./demo/lab.js";
import { Narrator } from "./demo/narrator.js";
import { Observer } from "./demo/observer.js";
import { play } from "./demo/play.js";
import { CliError, EXIT } from "./exit-codes.js";
import type { Cli } from "./terminal.js";

const REVIVE_SERVICE_MS = 20_000;
const REVIVE_WITNESS_MS = 10_000;

/** Adds `demo`. */
export function registerDemo(program: Command, cli: Cli): void {
  program
    .command("demo")
    .description("three witnesses, two sites and a name server on this machine, to look at and to break")
    .option(
      "--script",
      "play a failover, and a switchover whose leader is killed; exit 0 only if all expectations hold",
    )
    .option("--keep", "leave the directory with the witnesses' data and logs in place")
    .action(async (options: { script?: boolean; keep?: boolean }) => {
      const { interrupted } = cli;
      cli.out("Starting two sites with three services each, and three witnesses …");
      const lab = await Lab.start();
      const observer = new Observer(lab.witnesses.map(({ admin }) => admin));
      const startedAtMs = Date.now();
      const narrator = new Narrator(
        (line) => cli.out(line),
        cli.paint,
        startedAtMs,
        () => cli.width,
      );
      observer.onRecord((record) => narrator.onRecord(record));
      observer.start();
      try {
        if (options.script === true) await script(lab, observer, narrator, cli);
        else await interactive(lab, observer, cli, interrupted);
      } finally {
        await observer.stop();
        narrator.end();
        await lab.stop(options.keep === true);
        if (options.keep === true) cli.out(`Data and logs are in ${lab.directory}.`);
      }
    });
}

async function script(lab: Lab, observer: Observer, narrator: Narrator, cli: Cli): Promise<void> {
  const { interrupted } = cli;
  const stopped = new Promise<never>((_, reject) => {
    const fail = (): void => reject(new CliError(EXIT.unfinished, "interrupted", "the demo was interrupted"));
    if (interrupted.aborted) fail();
    interrupted.addEventListener("abort", fail);
  });
  const startedAtMs = Date.now();
  try {
    const switches = await Promise.race([
      play(lab, observer, (line) => cli.out(cli.paint.bold(line))),
      stopped,
    ]);
    await fallSilent(observer, narrator);
    cli.json({ ok: true, tookMs: Date.now() - startedAtMs, switches });
  } catch (thrown) {
    if (thrown instanceof CliError) throw thrown;
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    await fallSilent(observer, narrator);
    for (const { id } of lab.witnesses) cli.note(await lab.lastLog(id));
    cli.json({ ok: false, tookMs: Date.now() - startedAtMs, failed: message });
    throw new CliError(EXIT.unfinished, "expectation_failed", `the demo did not go as it must: ${message}`);
  }
}

/** The JSON is the last line: nothing is told after it. */
async function fallSilent(observer: Observer, narrator: Narrator): Promise<void> {
  await observer.stop();
  narrator.end();
}

async function interactive(lab: Lab, observer: Observer, cli: Cli, interrupted: AbortSignal): Promise<void> {
  await observer.expect(
    "the group gets its first primary",
    60_000,
    0,
    (record) => record.kind === "plan_done",
  );
  cli.out(instructions(lab, cli));
  const timers = new Set<NodeJS.Timeout>();
  lab.onExit = (id) => {
    const isService = id.includes("/");
    const delayMs = isService ? REVIVE_SERVICE_MS : REVIVE_WITNESS_MS;
    const what = isService ? `service ${id}` : `witness ${id}`;
    cli.out(cli.paint.yellow(`${what} is gone; it will be started again in ${delayMs / 1000} s`));
    const timer = setTimeout(() => {
      timers.delete(timer);
      const start = isService ? lab.startService(id) : lab.startWitness(id);
      start.then(
        () => cli.out(cli.paint.yellow(`${what} is back, pid ${lab.pid(id)}`)),
        (error: unknown) => cli.note(`${what} does not start: ${String(error)}`),
      );
    }, delayMs);
    timers.add(timer);
  };
  await new Promise<void>((resolve) => {
    if (interrupted.aborted) resolve();
    interrupted.addEventListener("abort", () => resolve());
  });
  for (const timer of timers) clearTimeout(timer);
  cli.out("\nStopping …");
}

function instructions(lab: Lab, cli: Cli): string {
  const { bold, dim } = cli.paint;
  const first = lab.witnesses[0];
  const [host, port] = (first?.dns ?? "").split(":");
  const address = first?.admin === "127.0.0.1:7401" ? "" : ` --address ${first?.admin}`;
  const services = SITES.map((site) => {
    const all = lab.services
      .filter(({ id }) => id.startsWith(`${site}/`))
      .map(({ id }) => `${id.slice(site.length + 1)} ${lab.pid(id)}`);
    return `    site ${site} (${ADDRESS[site]}): ${all.join(", ")}`;
  });
  const witnesses = lab.witnesses.map(({ id }) => `${id} ${lab.pid(id)}`).join(", ");
  return [
    "",
    bold("It runs. In another terminal, look:"),
    `    dig +short @${host} -p ${port} ${NAME}`,
    `    npx pointsman status${address}`,
    `    npx pointsman explain ${GROUP}${address}`,
    "",
    bold("Break something (kill -9 PID), and watch the name move:"),
    ...services,
    `    witnesses: ${witnesses}`,
    "",
    bold("Move it by hand:"),
    `    npx pointsman switchover ${GROUP} --to b --wait${address}`,
    `    npx pointsman hold ${GROUP} --reason "maintenance"${address}`,
    `    npx pointsman resume ${GROUP}${address}`,
    "",
    dim(`The document is ${lab.configFile}. Ctrl-C ends everything.`),
    "",
  ].join("\n");
}
