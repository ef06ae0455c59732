/**
 * A small own subset of JSONPath (RFC 9535): names and indexes, one value. `$.checks[0].status`, `checks.db`,
 * `$["odd.name"]`. No wildcards, no filters: a probe asks one question.
 */

/** The steps of a path, or null if it is not one. */
export function parseJsonPath(path: string): readonly (string | number)[] | null {
  const steps: (string | number)[] = [];
  let rest = path.startsWith("$") ? path.slice(1) : /^[[.]/.test(path) || path === "" ? path : `.${path}`;
  while (rest !== "") {
    const match = /^\.([^.[\]]+)|^\[(\d+)\]|^\["([^"]*)"\]|^\['([^']*)'\]/.exec(rest);
    if (match === null) return null;
    const index = match[2];
    steps.push(index === undefined ? (match[1] ?? match[3] ?? match[4] ?? "") : Number(index));
    rest = rest.slice(match[0].length);
  }
  return steps;
}

/** The value at those steps; undefined where there is none. Only own members count. */
export function valueAt(value: unknown, steps: readonly (string | number)[]): unknown {
  let at: unknown = value;
  for (const step of steps) {
    if (Array.isArray(at) && typeof step === "number") at = at[step];
    else if (!Array.isArray(at) && at !== null && typeof at === "object" && Object.hasOwn(at, step)) {
      at = (at as Record<string, unknown>)[String(step)];
    } else return undefined;
  }
  return at;
}
