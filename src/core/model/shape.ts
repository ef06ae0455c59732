/**
 * Small checks that plain data has the shape its type claims.
 *
 * Commands come out of the log as JSON that some release wrote; `apply` must be total on them, so what it reads is
 * checked first and refused by the name of the first wrong field. The field lists are tied to the types: a field that
 * is added to a type and not here does not compile.
 */
import { isCount } from "../base/ids.js";

/** Null when `value` has the shape; else one line that names the wrong field by `path`. */
export type Check = (value: unknown, path: string) => string | null;

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Any text. */
export const text: Check = (value, path) => (typeof value === "string" ? null : `${path} is not text`);

/** A name that may be a key of a record and a part of a target key. */
export const name: Check = (value, path) =>
  typeof value === "string" && value !== "" && value !== "__proto__" && !value.includes("/")
    ? null
    : `${path} is not a name`;

/** An integer from 0 to 2^53 - 1. */
export const count: Check = (value, path) => (isCount(value) ? null : `${path} is not a count`);

/** A finite number, zero or more: durations, probabilities. */
export const amount: Check = (value, path) =>
  typeof value === "number" && Number.isFinite(value) && value >= 0 ? null : `${path} is not an amount`;

export const flag: Check = (value, path) =>
  typeof value === "boolean" ? null : `${path} is not true or false`;

/** A JSON scalar. */
export const scalar: Check = (value, path) =>
  value === null || ["string", "number", "boolean"].includes(typeof value) ? null : `${path} is not a scalar`;

/** One of the given words. */
export function oneOf<T extends string>(...words: readonly T[]): Check {
  return (value, path) =>
    (words as readonly unknown[]).includes(value) ? null : `${path} is not one of ${words.join(", ")}`;
}

export function orNull(check: Check): Check {
  return (value, path) => (value === null ? null : check(value, path));
}

/** The field may be absent. */
export function optional(check: Check): Check {
  return (value, path) => (value === undefined ? null : check(value, path));
}

export function list(of: Check): Check {
  return (value, path) => {
    if (!Array.isArray(value)) return `${path} is not a list`;
    for (const [i, item] of value.entries()) {
      const flaw = of(item, `${path}[${i}]`);
      if (flaw !== null) return flaw;
    }
    return null;
  };
}

/** A list of exactly two values. */
export function pair(of: Check): Check {
  const all = list(of);
  return (value, path) =>
    Array.isArray(value) && value.length === 2 ? all(value, path) : `${path} is not a pair`;
}

/** An object with all fields of `T`; further fields are let pass. */
export function shape<T>(fields: { readonly [K in keyof T]-?: Check }): Check {
  const entries = Object.entries<Check>(fields);
  return (value, path) => {
    if (!isObject(value)) return `${path} is not an object`;
    for (const [key, check] of entries) {
      const flaw = check(value[key], `${path}.${key}`);
      if (flaw !== null) return flaw;
    }
    return null;
  };
}

/** A closed union over `kind`; each branch checks its other fields. */
export function union<U extends { readonly kind: string }>(
  branches: {
    readonly [K in U["kind"]]: { readonly [F in Exclude<keyof Extract<U, { kind: K }>, "kind">]-?: Check };
  },
): Check {
  const checks = new Map(
    Object.entries<Readonly<Record<string, Check>>>(branches).map(([kind, fields]) => [
      kind,
      shape<Record<string, unknown>>(fields),
    ]),
  );
  return (value, path) => {
    if (!isObject(value)) return `${path} is not an object`;
    const check = typeof value["kind"] === "string" ? checks.get(value["kind"]) : undefined;
    return check === undefined
      ? `${path}.kind is none of ${[...checks.keys()].join(", ")}`
      : check(value, path);
  };
}
