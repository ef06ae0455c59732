/**
 * `pointsman config check FILE`: what is wrong with a configuration, what is unwise, and how long a failover may take.
 *
 * Asks no witness. With `--probe-rtt` it connects to the peer addresses of the other witnesses, so that the timings are
 * judged against the real round trips from where it runs.
 */
import { Argument, type Command, Option } from "commander";
import { type WitnessId, witnessId } from "../core/base/ids.js";
import type { ClusterConfig } from "../core/model/config.js";
import type { MeasuredRtt } from "../drivers/config/advise.js";
import type { ConfigResult } from "../drivers/config/config.js";
import { parseName } from "./client-options.js";
import { CliError, EXIT } from "./exit-codes.js";
import { measureConnectRtt } from "./probe-rtt.js";
import { type ConfigCheck, renderConfigCheck } from "./render-config.js";
import type { Cli } from "./terminal.js";

interface CheckOptions {
  readonly witness?: string;
  readonly probeRtt: boolean;
  readonly json: boolean;
}

/** Adds `check` to the verb `config`. */
export function registerConfigCheck(config: Command, cli: Cli): void {
  config
    .command("check")
    .description("judge a configuration file: errors with line and remedy, warnings, bounds of a failover")
    .addArgument(new Argument("<file>", "the configuration file"))
    .addOption(new Option("--witness <id>", "the witness that this machine runs").argParser(parseName))
    .option("--probe-rtt", "measure the round trip to the other witnesses (with --witness)", false)
    .option("--json", "print one JSON document", false)
    .action(async (file: string, options: CheckOptions) => {
      if (options.probeRtt && options.witness === undefined) {
        throw new CliError(
          EXIT.usage,
          "usage",
          "--probe-rtt needs --witness: the others are the ones to measure",
        );
      }
      const { loadConfig } = await import("../drivers/config/config.js");
      const result = await loadConfig(file);
      const check = await judge(file, result, options);
      if (options.json) cli.json(check);
      else cli.out(renderConfigCheck(check, cli.paint));
      if (!check.ok) cli.finish(EXIT.config);
    });
}

async function judge(file: string, result: ConfigResult, options: CheckOptions): Promise<ConfigCheck> {
  const nothing = {
    file,
    cluster: null,
    version: null,
    hash: null,
    warnings: [],
    groups: [],
    roundTrips: [],
  };
  if (result.kind === "refused") return { ...nothing, ok: false, errors: result.errors };
  const { config, hash } = result;
  const self = options.witness === undefined ? null : witnessId(options.witness);
  if (self !== null && !config.witnesses.some((witness) => witness.id === self)) {
    return { ...nothing, ok: false, errors: [unknownWitness(file, self, config)] };
  }
  const { adviseConfig } = await import("../drivers/config/advise.js");
  const { failoverBound } = await import("../drivers/config/bound.js");
  const { formatPath } = await import("../drivers/config/problem.js");
  const roundTrips = self !== null && options.probeRtt ? await measure(config, self) : [];
  const measured = roundTrips.flatMap(({ from, to, rttMs }): MeasuredRtt[] =>
    rttMs === null ? [] : [{ from, to, rttMs }],
  );
  const lines = new Map(result.warnings.map((warning) => [formatPath(warning.path), warning.line]));
  return {
    ok: true,
    file,
    cluster: config.cluster,
    version: config.version,
    hash,
    errors: [],
    // Judged again only when measuring may have changed what is said.
    warnings: (measured.length === 0 ? result.warnings : adviseConfig(config, measured)).map((advice) => ({
      code: advice.code,
      path: formatPath(advice.path),
      line: lines.get(formatPath(advice.path)) ?? 0,
      message: advice.message,
      remedy: advice.remedy,
    })),
    groups: config.groups.map((group) => ({ group: group.id, bound: failoverBound(config, group) })),
    roundTrips,
  };
}

function unknownWitness(file: string, self: WitnessId, config: ClusterConfig): ConfigCheck["errors"][number] {
  const names = config.witnesses.map((witness) => witness.id).join(", ");
  return {
    code: "unknown_reference",
    file,
    line: 0,
    column: 0,
    path: "witnesses",
    message: `holds no witness of that name`,
    remedy: `Give one of: ${names}.`,
    value: self,
  };
}

function measure(config: ClusterConfig, self: WitnessId): Promise<ConfigCheck["roundTrips"]> {
  const others = config.witnesses.filter((witness) => witness.id !== self);
  return Promise.all(
    others.flatMap((witness) =>
      witness.peers.map(async (address) => {
        const measured = await measureConnectRtt(address);
        return typeof measured === "number"
          ? { from: self, to: witness.id, address, rttMs: measured, problem: null }
          : { from: self, to: witness.id, address, rttMs: null, problem: measured.problem };
      }),
    ),
  );
}
