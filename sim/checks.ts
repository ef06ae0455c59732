/**
 * What must hold in every state of every run, checked while it runs: states are functions of the log, epochs
 * only grow, one epoch belongs to one site, the name server never goes back, and no witness undoes what it
 * applied.
 */
import type { State } from "../src/core/model/state.js";
import type { Process, World } from "./world.js";

/** Two observations that cannot both be true. */
export class Violation extends Error {
  override readonly name = "Violation";
}

/** Watches a world; throws `Violation` from within the step that breaks a promise. */
export class Checks {
  private readonly world: World;
  private readonly stateAt = new Map<number, string>();
  private readonly appliedBy = new Map<string, { life: number; index: number }>();
  private readonly siteOfEpoch = new Map<string, string>();
  private changesSeen = 0;

  constructor(world: World) {
    this.world = world;
    const { onStep } = world;
    world.onStep = (process) => {
      onStep(process);
      this.check(process);
    };
  }

  private check(process: Process): void {
    const state = process.witness?.state;
    if (state === undefined) return;
    const before = this.appliedBy.get(process.id);
    if (before !== undefined && before.life === process.life && before.index === state.appliedIndex) {
      this.checkNames();
      return;
    }
    if (before !== undefined && before.life === process.life && state.appliedIndex < before.index) {
      throw new Violation(`${process.id} went back from index ${before.index} to ${state.appliedIndex}`);
    }
    this.appliedBy.set(process.id, { life: process.life, index: state.appliedIndex });
    this.checkState(process, state);
    this.checkNames();
  }

  /** State machine safety: two witnesses at one index have equal states. */
  private checkState(process: Process, state: State): void {
    const text = JSON.stringify({
      ...state,
      history: state.history.length,
      config: state.config?.version ?? null,
    });
    const known = this.stateAt.get(state.appliedIndex);
    if (known === undefined) this.stateAt.set(state.appliedIndex, text);
    else if (known !== text)
      throw new Violation(`${process.id} differs at index ${state.appliedIndex}:\n${known}\n${text}`);
    for (const group of Object.values(state.groups)) {
      const { ticket } = group;
      if (ticket.status !== "held" || ticket.site === null) continue;
      const key = `${group.id} ${ticket.epoch}`;
      const holder = this.siteOfEpoch.get(key);
      if (holder === undefined) this.siteOfEpoch.set(key, ticket.site);
      else if (holder !== ticket.site)
        throw new Violation(`epoch ${key} belongs to ${holder} and to ${ticket.site}`);
    }
  }

  /** No stale effect wins at the name server, and one epoch writes one site. */
  private checkNames(): void {
    const { changes } = this.world.outside;
    for (; this.changesSeen < changes.length; this.changesSeen++) {
      const change = changes[this.changesSeen];
      const last = changes.slice(0, this.changesSeen).findLast((earlier) => earlier.group === change?.group);
      if (change === undefined || last === undefined) continue;
      const { record } = change;
      if (record.epoch < last.record.epoch)
        throw new Violation(`the name went back to epoch ${record.epoch}`);
      if (record.epoch === last.record.epoch && record.site !== last.record.site) {
        throw new Violation(`epoch ${record.epoch} wrote both ${last.record.site} and ${record.site}`);
      }
    }
  }
}
