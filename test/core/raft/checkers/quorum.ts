/**
 * A commit rests on a quorum of disks, at the instant at which somebody first makes it (I8).
 *
 * Counted here by hand and not with the core's own arithmetic, which may be what is wrong.
 */
import type { ConfState } from "../../../../src/core/raft/raft.js";
import { entryAt, place, type Seen, sameEntry } from "./seen.js";

function stored(all: readonly Seen[], voters: readonly number[], index: number, by: Seen): boolean {
  const entry = entryAt(by.log, index);
  if (entry === undefined || voters.length === 0) return true;
  const copies = all.filter(({ id, disk }) => {
    if (!voters.includes(id)) return false;
    const own = entryAt(disk.entries, index);
    // What a snapshot stands for on this disk was committed before.
    return own === undefined ? index <= disk.base : sameEntry(own, entry);
  });
  return copies.length * 2 > voters.length;
}

/**
 * Checks what `by` has newly committed past `known`, which was committed before, in a configuration (in a joint one
 * both halves must hold it); says what is wrong, or null.
 */
export function committedOnQuorum(
  all: readonly Seen[],
  by: Seen,
  known: number,
  { voters, votersOutgoing }: Pick<ConfState, "voters" | "votersOutgoing">,
): string | null {
  for (let index = known + 1; index <= by.commit; index++) {
    if (stored(all, voters, index, by) && stored(all, votersOutgoing, index, by)) continue;
    return `${by.id} committed ${place(entryAt(by.log, index))}, which is not on a quorum of disks`;
  }
  return null;
}

/**
 * Checks who voted for `by`, which leads (I13 on the quorum that really elected it): more than half of each half of a
 * configuration; says what is wrong, or null.
 */
export function electedByQuorum(
  all: readonly Seen[],
  by: Seen,
  { voters, votersOutgoing }: Pick<ConfState, "voters" | "votersOutgoing">,
): string | null {
  const gave = all.filter(({ votes }) => votes.some(({ term, to }) => term === by.term && to === by.id));
  const enough = (half: readonly number[]): boolean =>
    half.length === 0 || gave.filter(({ id }) => half.includes(id)).length * 2 > half.length;
  if (enough(voters) && enough(votersOutgoing)) return null;
  return `${by.id} leads in term ${by.term} by the votes of ${gave.map(({ id }) => id).join(" and ")} alone`;
}
