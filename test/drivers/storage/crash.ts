/**
 * `npm run storage:crash [-- --rounds 200]`: the rounds of crash-rounds.ts on a real disk. Prints one line of
 * JSON.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { crashRounds } from "./crash-rounds.js";

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { rounds: { type: "string", default: "200" } } });
  const rounds = Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1)
    throw new Error(`--rounds ${values.rounds}: give a number from 1`);
  const root = mkdtempSync(join(tmpdir(), "pointsman-crash-"));
  const startedAt = performance.now();
  const result = await crashRounds(join(root, "data"), rounds, Math.random);
  // On a failure the directory stays, to be looked at.
  rmSync(root, { recursive: true, force: true });
  const seconds = Math.round((performance.now() - startedAt) / 100) / 10;
  console.log(JSON.stringify({ check: "storage:crash", ...result, seconds }));
}

main().catch((thrown: unknown) => {
  console.error(thrown);
  process.exit(1);
});
