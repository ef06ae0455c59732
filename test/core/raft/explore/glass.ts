/**
 * The consensus room under glass: a copy of the compiled code in which every private field is plain, so that a
 * member can be forked and told apart from another down to its last variable.
 *
 * The explorer needs both, millions of times, and the core should offer neither: a `clone()` that forgets a new
 * field, or a state that two different members share, would make the search miss what it is there to find. Here
 * nothing can be forgotten, because nothing is listed but the few fields that are left out, each with its reason.
 *
 * The copy is made by turning `#name` into `hidden_name`. A plant (plants.ts) may change a line on the way: that
 * is how we know that the explorer finds bugs.
 */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { RawNode } from "../../../../src/core/raft/raft.js";

const CORE = fileURLToPath(new URL("../../../../src/core", import.meta.url));

/** The door of the room, as compiled from the same sources. */
export type Room = typeof import("../../../../src/core/raft/raft.js");

/** A change of the compiled code: in `file` of the room, each `find` (exactly one place) becomes `replace`. */
export interface Edit {
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

function edited(file: string, text: string, edits: readonly Edit[]): string {
  let result = text;
  for (const edit of edits) {
    if (edit.file !== file) continue;
    if (result.split(edit.find).length !== 2)
      throw new Error(
        `plant: ${file} does not hold exactly one «${edit.find}»; adapt test/core/raft/explore/plants.ts`,
      );
    result = result.replace(edit.find, () => edit.replace);
  }
  return result.replace(/#(?=[A-Za-z])/g, "hidden_");
}

/** Loads a fresh copy, with `edits` made to it. */
export async function loadRoom(edits: readonly Edit[] = []): Promise<Room> {
  const copy = mkdtempSync(join(tmpdir(), "pointsman-glass-"));
  try {
    cpSync(join(CORE, "base"), join(copy, "base"), { recursive: true });
    cpSync(join(CORE, "raft"), join(copy, "raft"), { recursive: true });
    writeFileSync(join(copy, "package.json"), '{"type":"module"}');
    for (const file of readdirSync(join(copy, "raft")).filter((name) => name.endsWith(".js"))) {
      const path = join(copy, "raft", file);
      writeFileSync(path, edited(file, readFileSync(path, "utf8"), edits));
    }
    return (await import(pathToFileURL(join(copy, "raft", "raft.js")).href)) as Room;
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

/** Shared between a member and its forks, since nothing changes them: settings, and bytes. */
const isShared = (key: string): boolean => key === "settings";

/**
 * Left out of a member's identity: the settings, and the dice of the election timeout. The explorer says itself
 * when a timer runs out, so what the dice would have said next makes no difference.
 */
const LEFT_OUT: ReadonlySet<string> = new Set(["settings", "randomizedElectionTimeout", "hidden_random"]);

function forkValue(value: unknown, known: Map<object, unknown>): unknown {
  if (typeof value === "function") throw new Error("a member holds a function: it cannot be forked");
  if (typeof value !== "object" || value === null) return value;
  if (Object.isFrozen(value) || ArrayBuffer.isView(value)) return value;
  const earlier = known.get(value);
  if (earlier !== undefined) return earlier;
  if (Array.isArray(value)) {
    const copy: unknown[] = [];
    known.set(value, copy);
    for (const part of value) copy.push(forkValue(part, known));
    return copy;
  }
  if (value instanceof Map) {
    const copy = new Map<unknown, unknown>();
    known.set(value, copy);
    for (const [key, part] of value) copy.set(forkValue(key, known), forkValue(part, known));
    return copy;
  }
  if (value instanceof Set) {
    const copy = new Set<unknown>();
    known.set(value, copy);
    for (const part of value) copy.add(forkValue(part, known));
    return copy;
  }
  const copy = Object.create(Object.getPrototypeOf(value) as object) as Record<string, unknown>;
  known.set(value, copy);
  for (const [key, part] of Object.entries(value)) copy[key] = isShared(key) ? part : forkValue(part, known);
  return copy;
}

/** A second member in the same state, that shares nothing with the first which either could change. */
export function fork(node: RawNode): RawNode {
  return forkValue(node, new Map()) as RawNode;
}

/** A text that is equal for equal states and different for different ones. */
export function identity(value: unknown): string {
  if (typeof value !== "object" || value === null) return String(value);
  if (ArrayBuffer.isView(value)) return `<${(value as Uint8Array).join(",")}>`;
  if (Array.isArray(value)) return `[${value.map(identity).join(",")}]`;
  if (value instanceof Map)
    return `{${[...value].map(([k, v]) => `${identity(k)}:${identity(v)}`).join(",")}}`;
  if (value instanceof Set) return `{${[...value].map(identity).join(",")}}`;
  let text = "(";
  for (const [key, part] of Object.entries(value)) if (!LEFT_OUT.has(key)) text += `${identity(part)};`;
  return `${text})`;
}
