/**
 * Checks every order to the outside: it belongs to a step whose `begin` is committed, that is the current
 * one, and that nobody has begun again or finished. A leader that was cut off, stopped or deposed must not
 * order anything any more (S3, S6).
 */
import { currentStep } from "../src/core/model/group.js";
import type { State } from "../src/core/model/state.js";
import type { Effect } from "../src/core/witness/contract.js";
import { Violation } from "./checks.js";
import type { Process, World } from "./world.js";

export class Orders {
  /** The furthest state that any witness has applied. */
  private latest: State | null = null;
  private readonly given = new Set<string>();
  count = 0;

  constructor(world: World) {
    const { onStep, onEffect } = world;
    world.onStep = (process) => {
      onStep(process);
      this.learn(process);
    };
    world.onEffect = (process, effect) => {
      onEffect(process, effect);
      if (effect.kind === "actuate") this.check(process, effect);
    };
  }

  private learn(process: Process): void {
    const state = process.witness?.state;
    if (state !== undefined && state.appliedIndex > (this.latest?.appliedIndex ?? 0)) this.latest = state;
  }

  private check(process: Process, { key, plan }: Extract<Effect, { kind: "actuate" }>): void {
    this.count++;
    this.learn(process);
    const name = `${key.group} epoch ${key.epoch} ${key.step} attempt ${key.attempt}`;
    const present = this.latest?.groups[key.group]?.plan ?? null;
    const record = present === null ? null : currentStep(present);
    const isCurrent =
      present?.status === "running" &&
      present.epoch === key.epoch &&
      plan.epoch === key.epoch &&
      record?.step === key.step &&
      record.attempt === key.attempt &&
      record.status === "begun" &&
      record.by === process.id;
    if (!isCurrent)
      throw new Violation(`${process.id} orders ${name}, but the log stands at ${JSON.stringify(record)}`);
    if (this.given.has(name)) throw new Violation(`${process.id} orders ${name} a second time`);
    this.given.add(name);
  }
}
