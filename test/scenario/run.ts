/**
 * Runs one scenario file and reports step by step.
 */

import { type Agreement, compare } from "./compare.js";
import { confchange } from "./confchange.js";
import { type Directive, parse } from "./datadriven.js";
import { interaction } from "./interaction.js";
import { quorum } from "./quorum.js";

export interface StepReport {
  readonly directive: Directive;
  readonly got: string;
  readonly agreement: Agreement;
}

export interface FileReport {
  readonly steps: readonly StepReport[];
}

const QUORUM = ["committed", "vote"];
const CONFCHANGE = ["simple", "enter-joint", "leave-joint"];

/** Runs the scenario `text`; throws `GrammarError` when it cannot be read. */
export function runScenario(text: string): FileReport {
  const directives = parse(text);
  const interact = interaction();
  const change = confchange();
  const steps = directives.map((directive): StepReport => {
    const pure = QUORUM.includes(directive.command);
    const got = pure
      ? quorum(directive)
      : CONFCHANGE.includes(directive.command)
        ? change(directive)
        : interact(directive);
    // Quorum outputs are drawings: each blank counts.
    const same = got === directive.expected.trimEnd();
    const agreement: Agreement = pure
      ? same
        ? { kind: "literal" }
        : judgeDrawing(directive.expected, got)
      : compare(directive.expected, got);
    return { directive, got, agreement };
  });
  return { steps };
}

/** The number, after the drawing, is what must agree. */
function judgeDrawing(expected: string, got: string): Agreement {
  const result = (text: string) => text.trimEnd().split("\n").at(-1);
  return result(expected) === result(got)
    ? { kind: "semantic", notes: ["drawing"] }
    : { kind: "differs", what: ["result"] };
}

/** One output in place of all `expected` of a file, for rewriting it. */
export function outputsOf(report: FileReport): readonly string[] {
  return report.steps.map((step) => step.got);
}
