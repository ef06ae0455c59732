/**
 * What the documents name exists: links, scripts, verbs with their flags, paths, and the decision records
 * without a gap. Whoever is led astray by a document at 3 am does not come back to it.
 */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { buildProgram } from "../../src/cli/program.js";
import { terminal } from "../../src/cli/terminal.js";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const NOT_OURS = new Set(["node_modules", "dist", ".git"]);

/** All files of the project, relative to its root. */
const FILES = walk(ROOT).map((file) => relative(ROOT, file));
const DOCUMENTS = FILES.filter((file) => file.endsWith(".md"));
/** Files that people read and copy commands from. */
const COMMANDS = FILES.filter(
  (file) => DOCUMENTS.includes(file) || /^(Dockerfile|docker-compose|examples\/)/.test(file),
);

function walk(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    if (NOT_OURS.has(entry.name) || entry.isSymbolicLink()) return [];
    const path = join(directory, entry.name);
    return entry.isDirectory() ? walk(path) : [path];
  });
}

const textOf = (file: string): string => readFileSync(join(ROOT, file), "utf8");

/** Every match of `pattern` in these files, with the file; the first group is the match. */
function found(files: readonly string[], pattern: RegExp): { file: string; what: string }[] {
  return files.flatMap((file) =>
    [...textOf(file).matchAll(pattern)].map((match) => ({ file, what: match[1] ?? "" })),
  );
}

function headings(file: string): string[] {
  return found([file], /^#+ +(.+)$/gm).map(({ what }) =>
    what
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
}

test("every relative link of a document leads to a file, and every anchor to a heading", () => {
  const links = found(DOCUMENTS, /\]\(([^)\s]+)\)/g).filter(({ what }) => !/^[a-z]+:/.test(what));
  assert.ok(links.length > 15, `only ${links.length} links found`);
  const broken = links.filter(({ file, what }) => {
    const [path = "", anchor] = what.split("#");
    const target = path === "" ? file : join(dirname(file), path);
    if (!existsSync(join(ROOT, target))) return true;
    return anchor !== undefined && !headings(target).includes(anchor);
  });
  assert.deepEqual(broken, []);
});

test("every npm script that a document names is in package.json", () => {
  const { scripts } = JSON.parse(textOf("package.json")) as { scripts: Record<string, string> };
  const named = found(COMMANDS, /\bnpm run (?:-s )?([\w:-]+)/g);
  assert.ok(named.length > 3, `only ${named.length} scripts found`);
  assert.deepEqual(
    named.filter(({ what }) => !(what in scripts)),
    [],
  );
});

test("every verb and flag of pointsman that a document names exists", () => {
  const program = buildProgram(terminal());
  // A command stands in back quotes, or alone in a line of a block, after a prompt or a runner of some kind.
  const inline = found(COMMANDS, /`pointsman ([^`\n]+)`/g);
  const block = found(COMMANDS, /^(?!.*`)[#$ ]*(?:[\w ./-]*\s)?pointsman ([a-z][^#\n]*)/gm);
  const lines = [...inline, ...block.filter(({ what }) => !/^(is|with|on|under|in|and)\b/.test(what))];
  assert.ok(
    inline.length > 20 && block.length > 5,
    `only ${inline.length} and ${block.length} commands found`,
  );
  const wrong = lines.flatMap(({ file, what }) => {
    const words = what.trim().split(/\s+/);
    let command: Command = program;
    const [verb = ""] = words;
    if (/^[a-z][a-z-]*,?$/.test(verb)) {
      const known = program.commands.find((one) => one.name() === verb.replace(",", ""));
      if (known === undefined) return [`${file}: pointsman ${what}: no verb ${verb}`];
      command = known.commands.find((one) => one.name() === words[1]) ?? known;
    }
    const flags = words.flatMap((word) => /^(--[a-z-]+)/.exec(word)?.[1] ?? []);
    return flags
      .filter((flag) => !["--help", "--version"].includes(flag))
      .filter((flag) => !command.options.some((option) => option.long === flag))
      .map((flag) => `${file}: pointsman ${what}: ${command.name()} has no ${flag}`);
  });
  assert.deepEqual(wrong, []);
});

test("every path that a document names exists", () => {
  const bases = ["", "src", "src/core", "src/drivers", "docs"];
  const paths = found(
    DOCUMENTS,
    /`([\w@-][\w./@-]*\.(?:ts|md|json|proto|service|yml)|[\w-]+(?:\/[\w-]+)+\/?)`/g,
  );
  assert.ok(paths.length > 20, `only ${paths.length} paths found`);
  const missing = paths.filter(({ file, what }) => {
    // `http.expectBody.json` is a key of the document, not a file.
    if (what.startsWith("http.")) return false;
    if (!what.includes("/")) return !FILES.some((one) => basename(one) === what);
    const places = [dirname(file), ...bases].map((base) => join(ROOT, base, what));
    return !places.some((place) => existsSync(place) || existsSync(place.replace(/\/$/, "")));
  });
  assert.deepEqual(missing, []);
});

test("the tree in ARCHITECTURE.md is the tree of the project, with every room", () => {
  const block = /^proto\/pointsman\/v1 [\s\S]*?(?=^```)/m.exec(textOf("ARCHITECTURE.md"))?.[0] ?? "";
  const stack: string[] = [];
  const paths: string[] = [];
  for (const line of block.split("\n").filter((one) => one.trim() !== "")) {
    const depth = /^ */.exec(line)?.[0].length ?? 0;
    stack.length = depth / 2;
    // "probe/ exec/   words": several directories may stand in one line.
    const names = line.trim().split(/ {2,}/)[0]?.split(" ") ?? [];
    for (const name of names.filter((one) => /[/.]/.test(one))) paths.push(join(...stack, name));
    stack.push(names[0] ?? "");
  }
  assert.ok(paths.length > 15, block);
  assert.deepEqual(
    paths.filter((path) => !existsSync(join(ROOT, path))),
    [],
  );
  const told = new Set(paths.map((path) => path.replace(/\/$/, "")));
  const rooms = ["src/core", "src/drivers"].flatMap((wing) =>
    readdirSync(join(ROOT, wing), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => join(wing, entry.name)),
  );
  assert.deepEqual(
    rooms.filter((room) => !told.has(room)),
    [],
  );
});

test("decision records are numbered without a gap, and each is named by its number", () => {
  const names = readdirSync(join(ROOT, "docs/adr")).sort();
  names.forEach((name, at) => {
    assert.equal(name.slice(0, 5), `${String(at + 1).padStart(4, "0")}-`);
    assert.match(textOf(join("docs/adr", name)), new RegExp(`^# ${at + 1}\\. `), name);
  });
});

test("no table of a document is broken in two by an empty line", () => {
  const broken = found(DOCUMENTS, /\|\n\n(\|(?! *-)[^\n]*)\n(?!\|-)/g);
  assert.deepEqual(broken, []);
});

test("nothing names a document that is not in the project", () => {
  const readable = FILES.filter((file) => /\.(ts|md|ya?ml|proto|txt)$/.test(file));
  const strangers = found(readable, /\b((?:DESIGN|STYLE|RAFT|ECOSYSTEM)(?:\.md|,? section)[^\n]{0,20})/g);
  assert.deepEqual(
    strangers.filter(({ file }) => file !== "test/project/docs.test.ts"),
    [],
  );
});
