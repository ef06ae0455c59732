/**
 * The sentences of evidence: what an operator reads at 3 am. Pure text; nothing decides on it.
 */

/** A duration for people: `80 ms`, `1.2 s`, `3 min`, `2.5 h`. */
export function sayMs(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 120_000) return `${trim(ms / 1000)} s`;
  if (ms < 7_200_000) return `${Math.round(ms / 60_000)} min`;
  return `${trim(ms / 3_600_000)} h`;
}

/** How seldom something of that chance happens: `3 times in 10`, `once in 250`, `once in 4e8`. */
export function sayChance(chance: number): string {
  if (chance <= 0) return "never";
  if (chance > 0.15) return `${Math.min(10, Math.round(chance * 10))} times in 10`;
  const one = 1 / chance;
  return `once in ${one < 10_000 ? Math.round(one) : one.toExponential(0).replace("e+", "e")}`;
}

/** A share for people: `loss 2 %`, `loss 0.3 %`, `no loss`. */
export function sayLoss(loss: number | null): string {
  if (loss === null) return "loss not known yet";
  const percent = loss * 100;
  if (percent < 0.05) return "no loss";
  return `loss ${percent < 1 ? percent.toFixed(1) : Math.round(percent)} %`;
}

/** `connection refused` once, `connection refused, 3 in a row` later. */
export function sayCount(text: string, count: number): string {
  return count > 1 ? `${text}, ${count} in a row` : text;
}

function trim(value: number): string {
  return value < 10 ? String(Math.round(value * 10) / 10) : String(Math.round(value));
}
