/**
 * Clients that write at random to any witness, and the oracle over what they were told. Each write carries
 * its own name into the audit record that it causes, so that at the end the log says what became of it:
 * accepted: there once, at the index that was told; refused: not there; unknown: there at most once; nothing:
 * the same. And every write is answered once, unless its witness died.
 */
import type { SiteId } from "../src/core/base/ids.js";
import { nextBelow, type RandomState } from "../src/core/base/random.js";
import type { AdminResponse, WriteRequest } from "../src/core/model/admin.js";
import type { AuditKind, AuditRecord } from "../src/core/model/state.js";
import { Violation } from "./checks.js";
import type { Process, World } from "./world.js";

interface Write {
  readonly name: string;
  readonly kind: WriteRequest["kind"];
  readonly process: Process;
  readonly life: number;
  readonly answers: AdminResponse[];
}

const KINDS: ReadonlySet<AuditKind> = new Set<AuditKind>(["hold", "resume", "decision"]);

export class Clients {
  private readonly world: World;
  private readonly writes: Write[] = [];

  constructor(world: World) {
    this.world = world;
  }

  /** How many writes were answered how. */
  get tally(): Readonly<Record<string, number>> {
    const tally: Record<string, number> = {};
    for (const { answers } of this.writes) {
      const [answer] = answers;
      const key = answer === undefined ? "none" : answer.kind === "refused" ? answer.code : answer.kind;
      tally[key] = (tally[key] ?? 0) + 1;
    }
    return tally;
  }

  /** A random write to a random witness that is up. */
  write(random: RandomState, group: string, sites: readonly SiteId[]): void {
    const process = this.world.processes[nextBelow(random, this.world.processes.length)];
    if (process === undefined || process.witness === null) return;
    const name = `client-${String(this.writes.length).padStart(5, "0")}`;
    const witnesses = this.world.processes.map(({ id }) => id);
    const request = ((): WriteRequest => {
      switch (nextBelow(random, 8)) {
        case 0:
        case 1:
          return { kind: "hold", group, by: name, reason: "" };
        case 2:
        case 3:
        case 4:
          return { kind: "resume", group, by: name };
        case 5:
          return { kind: "transfer", to: pick(random, witnesses) };
        default:
          return { kind: "switchover", group, to: pick(random, sites), by: name, reason: "" };
      }
    })();
    const write: Write = { name, kind: request.kind, process, life: process.life, answers: [] };
    this.writes.push(write);
    this.world.request(process, request, (answer) => write.answers.push(answer));
  }

  /** To be called at the end, when nobody waits any more. */
  finish(records: readonly AuditRecord[]): void {
    const causedBy = new Map<string, AuditRecord[]>();
    for (const record of records) {
      const name = KINDS.has(record.kind) ? /client-\d{5}/.exec(record.message)?.[0] : undefined;
      if (name !== undefined) causedBy.set(name, [...(causedBy.get(name) ?? []), record]);
    }
    for (const write of this.writes) this.judge(write, causedBy.get(write.name) ?? []);
  }

  private judge(write: Write, caused: readonly AuditRecord[]): void {
    const { name, kind, process, life, answers } = write;
    const [answer] = answers;
    const story = `${kind} of ${name} at ${process.id}, told ${JSON.stringify(answers)}, left ${JSON.stringify(caused)}`;
    if (answers.length > 1) throw new Violation(`answered twice: ${story}`);
    if (answer === undefined && process.life === life) throw new Violation(`never answered: ${story}`);
    if (caused.length > 1) throw new Violation(`applied twice: ${story}`);
    if (answer?.kind === "refused" && answer.code !== "unknown_outcome" && caused.length > 0)
      throw new Violation(`refused and applied: ${story}`);
    if (answer?.kind === "accepted" && kind !== "transfer" && caused[0]?.index !== answer.index)
      throw new Violation(`accepted and not there: ${story}`);
  }
}

function pick<T>(random: RandomState, from: readonly T[]): T {
  const picked = from[nextBelow(random, from.length)];
  if (picked === undefined) throw new Error("nothing to pick from");
  return picked;
}
