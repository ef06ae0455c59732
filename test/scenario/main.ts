/**
 * `npm run scenarios -- DIR|FILE…`: runs scenario files (our own when none are named) and says where the
 * core agrees with them.
 *
 * Each file gets one line; each step that differs is shown with both outputs. The last line is `N passed, N
 * failed`, and the exit code is 1 when a file failed, 2 when one could not be read.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { GrammarError } from "./datadriven.js";
import { type FileReport, runScenario, type StepReport } from "./run.js";

const OWN = fileURLToPath(new URL("../../../test/scenario", import.meta.url));

function filesOf(path: string): readonly string[] {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".txt"))
    .sort()
    .map((name) => join(path, name));
}

function indent(text: string): string {
  return text
    .split("\n")
    .map((line) => `      ${line}`)
    .join("\n");
}

function showStep({ directive, got, agreement }: StepReport): void {
  const command = [directive.command, ...directive.args.map((arg) => arg.key)].join(" ");
  if (agreement.kind === "semantic")
    console.log(
      `    line ${directive.line} ${command}: same meaning, other form: ${agreement.notes.join(", ")}`,
    );
  if (agreement.kind !== "differs") return;
  console.log(`    line ${directive.line} ${command}: differs in ${agreement.what.join(", ")}`);
  console.log(`    expected:\n${indent(directive.expected)}\n    got:\n${indent(got)}`);
}

/** Prints a file's report; returns the word it is counted under. */
function showFile(name: string, report: FileReport): "passed" | "failed" {
  const of = (kind: string) => report.steps.filter((step) => step.agreement.kind === kind).length;
  const differed = of("differs");
  const agreed = report.steps.length - differed;
  const verdict = differed === 0 ? "ok  " : "FAIL";
  console.log(
    `${verdict} ${name}: ${agreed} steps agreed (${of("literal")} to the letter), ${differed} differed`,
  );
  for (const step of report.steps) showStep(step);
  return differed === 0 ? "passed" : "failed";
}

function main(args: readonly string[]): number {
  const counts = { passed: 0, failed: 0 };
  let code = 0;
  for (const path of args.length > 0 ? args : [OWN]) {
    let files: readonly string[];
    try {
      files = filesOf(path);
    } catch (error) {
      console.error(`${path}: cannot be read: ${(error as Error).message}`);
      return 2;
    }
    for (const file of files) {
      const name = relative(path, file) || file;
      try {
        counts[showFile(name, runScenario(readFileSync(file, "utf8")))]++;
      } catch (error) {
        if (!(error instanceof GrammarError)) throw error;
        console.log(`FAIL ${name}: ${error.message}`);
        counts.failed++;
      }
    }
  }
  if (counts.failed > 0) code = 1;
  console.log(`${counts.passed} passed, ${counts.failed} failed`);
  return code;
}

process.exitCode = main(process.argv.slice(2));
