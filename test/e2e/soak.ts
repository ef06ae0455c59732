/**
 * `npm run soak -- --rounds N [--seed S]`: kill -9 of all witnesses at random moments, round after round, and
 * what was acknowledged must be there. Progress on standard error, one line of JSON at the end, exit code 0
 * or 1.
 */
import { parseArgs } from "node:util";
import { type SoakResult, soak } from "./soak-run.js";

const USAGE = "usage: npm run soak -- --rounds N [--seed S]";

function readCount(text: string | undefined, fallback: number): number {
  const value = text === undefined ? fallback : Number(text);
  if (Number.isSafeInteger(value) && value >= 1) return value;
  console.error(`${text} is no whole number above 0\n${USAGE}`);
  process.exit(2);
}

function options(): { rounds: number; seed: number } {
  try {
    const { values } = parseArgs({ options: { rounds: { type: "string" }, seed: { type: "string" } } });
    return {
      rounds: readCount(values.rounds, 10),
      seed: readCount(values.seed, 1 + Math.floor(Math.random() * 2 ** 31)),
    };
  } catch (error) {
    console.error(`${(error as Error).message}\n${USAGE}`);
    process.exit(2);
  }
}

/** On a terminal one line that changes, elsewhere a line now and then. */
function report(round: number, rounds: number, soFar: Omit<SoakResult, "violations">): void {
  const { acknowledged, unknown, refused, highestEpoch, tookMs } = soFar;
  const line = [
    `round ${round} of ${rounds}: ${acknowledged} decisions acknowledged`,
    `${unknown} unknown`,
    `${refused} refused`,
    `epoch ${highestEpoch}`,
    `${Math.round(tookMs / 1000)} s`,
  ].join(", ");
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${line}${round === rounds ? "\n" : ""}`);
  else if (round % 10 === 0 || round === rounds) console.error(line);
}

const { rounds, seed } = options();
console.error(`soak: ${rounds} rounds, seed ${seed}`);
const result = await soak({ rounds, seed, onRound: (round, soFar) => report(round, rounds, soFar) });
for (const violation of result.violations) console.error(violation);
console.log(JSON.stringify({ ok: result.violations.length === 0, ...result }));
process.exitCode = result.violations.length === 0 ? 0 : 1;
