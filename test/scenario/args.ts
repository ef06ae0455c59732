/** Reading the arguments of a directive. */
import type { Directive } from "./datadriven.js";
import { ScenarioError } from "./world.js";

/** A count, or an error that names what it was for. */
export function count(text: string | undefined, what: string): number {
  if (text === undefined || !/^\d+$/.test(text))
    throw new ScenarioError(`${what} must be a number, not ${text}`);
  return Number(text);
}

/** The bare words, such as node ids. */
export function words(d: Directive): readonly string[] {
  return d.args.filter((arg) => arg.values.length === 0).map((arg) => arg.key);
}

/** The node ids among the bare words, or `all` when there are none. */
export function nodeIds(d: Directive, all: readonly number[]): readonly number[] {
  const named = words(d).map((word) => count(word, "node"));
  return named.length > 0 ? named : all;
}

/** The first bare word, as a node id. */
export function firstNode(d: Directive): number {
  return count(words(d)[0], `${d.command}: node`);
}

/** All values of `key`, in order. */
export function values(d: Directive, key: string): readonly string[] {
  return d.args.filter((arg) => arg.key === key).flatMap((arg) => arg.values);
}

/** The value of `key`, if given. */
export function value(d: Directive, key: string): string | undefined {
  return values(d, key)[0];
}
