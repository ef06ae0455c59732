/**
 * Exit codes of the `pointsman` command: the part of its answer that scripts read.
 *
 * The rule: the code says what the caller may do next. 1: asking again as it is will not help. 3: nothing was
 * done, asking again is safe. 4: look first. Codes from 64 on are those of sysexits.h. docs/errors.md holds
 * the same table, and a test compares the two.
 */
import { mayAskAgain, type RefusalCode } from "../core/model/code.js";

export const EXIT = {
  ok: 0,
  refused: 1,
  usage: 2,
  unreachable: 3,
  unknown: 4,
  unfinished: 5,
  unavailable: 69,
  internal: 70,
  storage: 74,
  config: 78,
} as const;

export type ExitName = keyof typeof EXIT;

/** What each exit code means, in one line. */
export const EXIT_MEANING: Readonly<Record<ExitName, string>> = {
  ok: "done, or printed",
  refused: "the cluster refused; the code is printed",
  usage: "the command line is wrong; nothing was sent",
  unreachable: "no witness or no leader could be asked, or it is not ready; nothing was done, try again",
  unknown: "the request may have been decided, or what it began still runs: look at the status first",
  unfinished: "the plan or change that was waited for failed, or was rolled back or called off",
  unavailable: "run: a port is in use, or another service of the system is not available",
  internal: "a bug: an invariant is broken; please report what was printed",
  storage: "run: the data directory cannot be used, or writing to it failed",
  config: "the configuration has errors",
};

/** Refusals that do not say what became of the request. */
const MAY_BE_DECIDED: ReadonlySet<RefusalCode> = new Set<RefusalCode>([
  "unknown_outcome",
  "session_expired",
  "session_stale",
]);

/** The exit code for a refusal. */
export function exitOfRefusal(code: RefusalCode): number {
  if (MAY_BE_DECIDED.has(code)) return EXIT.unknown;
  return mayAskAgain(code) ? EXIT.unreachable : EXIT.refused;
}

/** The table of exit codes for `--help`. */
export function exitCodeHelp(): string {
  const rows = (Object.keys(EXIT) as ExitName[]).map(
    (name) => `  ${String(EXIT[name]).padStart(2)}  ${EXIT_MEANING[name]}`,
  );
  return `\nExit codes:\n${rows.join("\n")}\n`;
}

/** Ends the command: what to print, which code to exit with, and a stable code for `--json`. */
export class CliError extends Error {
  override readonly name = "CliError";
  readonly exit: number;
  readonly code: string;
  /** Fields for the JSON form besides code and message. */
  readonly facts: Readonly<Record<string, unknown>>;

  constructor(exit: number, code: string, message: string, facts: Readonly<Record<string, unknown>> = {}) {
    super(message);
    this.exit = exit;
    this.code = code;
    this.facts = facts;
  }
}
