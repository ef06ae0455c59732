/**
 * The house rules that neither compiler nor linter know: each file says what it is for, nothing is dead,
 * nothing is half done, and no two tests have one name. A rule without a checker decays.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const WIDTH = 120;

/** Started as programs: what package.json names, and tests. */
const PROGRAMS = readFileSync(join(ROOT, "package.json"), "utf8");
/** Exported for tests alone, and why. */
const FOR_TESTS: readonly string[] = [
  // The terminal without colours.
  "src/cli/terminal.ts PLAIN",
  // What the round trip of the codec has to cover.
  "src/drivers/transport/wire-raft.ts WIRE_MESSAGE_TYPES",
];

interface Source {
  /** Relative to the root, such as "src/main.ts". */
  readonly path: string;
  readonly text: string;
  /** Names taken from each file, "*" for all. */
  readonly imports: ReadonlyMap<string, ReadonlySet<string>>;
}

const sources: readonly Source[] = ["src", "sim", "test"].flatMap((top) =>
  readdirSync(join(ROOT, top), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .sort()
    .map((name) => {
      const path = join(top, name);
      const text = readFileSync(join(ROOT, path), "utf8");
      return { path, text, imports: importsOf(path, text) };
    }),
);

function importsOf(path: string, text: string): Map<string, Set<string>> {
  const imports = new Map<string, Set<string>>();
  const add = (to: string, names: readonly string[]): void => {
    const file = relative(ROOT, join(ROOT, dirname(path), to.replace(/\.js$/, ".ts")));
    imports.set(file, new Set([...(imports.get(file) ?? []), ...names]));
  };
  for (const [, all, list = "", to = ""] of text.matchAll(
    /^(?:import|export) (?:type )?(?:(\* as \w+)|\{([^}]*)\}) from "(\.[^"]*)"/gm,
  )) {
    const names = list.split(",").map(
      (name) =>
        name
          .trim()
          .replace(/^type /, "")
          .split(" as ")[0] ?? "",
    );
    add(to, all === undefined ? names : ["*"]);
  }
  for (const [, to = ""] of text.matchAll(/^import "(\.[^"]*)"/gm)) add(to, ["*"]);
  // Loaded when needed, or started as a process of its own.
  for (const [, to = ""] of text.matchAll(/\b(?:import|new URL)\("(\.[^"]*\.js)"/g)) add(to, ["*"]);
  return imports;
}

/** True when `names`, as one file takes them from another, hold this one. */
function takes(source: Source, file: string, name: string): boolean {
  const names = source.imports.get(file);
  return names !== undefined && (names.has(name) || names.has("*"));
}

function none(found: readonly string[], what: string): void {
  assert.ok(found.length === 0, `${what}:\n${found.join("\n")}`);
}

test("each file opens with a comment that says what it is for", () => {
  const bare = sources.filter(({ text }) => !/^(#!.*\n)?\/\*\*/.test(text));
  none(
    bare.map(({ path }) => path),
    "no header comment",
  );
});

test("no comment is wider than a screen", () => {
  const wide = sources.flatMap(({ path, text }) =>
    text
      .split("\n")
      .flatMap((line, at) =>
        line.length > WIDTH && /^\s*(\/?\*|\/\/)/.test(line) ? [`${path}:${at + 1} (${line.length})`] : [],
      ),
  );
  none(wide, `wider than ${WIDTH} columns`);
});

test("nothing is left for later", () => {
  // Put together here, so that this file does not find itself.
  const words = ["to" + "do", "fix" + "me", "for" + " now", "place" + "holder", "not" + " implemented"];
  const banned = new RegExp(`\\b(${words.join("|")})\\b|\\b(test|describe|it)\\.(only|to${""}do)\\b`, "i");
  const found = sources.flatMap(({ path, text }) =>
    text.split("\n").flatMap((line, at) => (banned.test(line) ? [`${path}:${at + 1}: ${line.trim()}`] : [])),
  );
  none(found, "unfinished");
});

test("each file is used by another one, or is where a program begins", () => {
  const used = new Set(sources.flatMap(({ imports }) => [...imports.keys()]));
  const dead = sources.filter(
    ({ path }) =>
      !used.has(path) &&
      !path.endsWith(".test.ts") &&
      !PROGRAMS.includes(`dist/${path.replace(/ts$/, "js")}`),
  );
  none(
    dead.map(({ path }) => path),
    "dead files",
  );
});

test("what is exported is used: a value by another file and by the program, a type by anybody", () => {
  const unused: string[] = [];
  for (const { path, text } of sources) {
    if (path.startsWith("test/")) continue;
    for (const [, kind = "", name = ""] of text.matchAll(
      /^export (?:async )?(function\*?|const|class|interface|type) (\w+)/gm,
    )) {
      const isType = kind === "interface" || kind === "type";
      const takers = sources.filter((source) => takes(source, path, name));
      const isUsedInside = (text.match(new RegExp(`\\b${name}\\b`, "g")) ?? []).length > 1;
      const isUsedByProgram =
        isUsedInside || path.startsWith("sim/") || takers.some((taker) => !taker.path.startsWith("test/"));
      const isFine = isType ? takers.length > 0 || isUsedInside : takers.length > 0 && isUsedByProgram;
      if (!isFine && !FOR_TESTS.includes(`${path} ${name}`)) unused.push(`${path} ${name}`);
    }
  }
  none(unused, "exported for nobody");
});

test("no two tests of one file have one name", () => {
  const twice = sources.flatMap(({ path, text }) => {
    const names = [...text.matchAll(/^\s*(?:void )?test\(\s*(["`])((?:\\.|(?!\1).)*)\1/gm)].map(
      ([, , name]) => name ?? "",
    );
    return names.filter((name, at) => names.indexOf(name) !== at).map((name) => `${path}: ${name}`);
  });
  none(twice, "names that stand twice");
});
