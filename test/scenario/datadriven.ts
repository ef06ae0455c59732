/**
 * Reads and rewrites files of the "datadriven" grammar, in which scenarios are written.
 *
 * A directive is a line `cmd word key=value key=(v1, v2)`, which a `\` at its end continues, then optional
 * lines of input, then `----`, then the expected output up to an empty line. Output that holds empty lines
 * itself is fenced: it stands between two pairs of `----`. Lines that begin with `#` between directives are
 * comments. `rewrite` puts other outputs in place and leaves all else as it is.
 */

/** One word or `key=…` of a directive; `values` is empty for a bare word. */
export interface Arg {
  readonly key: string;
  readonly values: readonly string[];
}

/** One step of a file. */
export interface Directive {
  /** 1-based line of the command. */
  readonly line: number;
  readonly command: string;
  readonly args: readonly Arg[];
  readonly input: string;
  /** Without a trailing newline. */
  readonly expected: string;
  /** Half-open range of 0-based lines after the `----`, fences included. */
  readonly expectedLines: readonly [number, number];
}

/** The file does not follow the grammar. */
export class GrammarError extends Error {
  override readonly name = "GrammarError";
}

const FENCE = "----";

/** The directives of `text`, in order. */
export function parse(text: string): readonly Directive[] {
  const lines = text.split("\n");
  const directives: Directive[] = [];
  let at = 0;
  while (at < lines.length) {
    const line = lines[at] ?? "";
    if (line.trim() === "" || line.startsWith("#")) {
      at++;
      continue;
    }
    const directive = parseDirective(lines, at);
    directives.push(directive);
    at = directive.expectedLines[1];
  }
  return directives;
}

function parseDirective(lines: readonly string[], start: number): Directive {
  let at = start;
  let head = (lines[at++] ?? "").trim();
  while (head.endsWith("\\")) head = `${head.slice(0, -1).trim()} ${(lines[at++] ?? "").trim()}`;
  const input: string[] = [];
  while (lines[at] !== FENCE) {
    if (at >= lines.length) throw new GrammarError(`line ${start + 1}: no ---- after "${head}"`);
    input.push(lines[at++] ?? "");
  }
  at++;
  const body = parseExpected(lines, at);
  const [command = "", ...args] = splitWords(head, start + 1);
  return {
    line: start + 1,
    command,
    args: args.map((word) => parseArg(word)),
    input: input.join("\n"),
    expected: body.text,
    expectedLines: [at, body.end],
  };
}

function parseExpected(lines: readonly string[], start: number): { text: string; end: number } {
  if (lines[start] !== FENCE) {
    let end = start;
    while (end < lines.length && (lines[end] ?? "").trim() !== "") end++;
    return { text: lines.slice(start, end).join("\n"), end };
  }
  let at = start + 1;
  while (!(lines[at] === FENCE && lines[at + 1] === FENCE)) {
    if (at >= lines.length) throw new GrammarError(`line ${start + 1}: fence is not closed`);
    at++;
  }
  return { text: lines.slice(start + 1, at).join("\n"), end: at + 2 };
}

/** Splits at blanks outside parentheses. */
function splitWords(head: string, line: number): readonly string[] {
  const words = head.match(/[^\s=()]+(?:=\([^)]*\)|=[^\s()]*)?/g);
  if (words === null) throw new GrammarError(`line ${line}: no command in "${head}"`);
  if (words.join("").replace(/\s/g, "") !== head.replace(/\s/g, ""))
    throw new GrammarError(`line ${line}: cannot read the arguments of "${head}"`);
  return words;
}

function parseArg(word: string): Arg {
  const equals = word.indexOf("=");
  if (equals < 0) return { key: word, values: [] };
  const value = word.slice(equals + 1);
  const list = /^\((.*)\)$/s.exec(value)?.[1];
  const values = list === undefined ? [value] : list.split(",").map((v) => v.trim());
  return { key: word.slice(0, equals), values: values.filter((v) => v !== "") };
}

/** `text` with the expected output of its i-th directive replaced by `outputs[i]`. */
export function rewrite(text: string, outputs: readonly string[]): string {
  const lines = text.split("\n");
  const directives = parse(text);
  const out: string[] = [];
  let at = 0;
  for (const [i, directive] of directives.entries()) {
    out.push(...lines.slice(at, directive.expectedLines[0]));
    const output = outputs[i] ?? directive.expected;
    const fenced = output.split("\n").some((line) => line.trim() === "");
    out.push(...(fenced ? [FENCE, output, FENCE, FENCE] : [output]));
    at = directive.expectedLines[1];
  }
  out.push(...lines.slice(at));
  return out.join("\n");
}
