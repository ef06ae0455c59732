/**
 * The leader's picture of what each witness sees: the newest view of each, and when it came.
 *
 * Views are re-sent whole, so a lost one delays and never hides. Only what changed is proposed: a quiet
 * cluster writes next to nothing to its log. A view of an earlier life of a witness, or one that was
 * overtaken, is dropped. Invariant: a witness whose views stopped counts as stale no later than
 * `viewTimeoutMs` after the last one, and never sooner than that after this leader began to listen.
 */
import type { WitnessId } from "../base/ids.js";
import type { Command } from "../model/command.js";
import type { TargetKey } from "../model/config.js";
import type { View } from "../model/observation.js";
import type { State, WitnessRecord } from "../model/state.js";

interface Heard {
  view: View;
  atMonoMs: number;
  /** Lives that were replaced by a newer one; late messages of theirs are dropped. */
  formerLives: readonly number[];
}

/** How many former lives are remembered; a message older than that many restarts does not exist. */
const FORMER_LIVES_MAX = 8;

export class Views {
  private readonly heard = new Map<WitnessId, Heard>();

  /** Takes in a view that arrived at `monoMs`. Returns false for one that is out of date. */
  onView(view: View, monoMs: number): boolean {
    const known = this.heard.get(view.witness);
    if (known === undefined) {
      this.heard.set(view.witness, { view, atMonoMs: monoMs, formerLives: [] });
      return true;
    }
    if (known.formerLives.includes(view.life)) return false;
    if (known.view.life === view.life) {
      if (view.seq <= known.view.seq) return false;
    } else {
      known.formerLives = [...known.formerLives, known.view.life].slice(-FORMER_LIVES_MAX);
    }
    known.view = view;
    known.atMonoMs = monoMs;
    return true;
  }

  /**
   * The records as a leader may believe them that began to listen at `sinceMonoMs`. A witness that it has not
   * heard since counts as stale, and an opinion that its latest view no longer holds counts as unknown: what
   * stands in the log may be from before a power cut, and its correction still on the way. `isComplete`: the
   * log holds all that was heard, and every witness that is not stale was heard.
   */
  believed(
    records: State["witnesses"],
    sinceMonoMs: number,
  ): { readonly witnesses: State["witnesses"]; readonly isComplete: boolean } {
    let isComplete = true;
    const witnesses: Record<string, WitnessRecord> = {};
    for (const [id, record] of Object.entries(records)) {
      const heard = this.heard.get(record.witness);
      const isHeard = heard !== undefined && heard.atMonoMs >= sinceMonoMs;
      if (record.stale || isHeard) {
        const believed = heard === undefined ? record : withoutOutdated(record, heard.view);
        if (believed !== record) isComplete = false;
        witnesses[id] = believed;
      } else {
        isComplete = false;
        witnesses[id] = { ...record, stale: true };
      }
    }
    return { witnesses, isComplete };
  }

  /**
   * The command that brings the record of `witness` up to date, or null when there is nothing to say.
   * `sinceMonoMs`: when this leader began to listen; `targets`: those of the replicated document.
   */
  duty(
    witness: WitnessId,
    state: State,
    at: { monoMs: number; sinceMonoMs: number; viewTimeoutMs: number; targets: ReadonlySet<TargetKey> },
  ): Command | null {
    const record = state.witnesses[witness];
    if (record === undefined) return null;
    const heard = this.heard.get(witness);
    const lastMs = Math.max(heard?.atMonoMs ?? Number.NEGATIVE_INFINITY, at.sinceMonoMs);
    if (at.monoMs - lastMs > at.viewTimeoutMs) return record.stale ? null : { kind: "stale", witness };
    if (heard === undefined || at.monoMs - heard.atMonoMs > at.viewTimeoutMs) return null;
    return changes(record, heard.view, at.targets);
  }
}

/** An observe command with what differs between the record and the view, or null. */
function changes(record: WitnessRecord, view: View, targets: ReadonlySet<TargetKey>): Command | null {
  const whole = record.stale;
  const observations = view.observations.filter(
    (seen) =>
      targets.has(seen.target) && (whole || record.observations[seen.target]?.opinion !== seen.opinion),
  );
  const gone = record.abstaining !== view.abstaining;
  if (!whole && !gone && observations.length === 0) return null;
  return { kind: "observe", witness: view.witness, abstaining: view.abstaining, observations };
}

/** The record with each opinion that the view contradicts made unknown. */
function withoutOutdated(record: WitnessRecord, view: View): WitnessRecord {
  const outdated = view.observations.filter(({ target, opinion }) => {
    const recorded = record.observations[target];
    return recorded !== undefined && recorded.opinion !== "unknown" && recorded.opinion !== opinion;
  });
  if (outdated.length === 0 && record.abstaining === view.abstaining) return record;
  const observations = { ...record.observations };
  for (const { target } of outdated) {
    const recorded = observations[target];
    if (recorded !== undefined) observations[target] = { ...recorded, opinion: "unknown" };
  }
  return { ...record, abstaining: record.abstaining || view.abstaining, observations };
}
