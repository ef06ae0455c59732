/**
 * Clients that do not take "unknown" for an answer: each gives its writes a name and asks again, anywhere,
 * until it is told for certain; some ask again although they were told. The oracle over what they heard: one
 * name has one answer; accepted means there once, at the index that was told; refused means never there,
 * whatever copies of the write were still on their way; and what the state keeps is what was told.
 */
import type { SiteId } from "../src/core/base/ids.js";
import { nextBelow, type RandomState } from "../src/core/base/random.js";
import type { AdminResponse, WriteRequest } from "../src/core/model/admin.js";
import { mayAskAgain } from "../src/core/model/code.js";
import type { AuditRecord, State } from "../src/core/model/state.js";
import { Violation } from "./checks.js";
import type { World } from "./world.js";

type Told = Extract<AdminResponse, { kind: "accepted" | "refused" }>;

interface Write {
  /** Stands in the audit record that the write causes. */
  readonly name: string;
  readonly request: WriteRequest;
  tries: number;
  /** For certain; null while it is not known. */
  told: Told | null;
}

interface Client {
  readonly id: string;
  readonly writes: Write[];
}

/** A client hangs up after at most so long without an answer. Unit: ms. */
const HANG_UP_MS = 1500;
/** Between two tries. Unit: ms. */
const PAUSE_MS = 300;

export class RetryingClients {
  private readonly world: World;
  private readonly random: RandomState;
  private readonly clients: Client[] = [];
  private writes = 0;

  constructor(world: World, random: RandomState) {
    this.world = world;
    this.random = random;
  }

  /** How often something happened; a run in which nobody had to ask again proves nothing. */
  get tally(): { readonly accepted: number; readonly refused: number; readonly retried: number } {
    const all = this.clients.flatMap(({ writes }) => writes);
    const count = (holds: (write: Write) => boolean): number => all.filter(holds).length;
    return {
      accepted: count(({ told }) => told?.kind === "accepted"),
      refused: count(({ told }) => told?.kind === "refused"),
      retried: count(({ tries }) => tries > 1),
    };
  }

  /** A new client, or one that knows the outcome of its last write, writes. */
  write(group: string, sites: readonly SiteId[]): void {
    const idle = this.clients.filter(({ writes }) => writes.at(-1)?.told != null);
    const goesOn = idle.length > 0 && nextBelow(this.random, 2) === 0;
    const known = goesOn ? idle[nextBelow(this.random, idle.length)] : undefined;
    const client = known ?? { id: `session-of-client-${this.clients.length}`, writes: [] };
    if (known === undefined) this.clients.push(client);
    const name = `client-${String(this.writes++).padStart(5, "0")}`;
    const session = { id: client.id, sequence: client.writes.length + 1 };
    const to = sites[nextBelow(this.random, sites.length)];
    const kind = nextBelow(this.random, 4);
    const request: WriteRequest =
      kind === 0
        ? { kind: "hold", group, by: name, reason: "", session }
        : kind === 1 || to === undefined
          ? { kind: "resume", group, by: name, session }
          : { kind: "switchover", group, to, by: name, reason: "", session };
    const write: Write = { name, request, tries: 0, told: null };
    client.writes.push(write);
    this.tryOnce(client, write);
  }

  private tryOnce(client: Client, write: Write): void {
    const { agenda, processes } = this.world;
    // A later write of the session has begun: its client would not ask for this one any more.
    if (client.writes.at(-1) !== write) return;
    const process = processes[nextBelow(this.random, processes.length)];
    const again = (): void =>
      agenda.in(1 + nextBelow(this.random, PAUSE_MS), () => this.tryOnce(client, write));
    if (process === undefined || process.witness === null) return again();
    write.tries++;
    let waits = true;
    const id = this.world.request(process, write.request, (answer) => {
      waits = false;
      const isCertain = this.hear(write, answer);
      // One in four is not sure that it heard well.
      if (!isCertain || nextBelow(this.random, 4) === 0) again();
    });
    agenda.in(1 + nextBelow(this.random, HANG_UP_MS), () => {
      if (!waits) return;
      waits = false;
      this.world.abandon(process, id);
      again();
    });
  }

  /** Takes an answer; false when it leaves the outcome open. */
  private hear(write: Write, answer: AdminResponse): boolean {
    if (answer.kind !== "accepted" && answer.kind !== "refused")
      throw new Violation(`${write.name} was answered with ${answer.kind}`);
    if (answer.kind === "refused" && (mayAskAgain(answer.code) || answer.code === "unknown_outcome"))
      return false;
    if (write.told === null) write.told = answer;
    else if (JSON.stringify(write.told) !== JSON.stringify(answer))
      throw new Violation(
        `${write.name} was told ${JSON.stringify(write.told)} and then ${JSON.stringify(answer)}`,
      );
    return true;
  }

  /** To be called in the calm after the storm, with all records of the run and the state at its end. */
  finish(records: readonly AuditRecord[], state: State): void {
    const causedBy = new Map<string, AuditRecord[]>();
    for (const record of records) {
      if (!["hold", "resume", "decision"].includes(record.kind)) continue;
      const name = /client-\d{5}/.exec(record.message)?.[0];
      if (name !== undefined) causedBy.set(name, [...(causedBy.get(name) ?? []), record]);
    }
    for (const client of this.clients) {
      for (const write of client.writes) this.judge(write, causedBy.get(write.name) ?? []);
      const { told, name } = client.writes.at(-1) ?? { told: null, name: "" };
      const kept = state.sessions.find(({ id }) => id === client.id);
      const { leader: _, ...outcome } = { leader: null, ...told };
      if (kept?.sequence !== client.writes.length || !isEqual(kept.outcome, outcome))
        throw new Violation(`${name} was told ${JSON.stringify(told)}, and ${JSON.stringify(kept)} is kept`);
    }
  }

  private judge({ name, request, told }: Write, caused: readonly AuditRecord[]): void {
    const story = `${request.kind} of ${name}, told ${JSON.stringify(told)}, left ${JSON.stringify(caused)}`;
    if (told === null) throw new Violation(`never told for certain: ${story}`);
    if (caused.length > 1) throw new Violation(`applied twice: ${story}`);
    if (told.kind === "refused" && caused.length > 0) throw new Violation(`refused and applied: ${story}`);
    if (told.kind === "accepted" && caused[0]?.index !== told.index)
      throw new Violation(`accepted and not there: ${story}`);
  }
}

function isEqual(a: object, b: object): boolean {
  const sorted = (value: object): string => JSON.stringify(Object.entries(value).sort());
  return sorted(a) === sorted(b);
}
