/** The `pointsman` command as a process of its own, to its end. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { COMMAND } from "./cluster.js";

/** How a command ended, and what it said. */
export interface Ended {
  readonly exit: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `pointsman` with these words. */
export async function command(words: readonly string[]): Promise<Ended> {
  const child = spawn(process.execPath, [COMMAND, ...words], { stdio: ["ignore", "pipe", "pipe"] });
  const output = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (text: string) => {
      output[name] += text;
    });
  }
  const [exit] = (await once(child, "close")) as [number | null];
  return { exit, ...output };
}
