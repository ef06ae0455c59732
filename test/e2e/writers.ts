/**
 * Clients that hold and resume a group all the while, through whichever witness answers.
 *
 * A write has a text and a session that no other has. One whose outcome is unknown, or that found no leader, is asked
 * again under the same name until a witness says what became of it, as `pointsman` does; so what the ledger gets to
 * know is the truth unless nobody knew it for long.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { AdminRequest, AdminResponse } from "../../src/core/model/admin.js";
import { connectAdmin } from "../../src/drivers/server/admin-client.js";
import type { Cluster } from "./cluster.js";
import { GROUP } from "./document.js";
import { Ledger } from "./soak-ledger.js";

const CLIENTS = 4;
/** Between two writes of one client, at the beginning. */
const PACE_MS = 250;
/** After so many writes the pause is twice as long, and so on: there is load also when all takes long. */
const SLOWER_AFTER = 100;
/** More would push out of the history what is to be compared. */
const WRITES_MAX = 900;
/** For so long one write is asked again. */
const PATIENCE_MS = 60_000;
const TRY_MS = 3_000;
/** Answers after which another witness, or the same one later, may say what became of the write. */
const PASSING: readonly string[] = [
  "unknown_outcome",
  "stopping",
  "no_leader",
  "not_leader",
  "not_ready",
  "busy",
];

export class Writers {
  readonly ledger = new Ledger();
  /** The longest that any write took from the first try to its answer. Unit: ms. */
  slowestMs = 0;
  private readonly cluster: Cluster;
  private readonly stopped = new AbortController();
  private readonly clients: Promise<void>[];
  private count = 0;

  /** How it goes, in a line. */
  get summary(): string {
    const { acknowledged, refused, unknown } = this.ledger;
    return `${acknowledged} writes acknowledged, ${refused} refused, ${unknown} unknown, the slowest took ${Math.round(this.slowestMs)} ms`;
  }

  /** Begins to write. */
  constructor(cluster: Cluster) {
    this.cluster = cluster;
    this.clients = Array.from({ length: CLIENTS }, (_, at) => this.work(at));
  }

  /** Ends when each client has its last answer. */
  async stop(): Promise<void> {
    this.stopped.abort();
    await Promise.all(this.clients);
  }

  private async work(client: number): Promise<void> {
    for (let turn = client; !this.stopped.signal.aborted && this.count < WRITES_MAX; turn++) {
      const text = `[write ${++this.count}]`;
      const session = { id: randomUUID(), sequence: 1 };
      const request: AdminRequest =
        turn % 8 !== 7
          ? { kind: "hold", group: GROUP, by: "e2e", reason: text, session }
          : { kind: "resume", group: GROUP, by: text, session };
      const beganMs = performance.now();
      const { via, answer } = await this.settle(request, turn);
      this.slowestMs = Math.max(this.slowestMs, performance.now() - beganMs);
      this.ledger.add({ text, via, asked: `${request.kind} ${text}`, answer });
      await sleep(PACE_MS * (1 + this.count / SLOWER_AFTER));
    }
  }

  /** Asks one witness after the other until one knows; the last answer, or null when no word came. */
  private async settle(
    request: AdminRequest,
    first: number,
  ): Promise<{ via: string; answer: AdminResponse | null }> {
    const endMs = performance.now() + PATIENCE_MS;
    let last: { via: string; answer: AdminResponse | null } = { via: "nobody", answer: null };
    for (let turn = first; performance.now() < endMs; turn++) {
      const { witnesses } = this.cluster;
      const place = witnesses[turn % witnesses.length];
      if (place === undefined || !this.cluster.isRunning(place.id)) continue;
      const answer = await ask(place.admin, request);
      if (answer !== "not asked") last = { via: place.id, answer };
      const isPassing =
        answer === "not asked" || (answer.kind === "refused" && PASSING.includes(answer.code));
      if (!isPassing) return last;
      await sleep(100);
    }
    return last;
  }
}

async function ask(address: string, request: AdminRequest): Promise<AdminResponse | "not asked"> {
  const connection = await connectAdmin(address, 1_000).catch(() => null);
  if (connection === null) return "not asked";
  try {
    return await connection.request(request, TRY_MS);
  } finally {
    connection.close();
  }
}
