/**
 * Gathers the audit records of the whole run and checks what they promise: one record has one place and one wording at every
 * witness; each witness publishes each record, in order, and never twice in one life; on hold nothing is decided by itself.
 */
import type { AuditRecord } from "../src/core/model/state.js";
import { Violation } from "./checks.js";
import type { Process, World } from "./world.js";

/** The decisions that only a program takes; a person's switchover and an owed rollback pass a hold. */
const AUTOMATIC = /^(initial|failover|failback) of /;

export class Audit {
  private readonly world: World;
  private readonly records = new Map<string, AuditRecord>();
  private readonly published = new Map<string, Set<string>>();
  private readonly lastOfLife = new Map<string, number>();

  constructor(world: World) {
    this.world = world;
    const { onStep, onEffect } = world;
    world.onStep = (process) => {
      onStep(process);
      this.gather(process);
    };
    world.onEffect = (process, effect) => {
      onEffect(process, effect);
      if (effect.kind === "publish" && effect.event.kind === "audit")
        this.onPublished(process, effect.event.record);
    };
  }

  /** All records, in the order of the log. */
  all(): AuditRecord[] {
    return [...this.records.values()].sort((a, b) => a.index - b.index || a.seq - b.seq);
  }

  /** To be called at the end, with every witness up and caught up. */
  finish(): void {
    for (const process of this.world.processes) {
      const seen = this.published.get(process.id);
      for (const [place, record] of this.records) {
        if (seen?.has(place) !== true)
          throw new Violation(`${process.id} never published ${place}: ${record.message}`);
      }
    }
    const held = new Set<string>();
    for (const { group, kind, message, index } of this.all()) {
      if (group === null) continue;
      if (kind === "hold") held.add(group);
      if (kind === "resume") held.delete(group);
      if (kind === "decision" && held.has(group) && AUTOMATIC.test(message))
        throw new Violation(`index ${index}, on hold: ${message}`);
    }
  }

  private gather(process: Process): void {
    for (const record of process.witness?.state.history.slice(-8) ?? []) this.keep(process, record);
  }

  private keep(process: Process, record: AuditRecord): string {
    const place = `${record.index}.${record.seq}`;
    const known = this.records.get(place);
    if (known === undefined) this.records.set(place, record);
    else if (known !== record && JSON.stringify(known) !== JSON.stringify(record))
      throw new Violation(`${process.id} tells ${place} otherwise: ${record.message}, not ${known.message}`);
    return place;
  }

  private onPublished(process: Process, record: AuditRecord): void {
    const place = this.keep(process, record);
    const seen = this.published.get(process.id) ?? new Set();
    this.published.set(process.id, seen.add(place));
    const life = `${process.id} ${process.life}`;
    const order = record.index * 1000 + record.seq;
    const last = this.lastOfLife.get(life) ?? -1;
    if (order <= last) throw new Violation(`${process.id} publishes ${place} after ${last / 1000}`);
    this.lastOfLife.set(life, order);
  }
}
