/**
 * From zod's issues to findings: one sentence of what is wrong and one of what to do, for each kind of issue.
 *
 * `parseSection` is the only caller of zod's parse. The document is parsed section by section (schema.ts), so that a
 * mistake in one group does not hide what is wrong with another.
 */
import type { z } from "zod";
import { keyRemedy } from "./document.js";
import type { Refused } from "./leaf.js";
import { type Finding, formatPath, isSecretName, type Path, type ProblemCode, showValue } from "./problem.js";

/** The section's value, or null and what is wrong with it. `path` is where the section stands. */
export function parseSection<T>(
  schema: z.ZodType<T, unknown>,
  value: unknown,
  path: Path,
  findings: Finding[],
): T | null {
  const result = schema.safeParse(value, { error: knownKeys });
  if (result.success) return result.data;
  const found = result.error.issues.flatMap((issue) => toFindings(issue, value, path));
  // "has none of http, tcp, exec" says nothing new beside "`htpp` is no known key".
  const strangers = found
    .filter((one) => STRANGE.includes(one.code))
    .map((one) => formatPath(one.path.slice(0, -1)));
  findings.push(
    ...found.filter((one) => one.code !== "missing" || !strangers.includes(formatPath(one.path))),
  );
  return null;
}

const STRANGE: readonly ProblemCode[] = ["unknown_key", "literal_secret"];

/** For an unknown key, zod's message slot carries the known ones: only the schema object itself knows them. */
export const knownKeys: z.core.$ZodErrorMap = (issue) => {
  if (issue.code !== "unrecognized_keys") return undefined;
  const shape = (issue.inst?._zod.def as { shape?: Record<string, unknown> } | undefined)?.shape;
  return Object.keys(shape ?? {}).join(" ");
};

function toFindings(issue: z.core.$ZodIssue, section: unknown, base: Path): Finding[] {
  const inner = issue.path.map((part) => (typeof part === "symbol" ? String(part) : part));
  const path = [...base, ...inner];
  const value = inner.reduce(valueAt, section);
  if (issue.code === "unrecognized_keys") {
    const known = issue.message.split(" ");
    return issue.keys.map((key) => unknownKey(path, key, known));
  }
  if (issue.code === "invalid_key") {
    return issue.issues.flatMap((one) => {
      const { code, message, remedy } = (one as { params?: Refused }).params ?? UNEXPLAINED;
      const key = inner.at(-1);
      return [
        { code, path, message: `the key ${message ?? one.message}`, remedy, value: showValue(path, key) },
      ];
    });
  }
  if (issue.code === "custom") {
    const { code, remedy, hide } = (issue.params as Refused | undefined) ?? UNEXPLAINED;
    return [{ code, path, message: issue.message, remedy, value: hide ? null : showValue(path, value) }];
  }
  if (issue.code === "invalid_type") {
    const list = issue.expected === "array" || issue.expected === "tuple";
    const remedy = list
      ? "Write a list: [a, b], or lines that begin with a hyphen."
      : "Write a mapping: lines of `key: value`.";
    if (value === undefined) return [{ code: "missing", path, message: "is missing", remedy, value: null }];
    if (value === null) return [{ code: "empty", path, message: "is empty", remedy, value: null }];
    const message = list ? "is no list" : "is no mapping";
    return [{ code: "invalid", path, message, remedy, value: showValue(path, value) }];
  }
  return [
    {
      code: "invalid",
      path,
      message: issue.message,
      remedy: UNEXPLAINED.remedy,
      value: showValue(path, value),
    },
  ];
}

/** A list of one may be written as its one value: then a position is the value itself. */
function valueAt(value: unknown, part: string | number): unknown {
  if (typeof part === "number" && !Array.isArray(value)) return value;
  return (value as Record<string | number, unknown> | null | undefined)?.[part];
}

const UNEXPLAINED = {
  code: "invalid",
  message: undefined,
  remedy: "See docs/configuration.md.",
  hide: true,
} as const;

function unknownKey(path: Path, key: string, known: readonly string[]): Finding {
  if (isSecretName(key) && known.includes("secretFile")) {
    const remedy =
      "Secrets never stand in this document, which is replicated and shown: name a file (secretFile: /etc/pointsman/tsig.key) " +
      "or an environment variable (secretEnv: POINTSMAN_TSIG_KEY), and change a secret that was written here.";
    return {
      code: "literal_secret",
      path: [...path, key],
      message: "is a secret in the document",
      remedy,
      value: null,
    };
  }
  const remedy = keyRemedy(key, known);
  return { code: "unknown_key", path: [...path, key], message: "is no known key", remedy, value: null };
}
