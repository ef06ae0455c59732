/**
 * An exec hook that writes down what it was told, and that a test can hold in the midst of its work.
 *
 * The hook appends one line of JSON to a journal when it begins and one when it ends, and in between waits as
 * long as a file of its step's name stands in the hold directory. Like a real hook it outlives a leader that
 * is killed.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Section } from "./document.js";

/** One line of the journal. */
export interface HookEntry {
  readonly at: "begin" | "end";
  readonly env: Readonly<Record<string, string>>;
  /** The facts as JSON, as the hook read them from its standard input. */
  readonly input: Readonly<Record<string, unknown>>;
}

const VARIABLES = [
  "CLUSTER",
  "GROUP",
  "FROM",
  "TO",
  "EPOCH",
  "STEP",
  "ATTEMPT",
  "KIND",
  "IDEMPOTENCY_KEY",
  "WITNESS",
];

export class Hooks {
  private readonly journal: string;
  private readonly holds: string;
  private readonly script: string;

  constructor(directory: string) {
    this.journal = join(directory, "journal");
    this.holds = join(directory, "holds");
    this.script = join(directory, "hook.sh");
    mkdirSync(this.holds);
    const env = VARIABLES.map((name) => `\\"${name}\\":\\"$POINTSMAN_${name}\\"`).join(",");
    const line = (at: string): string =>
      `printf '%s\\n' "{\\"at\\":\\"${at}\\",\\"env\\":{${env}},\\"input\\":$input}" >> '${this.journal}'`;
    const script = [
      "#!/bin/sh",
      "read -r input",
      line("begin"),
      `while [ -e '${this.holds}/'$POINTSMAN_STEP ]; do sleep 0.05; done`,
      line("end"),
      'echo "$POINTSMAN_STEP is done"',
      "",
    ].join("\n");
    writeFileSync(this.script, script, { mode: 0o755 });
  }

  /** A hook section of the document. */
  section(timeout = "30s"): Section {
    return { exec: [this.script], timeout };
  }

  /** The command alone. */
  get command(): readonly string[] {
    return [this.script];
  }

  /** From now on the hook of that step does not end by itself. */
  hold(step: string): void {
    writeFileSync(join(this.holds, step), "");
  }

  /** Lets it end. */
  release(step: string): void {
    rmSync(join(this.holds, step), { force: true });
  }

  /** What was written down for an epoch, oldest first. */
  entries(epoch: number): HookEntry[] {
    if (!existsSync(this.journal)) return [];
    return readFileSync(this.journal, "utf8")
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as HookEntry)
      .filter(({ env }) => env["EPOCH"] === String(epoch));
  }
}
