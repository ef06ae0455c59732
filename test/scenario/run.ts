/**
 * Runs one scenario file and reports step by step.
 */
import { type Agreement, compare } from "./compare.js";
import { type Directive, parse } from "./datadriven.js";
import { interaction, lacking } from "./interaction.js";
import { quorum } from "./quorum.js";

export interface StepReport {
  readonly directive: Directive;
  readonly got: string;
  readonly agreement: Agreement;
}

export type FileReport =
  | { readonly kind: "ran"; readonly steps: readonly StepReport[] }
  | { readonly kind: "skipped"; readonly reason: string };

const QUORUM = ["committed", "vote"];
const CONFCHANGE = ["simple", "enter-joint", "leave-joint"];

/** Runs the scenario `text`; throws `GrammarError` when it cannot be read. */
export function runScenario(text: string): FileReport {
  const directives = parse(text);
  const reason = skipReason(directives);
  if (reason !== null) return { kind: "skipped", reason };
  const interact = interaction();
  const steps = directives.map((directive): StepReport => {
    const pure = QUORUM.includes(directive.command);
    const got = pure ? quorum(directive) : interact(directive);
    // Quorum outputs are drawings: each blank counts.
    const same = got === directive.expected.trimEnd();
    const agreement: Agreement = pure
      ? same
        ? { kind: "literal" }
        : judgeDrawing(directive.expected, got)
      : compare(directive.expected, got);
    return { directive, got, agreement };
  });
  return { kind: "ran", steps };
}

/** The number, after the drawing, is what must agree. */
function judgeDrawing(expected: string, got: string): Agreement {
  const result = (text: string) => text.trimEnd().split("\n").at(-1);
  return result(expected) === result(got)
    ? { kind: "semantic", notes: ["drawing"] }
    : { kind: "differs", what: ["result"] };
}

function skipReason(directives: readonly Directive[]): string | null {
  if (directives.some((d) => CONFCHANGE.includes(d.command))) return "needs membership";
  for (const d of directives) {
    const lack = lacking(d);
    if (lack !== null) return `needs ${lack} (${d.command}, line ${d.line})`;
  }
  return null;
}

/** One output in place of all `expected` of a file, for rewriting it. */
export function outputsOf(report: FileReport): readonly string[] {
  return report.kind === "ran" ? report.steps.map((step) => step.got) : [];
}
