/**
 * The measuring side of `npm run bench:raft`: client processes, what processes cost, and statistics.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { LoadOrder, LoadResult } from "./bench-client.js";

const CLIENT = fileURLToPath(new URL("./bench-client.js", import.meta.url));
/** Kernel clock ticks of /proc/PID/stat a second: a constant of the interface (`getconf CLK_TCK`). */
const TICKS_A_SECOND = 100;

/** Client processes that stay from round to round, so that all but the first find warm code. */
export class Clients {
  private readonly children: readonly ChildProcess[];

  private constructor(children: readonly ChildProcess[]) {
    this.children = children;
  }

  /** Starts `count` processes, each connected to `address`. */
  static async start(count: number, address: string, system: "etcd" | "ours"): Promise<Clients> {
    const children = Array.from({ length: count }, () =>
      fork(CLIENT, [address, system], { serialization: "advanced" }),
    );
    const clients = new Clients(children);
    try {
      await Promise.all(children.map((child) => messageOf(child)));
      return clients;
    } catch (error) {
      await clients.end();
      throw error;
    }
  }

  /** Spreads the clients evenly over the processes; the results of those that had any. */
  run(order: LoadOrder): Promise<LoadResult[]> {
    const used = this.children.slice(0, order.clients);
    return Promise.all(
      used.map((child, i) => {
        const share = Math.floor((order.clients + i) / used.length);
        const answer = messageOf(child);
        child.send({ ...order, clients: share });
        return answer as Promise<LoadResult>;
      }),
    );
  }

  async end(): Promise<void> {
    for (const child of this.children) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const exited = once(child, "exit");
      child.kill("SIGKILL");
      await exited;
    }
  }
}

async function messageOf(child: ChildProcess): Promise<unknown> {
  const gone = once(child, "exit").then(() => Promise.reject(new Error("a client process ended")));
  const [message] = (await Promise.race([once(child, "message"), gone])) as unknown[];
  return message;
}

/** CPU time that a process has used so far. Unit: s. */
export async function cpuSeconds(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/stat`, "utf8");
  // The name in parentheses may hold anything; utime and stime are the 12th and 13th word after it.
  const words = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(words[11]) + Number(words[12])) / TICKS_A_SECOND;
}

/** Resident memory now (`VmRSS`) or at its highest (`VmHWM`). Unit: MB (2^20). */
export async function memoryMb(pid: number, field: "VmRSS" | "VmHWM"): Promise<number> {
  const text = await readFile(`/proc/${pid}/status`, "utf8");
  return Math.round(Number(new RegExp(`^${field}:\\s+(\\d+)`, "m").exec(text)?.[1]) / 102.4) / 10;
}

/** The smallest value that `share` of all (0 to 1) do not exceed; 0 of none. `sorted` ascends. */
export function percentile(sorted: ArrayLike<number>, share: number): number {
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
}

/** The middle value. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const [low, high] = [sorted[(sorted.length - 1) >> 1] ?? 0, sorted[sorted.length >> 1] ?? 0];
  return (low + high) / 2;
}
