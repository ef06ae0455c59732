/**
 * `npm run explore -- [options]`: every history of a small cluster, within bounds, checked at each step.
 *
 * Without bounds on the command line it goes through a list of explorations (TOUR), each with its share of
 * `--seconds`. With any bound it runs that one. Progress goes to stderr if that is a terminal; stdout gets one line
 * of JSON. Something broken: the history is printed, kept in a file, and the exit code is 1.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { PLANTS } from "./plants.js";
import { DEFAULTS, type Finding, replay, run, type Settings } from "./run.js";
import { TOUR } from "./tour.js";

const HELP = `npm run explore -- [options]
  --seconds N       how long (60); each exploration of the tour gets its share
  --members N  --timeouts N  --heartbeats N  --proposals N  --crashes N  --lags N  --drops N
  --spares N  --changes N  --snapshots N
  --duplicates N|any  --prevote  --checkquorum  --entries-per-append N  --apply-apart  --from new|led
                    one exploration with these bounds, instead of the tour
  --seed N          another order of equals (which of the farthest states are reached before time is up)
  --max-states N    stop at so many (20000000)
  --plant NAME      plant a known bug first: ${Object.keys(PLANTS).join(", ")}
  --all-plants      each of them in turn, and a table of what was found
  --out FILE        where a history that breaks something is kept (explore-finding.json)
  --replay FILE     take the steps of such a file again, one by one`;

const OPTIONS = {
  seconds: { type: "string", default: "60" },
  members: { type: "string" },
  timeouts: { type: "string" },
  heartbeats: { type: "string" },
  proposals: { type: "string" },
  crashes: { type: "string" },
  lags: { type: "string" },
  drops: { type: "string" },
  spares: { type: "string" },
  changes: { type: "string" },
  snapshots: { type: "string" },
  duplicates: { type: "string" },
  prevote: { type: "boolean" },
  checkquorum: { type: "boolean" },
  "entries-per-append": { type: "string" },
  "apply-apart": { type: "boolean" },
  from: { type: "string" },
  seed: { type: "string", default: "0" },
  "max-states": { type: "string", default: "20000000" },
  plant: { type: "string" },
  "all-plants": { type: "boolean" },
  out: { type: "string", default: "explore-finding.json" },
  replay: { type: "string" },
  help: { type: "boolean" },
} as const;

type Values = ReturnType<typeof parseArgs<{ options: typeof OPTIONS }>>["values"];

function count(name: string, value: string, least = 0, most = Number.MAX_SAFE_INTEGER): number {
  const n = Number(value);
  if (!Number.isSafeInteger(n) || n < least || n > most)
    throw new Error(`--${name} ${value}: not a whole number from ${least} to ${most}`);
  return n;
}

/** The one exploration that the command line describes; null when it names no bound. */
function ownSettings(values: Values): Settings | null {
  const budget = (name: "timeouts" | "heartbeats" | "proposals" | "crashes" | "lags" | "drops") =>
    values[name] === undefined
      ? DEFAULTS[name]
      : count(name, values[name], 0, name === "proposals" ? 10 : 15);
  const { members, duplicates, prevote, checkquorum, from } = values;
  const named = [
    members,
    values.spares,
    values.changes,
    values.snapshots,
    duplicates,
    prevote,
    checkquorum,
    from,
    values["entries-per-append"],
    values["apply-apart"],
  ];
  const budgets = ["timeouts", "heartbeats", "proposals", "crashes", "lags", "drops"] as const;
  if (named.every((v) => v === undefined) && budgets.every((name) => values[name] === undefined)) return null;
  if (from !== undefined && from !== "new" && from !== "led")
    throw new Error(`--from ${from}: not one of new, led`);
  return {
    ...DEFAULTS,
    ...Object.fromEntries(budgets.map((name) => [name, budget(name)])),
    members: members === undefined ? DEFAULTS.members : count("members", members, 1, 7),
    spares: count("spares", values.spares ?? "0", 0, 2),
    changes: count("changes", values.changes ?? "0", 0, 3),
    snapshots: count("snapshots", values.snapshots ?? "0", 0, 1),
    duplicates: duplicates === "any" ? "any" : count("duplicates", duplicates ?? "0", 0, 15),
    preVote: prevote ?? false,
    checkQuorum: checkquorum ?? false,
    entriesPerAppend: count("entries-per-append", values["entries-per-append"] ?? "0"),
    applyApart: values["apply-apart"] ?? false,
    from: from ?? "new",
    plant: values.plant ?? null,
  };
}

