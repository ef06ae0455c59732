/**
 * Breadth-first search: nearest states first, so that what is found is found by a shortest history.
 *
 * Built for millions of states: a visited state is one hash of 53 bits in a flat table, a state that still waits
 * is a row in a flat queue, and the way back is two numbers a state. Two different states with one hash would
 * hide the second; at ten million states the chance that there is any such pair is about one in two hundred.
 */
import { nextBelow, randomState } from "../../../../src/core/base/random.js";
import { type Action, unpackAction, type Visit, type World } from "./world.js";

/** What the search has come to. */
export interface Result {
  readonly states: number;
  /** Steps of the longest history all of whose like were explored. */
  readonly depth: number;
  /** Every history within the budgets was explored. */
  readonly complete: boolean;
  readonly violation: { readonly broken: string; readonly actions: readonly Action[] } | null;
}

/** How far to go. */
export interface Limits {
  /** Asked now and then; true ends the search. */
  readonly expired: () => boolean;
  readonly maxStates: number;
  readonly maxDepth: number;
  /** Not 0: the steps from each state are taken in an order that it draws. */
  readonly seed?: number;
  /** Called now and then. */
  readonly progress?: (states: number, depth: number, waiting: number) => void;
}

/** 53 bits of a row. */
function hashOf(row: readonly number[]): number {
  let a = 0x9e3779b9;
  let b = 0x85ebca6b;
  for (const n of row) {
    a = Math.imul(a ^ n, 0x85ebca6b);
    a ^= a >>> 15;
    b = Math.imul(b ^ n, 0xc2b2ae35);
    b = (b ^ (b >>> 13)) + a;
  }
  a = Math.imul(a ^ (a >>> 16) ^ b, 0x45d9f3b);
  b = Math.imul(b ^ (b >>> 15), 0x2c1b3c6d);
  // Never 0, which marks a free place.
  return ((a ^ (a >>> 13)) >>> 0) * 0x200000 + ((b ^ (b >>> 12)) >>> 11) || 1;
}

/** A set of hashes, in one array of doubles. */
class HashSet {
  #table = new Float64Array(1 << 16);
  size = 0;

  /** False when it was there already. */
  add(hash: number): boolean {
    if (this.size * 2 > this.#table.length) this.#grow();
    if (!this.#put(this.#table, hash)) return false;
    this.size++;
    return true;
  }

  #put(table: Float64Array, hash: number): boolean {
    let at = hash % table.length;
    for (;;) {
      const there = table[at];
      if (there === hash) return false;
      if (there === 0) {
        table[at] = hash;
        return true;
      }
      at = (at + 1) & (table.length - 1);
    }
  }

  #grow(): void {
    const larger = new Float64Array(this.#table.length * 2);
    for (const hash of this.#table) if (hash !== 0) this.#put(larger, hash);
    this.#table = larger;
  }
}

const CHUNK = 1 << 18;

/** Rows that wait, first in, first out. */
class RowQueue {
  #chunks: Int32Array[] = [new Int32Array(CHUNK)];
  #read = 0;
  #write = 0;
  length = 0;

  push(row: readonly number[]): void {
    let last = this.#chunks.at(-1);
    if (last === undefined || this.#write + row.length + 1 > CHUNK) {
      if (last !== undefined && this.#write < CHUNK) last[this.#write] = -1;
      last = new Int32Array(CHUNK);
      this.#chunks.push(last);
      this.#write = 0;
    }
    last[this.#write++] = row.length;
    for (const n of row) last[this.#write++] = n;
    this.length++;
  }

  shift(): number[] {
    let first = this.#chunks[0];
    if (this.#read >= CHUNK || first?.[this.#read] === -1) {
      this.#chunks.shift();
      this.#read = 0;
      first = this.#chunks[0];
    }
    if (first === undefined) throw new Error("nothing waits");
    const size = first[this.#read] ?? 0;
    const row = Array.from<number>({ length: size });
    for (let i = 0; i < size; i++) row[i] = first[this.#read + 1 + i] ?? 0;
    this.#read += size + 1;
    this.length--;
    return row;
  }
}

/** A growing list of numbers. */
class Numbers {
  #values = new Float64Array(1 << 12);
  length = 0;

  push(value: number): void {
    if (this.length === this.#values.length) {
      const larger = new Float64Array(this.length * 2);
      larger.set(this.#values);
      this.#values = larger;
    }
    this.#values[this.length++] = value;
  }

  at(index: number): number {
    return this.#values[index] ?? -1;
  }
}

/** Takes the steps from `row` in the world's order, or in a drawn one. */
function expand(
  world: World,
  row: readonly number[],
  order: ReturnType<typeof randomState> | null,
  visit: Visit,
): void {
  if (order === null) {
    world.expand(row, visit);
    return;
  }
  const visits: Parameters<Visit>[] = [];
  world.expand(row, (...args) => visits.push(args));
  while (visits.length > 0)
    for (const args of visits.splice(nextBelow(order, visits.length), 1)) visit(...args);
}

/** Explores from `root` until all is seen, something is broken, or a limit is met. */
export function explore(world: World, root: readonly number[], limits: Limits): Result {
  const seen = new HashSet();
  const waiting = new RowQueue();
  const parents = new Numbers();
  const actions = new Numbers();
  let violation: Result["violation"] = null;
  let current = 0;
  let depth = 0;
  let levelEnd = 1;

  const history = (last: number, from: number): readonly Action[] => {
    const codes = [last];
    for (let at = from; at > 0; at = parents.at(at)) codes.push(actions.at(at));
    return codes.reverse().map(unpackAction);
  };
  const enter = (row: readonly number[], action: number, parent: number): void => {
    if (!seen.add(hashOf(row))) return;
    parents.push(parent);
    actions.push(action);
    waiting.push(row);
  };

  const order = limits.seed ? randomState(limits.seed, "explore") : null;
  enter(root, 0, -1);
  while (waiting.length > 0 && violation === null) {
    if (current === levelEnd) {
      depth++;
      levelEnd = seen.size;
      if (depth >= limits.maxDepth) break;
    }
    if ((current & 1023) === 1023) {
      if (limits.expired() || seen.size >= limits.maxStates) break;
      limits.progress?.(seen.size, depth, waiting.length);
    }
    expand(world, waiting.shift(), order, (row, action, broken) => {
      if (broken !== null) violation ??= { broken, actions: history(action, current) };
      else enter(row, action, current);
    });
    current++;
  }
  const complete = waiting.length === 0 && violation === null;
  return { states: seen.size, depth, complete, violation };
}
