/**
 * Small combinators between our data and the plain objects that proto-loader reads and writes.
 *
 * A `Codec<T>` names how one type looks on the wire, in both directions; `message` builds one from a table
 * with a row for every property of T, so the compiler refuses a table that forgot a field of the model. Two
 * reasons against casting instead: proto-loader coerces in silence (a string becomes 0, an integer past 2^53
 * loses its tail), and its idea of absent (undefined, "0", "") is not ours (null). Decoding checks every
 * value and names the path of the one that is wrong.
 *
 * Fits the loader options of admin-proto.ts: camelCase, int64 as strings, enums as names, defaults filled in.
 */
import { assert } from "../../core/base/assert.js";
import { isCount } from "../../core/base/ids.js";

/** How T looks on the wire. `decode` throws `WireError`; `path` says where in the message the value stands. */
export interface Codec<T> {
  encode(value: T): unknown;
  decode(wire: unknown, path: string): T;
}

/** A message that no release of ours sends. Stable code `wire_malformed`; trying again does not help. */
export class WireError extends Error {
  override readonly name = "WireError";
  readonly code = "wire_malformed";
  readonly retriable = false;

  constructor(path: string, problem: string) {
    super(`${path}: ${problem}; is the other side of the same release?`);
  }
}

/** A plain object as proto-loader gives it. */
export type WireObject = Readonly<Record<string, unknown>>;

/** The value as an object, or a `WireError`. */
export function wireObject(wire: unknown, path: string): WireObject {
  if (typeof wire !== "object" || wire === null)
    throw new WireError(path, `must be a message, is ${show(wire)}`);
  return wire as WireObject;
}

export const text: Codec<string> = {
  encode: (value) => value,
  decode(wire, path) {
    if (typeof wire !== "string") throw new WireError(path, `must be a string, is ${show(wire)}`);
    return wire;
  },
};

export const flag: Codec<boolean> = {
  encode: (value) => value,
  decode(wire, path) {
    if (typeof wire !== "boolean") throw new WireError(path, `must be true or false, is ${show(wire)}`);
    return wire;
  },
};

export const bytes: Codec<Uint8Array> = {
  encode: (value) => value,
  decode(wire, path) {
    if (!(wire instanceof Uint8Array)) throw new WireError(path, `must be bytes, is ${show(wire)}`);
    return wire;
  },
};

/** A finite double. */
export const real: Codec<number> = {
  encode(value) {
    assert(Number.isFinite(value), () => `number to send is ${value}`);
    return value;
  },
  decode(wire, path) {
    if (typeof wire !== "number" || !Number.isFinite(wire)) {
      throw new WireError(path, `must be a finite number, is ${show(wire)}`);
    }
    return wire;
  },
};

/** An integer from 0 to 2^53 - 1 in an int64; `brand` gives it its type. */
export function counted<T extends number>(brand: (value: number) => T): Codec<T> {
  return {
    encode(value) {
      assert(isCount(value), () => `count to send is ${value}`);
      return value;
    },
    decode(wire, path) {
      const value = typeof wire === "string" && /^\d{1,16}$/.test(wire) ? Number(wire) : wire;
      if (!isCount(value))
        throw new WireError(path, `must be an integer from 0 to 2^53 - 1, is ${show(wire)}`);
      return brand(value);
    },
  };
}

export const count: Codec<number> = counted((value) => value);

/** Milliseconds; a fraction is rounded away, nobody reads it. */
export const millis: Codec<number> = {
  encode: (value) => count.encode(Math.round(value)),
  decode: count.decode,
};

/** A name with a brand. */
export function named<T extends string>(brand: (value: string) => T): Codec<T> {
  return { encode: (value) => value, decode: (wire, path) => brand(text.decode(wire, path)) };
}

/** A closed set of words as a proto enum: "rolled_back" under prefix PLAN_STATUS is PLAN_STATUS_ROLLED_BACK. */
export function oneOf<const T extends string>(prefix: string, words: readonly T[]): Codec<T> {
  const toWire = new Map(words.map((word) => [word, `${prefix}_${word.toUpperCase().replaceAll("-", "_")}`]));
  const fromWire = new Map([...toWire].map(([word, name]) => [name, word]));
  return {
    encode(value) {
      const name = toWire.get(value);
      assert(name !== undefined, () => `${prefix} has no word ${value}`);
      return name;
    },
    decode(wire, path) {
      const word = typeof wire === "string" ? fromWire.get(wire) : undefined;
      if (word === undefined)
        throw new WireError(path, `must be one of ${words.join(", ")}, is ${show(wire)}`);
      return word;
    },
  };
}

/** null is an absent field. */
export function nullable<T>(codec: Codec<T>): Codec<T | null> {
  return {
    encode: (value) => (value === null ? undefined : codec.encode(value)),
    decode: (wire, path) => (wire === undefined || wire === null ? null : codec.decode(wire, path)),
  };
}

export function list<T>(codec: Codec<T>): Codec<readonly T[]> {
  return {
    encode: (value) => value.map((item) => codec.encode(item)),
    decode(wire, path) {
      if (!Array.isArray(wire)) throw new WireError(path, `must be a list, is ${show(wire)}`);
      return wire.map((item, at) => codec.decode(item, `${path}[${at}]`));
    },
  };
}

/** A record as a list of messages that carry their key in the field `key`; the order is kept. */
export function keyed<T>(key: string, codec: Codec<T>): Codec<Readonly<Record<string, T>>> {
  return {
    encode: (value) =>
      Object.entries(value).map(([name, item]) => ({ [key]: name, ...wireObject(codec.encode(item), key) })),
    decode(wire, path) {
      if (!Array.isArray(wire)) throw new WireError(path, `must be a list, is ${show(wire)}`);
      // A name such as "__proto__" must become a property, not a prototype.
      const value: Record<string, T> = Object.create(null);
      wire.forEach((item, at) => {
        const where = `${path}[${at}]`;
        value[text.decode(wireObject(item, where)[key], `${where}.${key}`)] = codec.decode(item, where);
      });
      return { ...value };
    },
  };
}

/** A message, one row a property. */
export function message<T extends object>(
  fields: { readonly [K in keyof T & string]: Codec<T[K]> },
): Codec<T> {
  const names = Object.keys(fields) as (keyof T & string)[];
  return {
    encode(value) {
      const wire: Record<string, unknown> = {};
      for (const name of names) wire[name] = fields[name].encode(value[name]);
      return wire;
    },
    decode(wire, path) {
      const from = wireObject(wire, path);
      const value: Partial<T> = {};
      for (const name of names) value[name] = fields[name].decode(from[name], `${path}.${name}`);
      // Every row of the table was filled in, and the table has a row for every property.
      return value as T;
    },
  };
}

function show(value: unknown): string {
  const shown = typeof value === "string" ? JSON.stringify(value) : String(value);
  return shown.length > 60 ? `${shown.slice(0, 60)}…` : shown;
}
