/**
 * YAML text as a plain value, with the way back from a path to line and column.
 *
 * YAML 1.2 core schema, one document, keys are text and unique, no custom tags, no merge keys; anchors and
 * aliases work (and an alias bomb does not). Reading never throws: whatever the text holds ends in a value or
 * in findings with places.
 */
import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  visit,
  type YAMLError,
} from "yaml";
import {
  type ConfigProblem,
  type Finding,
  formatPath,
  nearest,
  type Path,
  type ProblemCode,
} from "./problem.js";

/** Longer documents are refused: parsing time must not depend on a stray file. Unit: bytes. */
export const DOCUMENT_BYTES_MAX = 1024 * 1024;

/** A document that was read. */
export interface ConfigDocument {
  /** Plain mappings, lists and scalars. */
  readonly value: unknown;
  /** Adds file, line and column to a finding: those of the nearest part of its path that stands in the text. */
  locate(finding: Finding): ConfigProblem;
  /** The line of a path, or of its nearest ancestor; 1-based. */
  lineOf(path: Path): number;
}

/** Reads the text, or says what is wrong with it as YAML. Never throws. */
export function readDocument(
  text: string,
  file: string,
): ConfigDocument | { readonly problems: ConfigProblem[] } {
  const bytes = Buffer.byteLength(text);
  if (bytes > DOCUMENT_BYTES_MAX) {
    const message = `is ${bytes} bytes long, more than ${DOCUMENT_BYTES_MAX}`;
    return { problems: [problemAt(file, 0, 0, "syntax", message, "Is this the right file?")] };
  }
  const lines = new LineCounter();
  let document: Document.Parsed;
  let value: unknown;
  try {
    document = parseDocument(text, { lineCounter: lines, prettyErrors: false, stringKeys: false });
    const problems = [...document.errors, ...document.warnings].map((error) =>
      syntaxProblem(error, lines, file),
    );
    if (problems.length === 0) problems.push(...refusedParts(document, lines, file));
    if (problems.length > 0) return { problems };
    value = document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    // A stack overflow on absurd nesting, or an alias that multiplies itself.
    const message =
      error instanceof RangeError ? "is nested too deeply" : "expands its aliases too often or in a circle";
    return { problems: [problemAt(file, 1, 1, "syntax", message, "Write the values out.")] };
  }
  const at = (path: Path): { line: number; col: number } => {
    const offset = offsetOf(document, path);
    return offset === null ? { line: 1, col: 1 } : lines.linePos(offset);
  };
  return {
    value,
    locate(finding) {
      const { line, col } = at(finding.path);
      const { code, message, remedy, value: shown } = finding;
      const path = formatPath(asWritten(value, finding.path));
      return { code, file, line, column: col, path, message, remedy, value: shown };
    },
    lineOf: (path) => at(path).line,
  };
}

/**
 * Where a path stands: at the key for a mapping's entry, at the item in a list. Parts that the text does not hold
 * (a missing key, the item of a list written as a single value) end the walk.
 */
function offsetOf(document: Document.Parsed, path: Path): number | null {
  let node: unknown = document.contents;
  let offset = startOf(node);
  for (const part of path) {
    if (isAlias(node)) node = node.resolve(document);
    if (isMap(node)) {
      const pair = node.items.find((item) => keyText(item.key) === String(part));
      if (pair === undefined) break;
      offset = startOf(pair.key) ?? offset;
      node = pair.value;
    } else if (isSeq(node)) {
      const item: unknown = node.items[Number(part)];
      if (item === undefined) break;
      offset = startOf(item) ?? offset;
      node = item;
    } else {
      break;
    }
  }
  return offset;
}

/** The path without positions in lists that the text does not hold: a list of one may be written as its one value. */
function asWritten(root: unknown, path: Path): Path {
  let value = root;
  return path.filter((part) => {
    const single = typeof part === "number" && value !== undefined && !Array.isArray(value);
    if (!single) value = (value as Record<string | number, unknown> | null | undefined)?.[part];
    return !single;
  });
}

function startOf(node: unknown): number | null {
  return (node as Node | null | undefined)?.range?.[0] ?? null;
}

function keyText(key: unknown): string | null {
  return isScalar(key) ? String(key.value) : null;
}

/** Parts of YAML that would surprise: keys that are no text, merge keys, a key that poisons prototypes. */
function refusedParts(document: Document.Parsed, lines: LineCounter, file: string): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const refuse = (node: unknown, message: string, remedy: string): void => {
    const { line, col } = lines.linePos(startOf(node) ?? 0);
    problems.push(problemAt(file, line, col, "syntax", message, remedy));
  };
  visit(document, {
    Pair(_, pair) {
      const key = pair.key;
      if (!isScalar(key) || typeof key.value !== "string") {
        refuse(
          key ?? pair.value,
          "a key is no text",
          "Write keys as plain words; quote a key that is a number.",
        );
      } else if (key.value === "<<") {
        refuse(
          key,
          "merge keys (<<) are not accepted",
          "Write the keys out, or use `probes:` for shared defaults.",
        );
      } else if (key.value === "__proto__") {
        refuse(key, "this key is not accepted", "Choose another name.");
      }
    },
  });
  return problems;
}

const BRACKETS = 'Quote a value that begins with a bracket, as in "[2001:db8::5]:7400".';
const SYNTAX: Partial<Record<YAMLError["code"], readonly [ProblemCode, string, string]>> = {
  DUPLICATE_KEY: ["duplicate_key", "the key stands twice in one mapping", "Keep one of them."],
  BAD_ALIAS: [
    "syntax",
    "an alias (*name) has no anchor (&name) before it",
    "Quote the value if it is plain text.",
  ],
  TAG_RESOLVE_FAILED: ["syntax", "tags (!name) are not accepted", "Quote the value if it is plain text."],
  MULTIPLE_DOCS: ["syntax", "the file holds more than one document (---)", "Keep one."],
  TAB_AS_INDENT: ["syntax", "a tab is used for indentation", "Indent with spaces."],
  BAD_INDENT: ["syntax", "the indentation does not fit the lines around it", "Align keys of one mapping."],
  MISSING_CHAR: [
    "syntax",
    "a character is missing",
    `Close quotes and brackets, put a space after a colon. ${BRACKETS}`,
  ],
  UNEXPECTED_TOKEN: ["syntax", "text stands where none is expected", BRACKETS],
};

function syntaxProblem(error: YAMLError, lines: LineCounter, file: string): ConfigProblem {
  const { line, col } = lines.linePos(error.pos[0]);
  const known = SYNTAX[error.code];
  if (known !== undefined) return problemAt(file, line, col, known[0], known[1], known[2]);
  // The library's own sentence may quote the text, and the text may be a secret: only its code is shown.
  const code = error.code.toLowerCase().replaceAll("_", " ");
  return problemAt(
    file,
    line,
    col,
    "syntax",
    `the text is not YAML (${code})`,
    "Check quotes, colons and indentation.",
  );
}

function problemAt(
  file: string,
  line: number,
  column: number,
  code: ProblemCode,
  message: string,
  remedy: string,
): ConfigProblem {
  return { code, file, line, column, path: "", message, remedy, value: null };
}

/** "Did you mean `x`?" when a known key is near, else the list of known keys. */
export function keyRemedy(key: string, known: readonly string[]): string {
  const near = nearest(key, known);
  return near === null ? `Known here: ${known.join(", ")}.` : `Did you mean \`${near}\`?`;
}
