/**
 * What a client was told, and what the witnesses say afterwards: the ledger compares the two after each
 * round.
 *
 * - What was acknowledged stands in every witness's history, at the acknowledged index, in the words that
 *   were used.
 * - What was refused as "nothing was done" stands nowhere; what nobody knows stands there once at most.
 * - A place of the history, once seen, never says anything else, at no witness and after no restart.
 * - Epochs of a group grow by one a decision, and no witness's ticket or last epoch ever goes back.
 *
 * The state keeps the newest 2,000 records: what is older was compared in an earlier round and is let go.
 */
import { isDeepStrictEqual } from "node:util";
import type { AdminResponse } from "../../src/core/model/admin.js";
import type { RefusalCode } from "../../src/core/model/code.js";
import type { AuditRecord, GroupState } from "../../src/core/model/state.js";

/** One request of the client, with a text that no other has. */
export interface Deed {
  readonly text: string;
  readonly via: string;
  readonly asked: string;
  /** Null: no word came back. */
  readonly answer: AdminResponse | null;
}

/** What one witness says after a round. */
export interface Testimony {
  readonly witness: string;
  readonly history: readonly AuditRecord[];
  readonly groups: readonly GroupState[];
}

/** After these it may have been decided. */
const UNSURE: readonly RefusalCode[] = ["unknown_outcome", "stopping"];

export class Ledger {
  private readonly deeds: Deed[] = [];
  /** By place, what was once seen there. */
  private readonly seen = new Map<string, AuditRecord>();
  /** By group: the epoch of the last decision that was compared. */
  private readonly epochs = new Map<string, number>();
  acknowledged = 0;
  refused = 0;
  unknown = 0;

  add(deed: Deed): void {
    this.deeds.push(deed);
    const { answer } = deed;
    if (answer?.kind === "accepted") this.acknowledged += 1;
    else if (answer?.kind === "refused" && !UNSURE.includes(answer.code)) this.refused += 1;
    else this.unknown += 1;
  }

  /** The highest epoch that was compared. */
  get highestEpoch(): number {
    return Math.max(0, ...this.epochs.values());
  }

  /**
   * Everything that is wrong, one sentence each. All witnesses must have applied the same before they
   * testify.
   */
  compare(testimonies: readonly Testimony[]): string[] {
    return [
      ...testimonies.flatMap((testimony) => this.comparePlaces(testimony)),
      ...testimonies.flatMap((testimony) => this.compareDeeds(testimony)),
      ...this.compareGroups(testimonies),
    ];
  }

  private comparePlaces({ witness, history }: Testimony): string[] {
    const wrong: string[] = [];
    let last = { index: 0, seq: -1 };
    for (const record of history) {
      const place = `${record.index}.${record.seq}`;
      if (record.index < last.index || (record.index === last.index && record.seq <= last.seq))
        wrong.push(`${witness}: place ${place} comes after ${last.index}.${last.seq}`);
      last = record;
      const before = this.seen.get(place);
      if (before === undefined) this.seen.set(place, record);
      else if (!isDeepStrictEqual(before, record))
        wrong.push(`${witness}: place ${place} says "${record.message}" and said "${before.message}"`);
    }
    return wrong;
  }

  private compareDeeds({ witness, history }: Testimony): string[] {
    const oldest = history[0]?.index ?? 0;
    const wrong: string[] = [];
    for (const deed of this.deeds) {
      const found = history.filter(
        ({ message, kind }) => DEED_KINDS.includes(kind) && speaksOf(message, deed.text),
      );
      const { answer } = deed;
      if (answer?.kind === "accepted") {
        if (answer.index < oldest) continue;
        if (!found.some(({ index }) => index === answer.index))
          wrong.push(
            `${witness}: ${deed.asked}, acknowledged by ${deed.via} at index ${answer.index}, is lost`,
          );
      } else if (answer?.kind === "refused" && !UNSURE.includes(answer.code) && found.length > 0) {
        wrong.push(`${witness}: ${deed.asked} was refused (${answer.code}) and stands at ${found[0]?.index}`);
      }
      if (found.length > 1) wrong.push(`${witness}: ${deed.asked} was decided ${found.length} times`);
    }
    return wrong;
  }

  private compareGroups(testimonies: readonly Testimony[]): string[] {
    const wrong: string[] = [];
    const [first, ...others] = testimonies;
    for (const { witness, groups } of others) {
      if (!isDeepStrictEqual(groups, first?.groups))
        wrong.push(`${witness} and ${first?.witness} have applied the same and hold different groups`);
    }
    for (const group of first?.groups ?? []) {
      const before = this.epochs.get(group.id) ?? 0;
      const decisions = (first?.history ?? []).filter(
        ({ kind, group: id, epoch }) => kind === "decision" && id === group.id && (epoch ?? 0) > before,
      );
      for (const [i, { epoch, index }] of decisions.entries()) {
        if (epoch !== before + i + 1)
          wrong.push(`${group.id}: the decision at ${index} has epoch ${epoch}, expected ${before + i + 1}`);
      }
      if (group.lastEpoch !== before + decisions.length)
        wrong.push(`${group.id}: last epoch ${group.lastEpoch} after ${before + decisions.length} decisions`);
      if (group.ticket.epoch > group.lastEpoch)
        wrong.push(`${group.id}: the ticket has epoch ${group.ticket.epoch}, above ${group.lastEpoch}`);
      this.epochs.set(group.id, group.lastEpoch);
    }
    return wrong;
  }
}

/** Records that answer a request; notes and observations may quote the reason of a hold. */
const DEED_KINDS: readonly string[] = ["decision", "hold", "resume"];

/** Texts end in a bracket, so that no text is the beginning of another. */
function speaksOf(message: string, text: string): boolean {
  return message.includes(text);
}
