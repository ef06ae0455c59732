/**
 * What is wrong with a configuration document, as data: a finding knows the path, a problem knows the line too.
 *
 * A finding is made where a value is judged; the document (document.ts) then adds file, line and column. Each names the
 * value and the remedy. The value is shown as it was written, cut short, and never where the path smells of a secret:
 * an operator who pastes a key in the wrong place must not find it again in a log or a ticket.
 */

/** Where in the document: mapping keys and list positions from the root. */
export type Path = readonly (string | number)[];

/** The stable codes of what makes a document unusable; `docs/configuration.md` lists them. */
export type ProblemCode =
  /** The file cannot be read. */
  | "unreadable"
  /** The text is not YAML, or uses a part of YAML that is not accepted here. */
  | "syntax"
  | "duplicate_key"
  | "unknown_key"
  /** A required key is absent. */
  | "missing"
  /** A key stands there without a value. */
  | "empty"
  /** The value has the wrong form. */
  | "invalid"
  /** The form is right and the number out of bounds. */
  | "out_of_range"
  /** A secret stands in the document. */
  | "literal_secret"
  /** Two things have one name or one address. */
  | "duplicate"
  /** A name refers to nothing. */
  | "unknown_reference"
  /** Two values contradict each other. */
  | "contradiction";

/** One thing that is wrong, at a path. */
export interface Finding {
  readonly code: ProblemCode;
  readonly path: Path;
  /** What is wrong, without the path: "is no duration". */
  readonly message: string;
  /** What to do. */
  readonly remedy: string;
  /** The value as it may be shown, or null. */
  readonly value: string | null;
}

/** One thing that is wrong, at a place in a file. `line` and `column` are 1-based; 0: the file as a whole. */
export interface ConfigProblem {
  readonly code: ProblemCode;
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** `groups.shop.sites.a.targets.web.interval`; empty: the document as a whole. */
  readonly path: string;
  readonly message: string;
  readonly remedy: string;
  readonly value: string | null;
}

/** `pointsman.yaml:12:9: groups.shop.holdDown: is no duration (found 60). Write a number with a unit: ...` */
export function formatProblem(problem: ConfigProblem): string {
  const place = problem.line === 0 ? problem.file : `${problem.file}:${problem.line}:${problem.column}`;
  const path = problem.path === "" ? "" : `${problem.path}: `;
  const value = problem.value === null ? "" : ` (found ${problem.value})`;
  return `${place}: ${path}${problem.message}${value}. ${problem.remedy}`;
}

/** Mapping keys joined by dots, list positions in brackets, keys that contain more than a word in quotes. */
export function formatPath(path: Path): string {
  let text = "";
  for (const part of path) {
    if (typeof part === "number") text += `[${part}]`;
    else if (!/^[\w-]+$/.test(part)) text += `[${JSON.stringify(cut(part, 80))}]`;
    else text += text === "" ? part : `.${part}`;
  }
  return text;
}

const SECRET_WORD = /secret|passw|passphrase|token|authori[sz]ation|cookie|credential|private|api-?_?key/i;

/** True when a key by that name is likely to hold a secret. */
export function isSecretName(name: string): boolean {
  return SECRET_WORD.test(name);
}

/**
 * The value as it may be shown at that path: JSON, cut to 60 characters, passwords in URLs blanked; null: not
 * at all.
 */
export function showValue(path: Path, value: unknown): string | null {
  if (value === undefined || value === null) return null;
  if (path.some((part) => typeof part === "string" && isSecretName(part))) return null;
  if (typeof value === "object") return Array.isArray(value) ? "a list" : "a mapping";
  const text = typeof value === "string" ? JSON.stringify(value) : String(value);
  return cut(text.replace(/\/\/[^@/\s]*@/g, "//…@"), 60);
}

function cut(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`;
}

/**
 * The known name that is nearest to a mistyped one, or null when none is near (Damerau-Levenshtein, at most a
 * third).
 */
export function nearest(name: string, known: readonly string[]): string | null {
  let best: string | null = null;
  let bestDistance = Math.max(1, Math.floor(name.length / 3)) + 1;
  for (const candidate of known) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase(), bestDistance);
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit;
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (last[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      let cost = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, substitution);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        cost = Math.min(cost, (beforeLast[j - 2] ?? 0) + 1);
      }
      row.push(cost);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length] ?? limit;
}
