/**
 * Waiting in tests of real processes: ask until it holds, or fail with the words of what did not happen and
 * what was seen last.
 */
import { setTimeout as sleep } from "node:timers/promises";

export interface UntilOptions {
  /** Default 90 s: far more than anything takes on a machine that is not overloaded. */
  readonly timeoutMs?: number;
  readonly everyMs?: number;
}

/**
 * Asks until `look` gives something other than false, null or undefined, and returns that. A look that throws
 * is asked again.
 */
export async function until<T>(
  what: string,
  look: () => Promise<T | false | null | undefined> | T | false | null | undefined,
  options: UntilOptions = {},
): Promise<T> {
  const { timeoutMs = 90_000, everyMs = 50 } = options;
  const deadlineMs = performance.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      const seen = await look();
      if (seen !== false && seen !== null && seen !== undefined) return seen;
      last = seen;
    } catch (error) {
      last = error;
    }
    if (performance.now() > deadlineMs) {
      throw new Error(`within ${timeoutMs / 1000} s it did not happen: ${what} (last: ${String(last)})`);
    }
    await sleep(everyMs);
  }
}

/** Looks for so long, and throws at the first moment at which it does not hold. */
export async function always(
  what: string,
  forMs: number,
  holds: () => Promise<boolean>,
  everyMs = 100,
): Promise<void> {
  const endMs = performance.now() + forMs;
  while (performance.now() < endMs) {
    if (!(await holds())) throw new Error(`it should have stayed so: ${what}`);
    await sleep(everyMs);
  }
}
