/**
 * Assertions that stay on in production.
 *
 * A broken invariant in consensus or in a ticket is worth more than one witness: the process that finds it
 * stops (exit code 70) and the others carry on, so a would-be split brain becomes an outage of one witness.
 */

/** A state that must be impossible was reached. It is a bug of this program, never bad input. */
export class InvariantError extends Error {
  override readonly name = "InvariantError";
}

/**
 * Throws `InvariantError` unless `condition` holds.
 * The message names the numbers involved; it is built only when the assertion fails.
 */
export function assert(condition: boolean, message: string | (() => string)): asserts condition {
  if (!condition) throw new InvariantError(typeof message === "string" ? message : message());
}

/** Marks a branch that a closed union makes impossible; the compiler proves it, this catches foreign values. */
export function assertNever(value: never, what: string): never {
  throw new InvariantError(`unexpected ${what}: ${String((value as { kind?: unknown })?.kind ?? value)}`);
}