interface Report {
  readonly name: string;
  readonly states: number;
  readonly depth: number;
  readonly complete: boolean;
  readonly seconds: number;
  readonly finding: Finding | null;
}

async function explorations(
  list: readonly { readonly name: string; readonly settings: Settings }[],
  options: { readonly seconds: number; readonly seed: number; readonly maxStates: number },
): Promise<readonly Report[]> {
  const reports: Report[] = [];
  const start = performance.now();
  for (const [i, { name, settings }] of list.entries()) {
    const begun = performance.now();
    const left = options.seconds * 1000 - (begun - start);
    const until = begun + left / (list.length - i);
    const result = await run(settings, {
      expired: () => performance.now() >= until,
      maxStates: options.maxStates,
      maxDepth: Number.POSITIVE_INFINITY,
      seed: options.seed,
      progress: (states, depth, waiting) => {
        if (process.stderr.isTTY)
          process.stderr.write(
            `\r${name}: ${states} states, ${depth} steps deep, ${waiting} to go on from  `,
          );
      },
    });
    if (process.stderr.isTTY) process.stderr.write("\n");
    reports.push({ name, ...result, seconds: (performance.now() - begun) / 1000 });
    if (result.finding !== null) break;
  }
  return reports;
}

const rounded = (seconds: number): number => Math.round(seconds * 10) / 10;

async function plants(seconds: number, seed: number, maxStates: number): Promise<number> {
  let missed = 0;
  console.log("| bug | found by | steps | states | seconds |\n|---|---|---|---|---|");
  for (const [plant, { what }] of Object.entries(PLANTS)) {
    const list = TOUR.map(({ name, settings }) => ({ name, settings: { ...settings, plant } }));
    // A short tour first, so that what the last leg finds does not wait for the whole time of the others.
    const reports = [...(await explorations(list, { seconds: seconds / 6, seed, maxStates }))];
    if (!reports.some(({ finding }) => finding !== null))
      reports.push(...(await explorations(list, { seconds, seed, maxStates })));
    const found = reports.at(-1);
    const finding = found?.finding;
    const states = reports.reduce((sum, report) => sum + report.states, 0);
    const took = rounded(reports.reduce((sum, report) => sum + report.seconds, 0));
    if (finding === null || finding === undefined) missed++;
    const by = finding ? `${finding.broken.split(":")[0]} (${found?.name})` : "**not found**";
    console.log(`| \`${plant}\`: ${what} | ${by} | ${finding?.steps.length ?? ""} | ${states} | ${took} |`);
  }
  return missed === 0 ? 0 : 1;
}

async function main(): Promise<number> {
  const { values } = parseArgs({ options: OPTIONS });
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  if (values.replay !== undefined) {
    const finding = JSON.parse(readFileSync(values.replay, "utf8")) as Finding;
    return (await replay(finding, (line) => console.log(line))) ? 1 : 0;
  }
  const seconds = count("seconds", values.seconds, 1);
  const seed = count("seed", values.seed);
  const maxStates = count("max-states", values["max-states"], 1);
  if (values["all-plants"]) return await plants(seconds, seed, maxStates);

  const own = ownSettings(values);
  const plant = values.plant ?? null;
  const list =
    own === null
      ? TOUR.map(({ name, settings }) => ({ name, settings: { ...settings, plant } }))
      : [{ name: "own", settings: own }];
  const reports = await explorations(list, { seconds, seed, maxStates });
  const findings = reports.flatMap(({ finding }) => (finding === null ? [] : [finding]));
  for (const finding of findings) {
    writeFileSync(values.out, `${JSON.stringify(finding, null, 2)}\n`);
    await replay(finding, (line) => console.error(line));
    console.error(`kept in ${values.out}; again with: npm run explore -- --replay ${values.out}`);
  }
  const sum = (of: (report: Report) => number) => reports.reduce((total, report) => total + of(report), 0);
  console.log(
    JSON.stringify({
      states: sum(({ states }) => states),
      depth: Math.max(...reports.map(({ depth }) => depth)),
      complete: reports.every(({ complete }) => complete),
      seconds: rounded(sum((report) => report.seconds)),
      violations: findings.map(({ broken, steps }) => ({ broken, steps: steps.length })),
      explorations: reports.map(({ finding: _finding, ...report }) => ({
        ...report,
        seconds: rounded(report.seconds),
      })),
    }),
  );
  return findings.length === 0 ? 0 : 1;
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 2;
  },
);
