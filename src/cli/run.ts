/**
 * `pointsman run`: one witness in the foreground, until SIGINT or SIGTERM. Everything that it does is in main.ts.
 */
import { setFlagsFromString } from "node:v8";
import { type Command, Option } from "commander";
import { LOG_FORMATS, LOG_LEVELS, type LogFormat, type LogLevel } from "../drivers/log/log.js";
import type { Cli } from "./terminal.js";

interface RunFlags {
  readonly config: string;
  readonly witness: string;
  readonly data: string;
  readonly logLevel: LogLevel;
  readonly logFormat: LogFormat;
}

/** Adds `run`; the command ends with the exit code of the witness. */
export function registerRun(program: Command, cli: Cli): void {
  program
    .command("run")
    .description("run one witness in the foreground")
    .requiredOption("--config <file>", "the document, the same at every witness")
    .requiredOption("--witness <id>", "which witness of the document this process is")
    .requiredOption("--data <directory>", "where its log is kept; never share or copy it")
    .addOption(
      new Option("--log-level <level>", "least level that is logged").choices(LOG_LEVELS).default("info"),
    )
    .addOption(
      new Option("--log-format <format>", "auto: readable on a terminal, else JSON")
        .choices(LOG_FORMATS)
        .default("auto"),
    )
    .action(async (flags: RunFlags) => {
      const { config, witness, data, logLevel, logFormat } = flags;
      keepYoungSpaceSmall();
      // Loaded when used: the other verbs start three times as fast without the drivers.
      const { runWitness } = await import("../main.js");
      const code = await runWitness({ configFile: config, witness, dataDir: data, logLevel, logFormat });
      cli.finish(code);
      // A handle that was left open must not keep a stopped witness alive.
      setTimeout(() => process.exit(code), 2000).unref();
    });
}

/**
 * V8 lets the space for young objects grow to three times 16 MB under any steady trickle of garbage, and never gives
 * it back. A witness runs for years and keeps little: it stays at the size that it has when this is called.
 */
function keepYoungSpaceSmall(): void {
  setFlagsFromString("--semi-space-growth-factor=1");
}
