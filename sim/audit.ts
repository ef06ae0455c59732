/**
 * Gathers the audit records of the whole run and checks what they promise: one record has one place and one
 * wording at every witness; each life of a witness publishes, from its first record on, every record once and
 * in order; on hold nothing is decided by itself. (What was on the disk of a witness and not applied when it
 * died, its next life takes for old and does not publish.)
 */
import type { AuditRecord } from "../src/core/model/state.js";
import { Violation } from "./checks.js";
import type { Process, World } from "./world.js";

/** The decisions that only a program takes; a person's switchover and an owed rollback pass a hold. */
const AUTOMATIC = /^(initial|failover|failback) of /;

/** More records than one entry yields. */
const SEQS = 1000;

export class Audit {
  private readonly records = new Map<string, AuditRecord>();
  /** By life: its first record and all of them. */
  private readonly published = new Map<string, { readonly from: number; readonly seen: Set<number> }>();
  private readonly lastOfLife = new Map<string, number>();

  constructor(world: World) {
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

  /** To be called at the end. */
  finish(): void {
    for (const [life, { from, seen }] of this.published) {
      const missing = this.all().find(({ index, seq }) => {
        const order = index * SEQS + seq;
        return order > from && order < (this.lastOfLife.get(life) ?? 0) && !seen.has(order);
      });
      if (missing !== undefined)
        throw new Violation(`${life} never published ${missing.index}: ${missing.message}`);
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

  private keep(process: Process, record: AuditRecord): void {
    const place = `${record.index}.${record.seq}`;
    const known = this.records.get(place);
    if (known === undefined) this.records.set(place, record);
    else if (known !== record && JSON.stringify(known) !== JSON.stringify(record))
      throw new Violation(`${process.id} tells ${place} otherwise: ${record.message}, not ${known.message}`);
  }

  private onPublished(process: Process, record: AuditRecord): void {
    this.keep(process, record);
    const life = `${process.id} ${process.life}`;
    const order = record.index * SEQS + record.seq;
    const last = this.lastOfLife.get(life) ?? -1;
    if (order <= last) throw new Violation(`${process.id} publishes index ${record.index} again, or late`);
    this.lastOfLife.set(life, order);
    const lived = this.published.get(life) ?? { from: order, seen: new Set() };
    lived.seen.add(order);
    this.published.set(life, lived);
  }
}
