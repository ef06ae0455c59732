/**
 * Readers and writers of single wire fields. What protobuf decodes is treated as unknown until it has passed
 * here.
 *
 * proto-loader coerces in silence, both ways: a string becomes 0 in a number field, 2^64 - 1 loses its low
 * digits, a misspelt field vanishes. So decoding asks for strings of digits (longs) and names (enums) and
 * checks each, and encoding goes out from typed values through the same limits. Invariant: what the writers
 * here produce, the readers accept.
 */
import { assert } from "../../core/base/assert.js";
import { isCount } from "../../core/base/ids.js";

/** Longest text for people, in UTF-16 units; longer ones are cut when written and refused when read. */
export const TEXT_LIMIT = 4096;
/** Longest name (witness, site, target key, request). */
const NAME_LIMIT = 1024;

/** A field that is not what it has to be. Thrown inside a decode and caught at its door. */
export class FieldError extends Error {
  override readonly name = "FieldError";
}

/** A decoded message whose fields are not yet believed. */
export type Fields = Readonly<Record<string, unknown>>;

/** The nested message `name` of `from`. */
export function readMessage(from: Fields, name: string): Fields {
  const value = from[name];
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw bad(name, "is missing");
  return value as Fields;
}

/** A repeated message field of at most `limit` items; absent is empty. */
export function readList(from: Fields, name: string, limit: number): readonly Fields[] {
  const value = from[name] ?? [];
  if (!Array.isArray(value)) throw bad(name, "is not a list");
  if (value.length > limit) throw bad(name, `has ${value.length} items, at most ${limit} are allowed`);
  for (const item of value)
    if (typeof item !== "object" || item === null) throw bad(name, "holds a non-message");
  return value as Fields[];
}

/** An integer from 0 to `max` (2^53 - 1 unless told); absent is 0. */
export function readCount(from: Fields, name: string, max = Number.MAX_SAFE_INTEGER): number {
  const raw = from[name] ?? 0;
  // Seventeen digits are past 2^53 already; the pattern keeps "1e3", " 7" and "0x7" out of Number().
  const value = typeof raw === "string" && /^\d{1,16}$/.test(raw) ? Number(raw) : raw;
  if (!isCount(value) || value > max) throw bad(name, `is ${String(raw)}, not an integer from 0 to ${max}`);
  return value;
}

/** A repeated number field of at most `limit` integers from 0 to `max`; absent is empty. */
export function readCounts(from: Fields, name: string, limit: number, max: number): number[] {
  const value = from[name] ?? [];
  if (!Array.isArray(value)) throw bad(name, "is not a list");
  if (value.length > limit) throw bad(name, `has ${value.length} items, at most ${limit} are allowed`);
  return value.map((item: unknown) => readCount({ [name]: item }, name, max));
}

/** As `readCount`, but null when the field is absent. */
export function readOptionalCount(from: Fields, name: string): number | null {
  return from[name] === undefined || from[name] === null ? null : readCount(from, name);
}

/** A finite number from `min` to `max`; absent is 0. */
export function readNumber(from: Fields, name: string, min: number, max: number): number {
  const value = from[name] ?? 0;
  if (typeof value !== "number" || !(value >= min && value <= max) || !Number.isFinite(value)) {
    throw bad(name, `is ${String(value)}, not a number from ${min} to ${max}`);
  }
  return value;
}

/** As `readNumber`, but null when the field is absent. */
export function readOptionalNumber(from: Fields, name: string, min: number, max: number): number | null {
  return from[name] === undefined || from[name] === null ? null : readNumber(from, name, min, max);
}

/** A boolean; absent is false. */
export function readFlag(from: Fields, name: string): boolean {
  const value = from[name] ?? false;
  if (typeof value !== "boolean") throw bad(name, "is not a boolean");
  return value;
}

/** Bytes, copied out of the frame that they came in, at most `limit`; absent is empty. */
export function readBytes(from: Fields, name: string, limit: number): Uint8Array {
  const value = from[name] ?? new Uint8Array(0);
  if (!(value instanceof Uint8Array)) throw bad(name, "is not bytes");
  if (value.length > limit) throw bad(name, `has ${value.length} bytes, at most ${limit} are allowed`);
  return new Uint8Array(value);
}

/** Text for people: well formed, no control characters but tab and line feed; absent is empty. */
export function readText(from: Fields, name: string): string {
  const value = from[name] ?? "";
  if (typeof value !== "string") throw bad(name, "is not text");
  if (value.length > TEXT_LIMIT) throw bad(name, `has ${value.length} characters, at most ${TEXT_LIMIT}`);
  if (UNFIT_IN_TEXT.test(value)) throw bad(name, "holds control characters");
  return value;
}

/** A name: not empty, no control characters, nothing that a decoder had to replace. */
export function readName(from: Fields, name: string): string {
  const value = from[name];
  if (typeof value !== "string" || !isName(value)) throw bad(name, "is not a name");
  return value;
}

/** One of the keys of `table`, which maps names on the wire to our words. An unknown one is refused. */
export function readChoice<T>(from: Fields, name: string, table: ReadonlyMap<string, T>): T {
  const value = from[name];
  const word = typeof value === "string" ? table.get(value) : undefined;
  if (word === undefined)
    throw bad(name, `is ${String(value ?? "missing")}, which this version does not know`);
  return word;
}

/** The text as it may travel: cut at the limit, unfit characters replaced. */
export function writeText(value: string): string {
  const cut = value.length > TEXT_LIMIT ? `${value.slice(0, TEXT_LIMIT - 2)} …` : value;
  return cut.replace(UNFIT_IN_TEXT_ALL, "\ufffd");
}

/** The name, asserted to be one: names come from configuration and were checked there. */
export function writeName(value: string): string {
  assert(isName(value), () => `not a name that can be sent: ${JSON.stringify(value.slice(0, 80))}`);
  return value;
}

/** The number, asserted to be an integer from 0 to 2^53 - 1. */
export function writeCount(value: number): number {
  assert(isCount(value), () => `not a count that can be sent: ${value}`);
  return value;
}

/** The number held into `[min, max]`, asserted not to be NaN; rounding may have pushed it over the edge. */
export function writeNumber(value: number, min: number, max: number): number {
  assert(!Number.isNaN(value), "NaN cannot be sent");
  return Math.min(max, Math.max(min, value));
}

/** The table turned round: our words to names on the wire. */
export function invert<T>(table: ReadonlyMap<string, T>): ReadonlyMap<T, string> {
  return new Map([...table].map(([name, word]) => [word, name]));
}

/** True for what `readName` accepts. */
function isName(value: string): boolean {
  return value.length > 0 && value.length <= NAME_LIMIT && !UNFIT_IN_NAME.test(value);
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what these look for.
const UNFIT_IN_TEXT = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\p{Surrogate}]/u;
const UNFIT_IN_TEXT_ALL = new RegExp(UNFIT_IN_TEXT.source, "gu");
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this looks for.
const UNFIT_IN_NAME = /[\u0000-\u001f\u007f-\u009f\ufffd\p{Surrogate}]/u;

function bad(name: string, what: string): FieldError {
  return new FieldError(`field ${name} ${what}`);
}
