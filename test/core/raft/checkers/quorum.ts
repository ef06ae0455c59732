/**
 * A commit rests on a quorum of disks, at the instant at which somebody first makes it (I8).
 *
 * Counted here by hand and not with the core's own arithmetic, which may be what is wrong.
 */
import { entryAt, place, type Seen, sameEntry } from "./seen.js";

/** Members that vote; in a joint configuration both lists must agree. An empty second half is none. */
export interface Voters {
  readonly incoming: readonly number[];
  readonly outgoing: readonly number[];
}

function stored(all: readonly Seen[], voters: readonly number[], index: number, by: Seen): boolean {
  const entry = entryAt(by.log, index);
  if (entry === undefined || voters.length === 0) return true;
  const copies = all.filter(({ id, disk }) => {
    if (!voters.includes(id)) return false;
    const own = entryAt(disk.entries, index);
    // What a snapshot stands for on this disk was committed before.
    return own === undefined ? index < (disk.entries[0]?.index ?? 1) : sameEntry(own, entry);
  });
  return copies.length * 2 > voters.length;
}

/** Checks what `by` has newly committed past `known`, which was committed before; says what is wrong, or null. */
export function committedOnQuorum(
  all: readonly Seen[],
  by: Seen,
  known: number,
  { incoming, outgoing }: Voters,
): string | null {
  for (let index = known + 1; index <= by.commit; index++) {
    if (stored(all, incoming, index, by) && stored(all, outgoing, index, by)) continue;
    return `${by.id} committed ${place(entryAt(by.log, index))}, which is not on a quorum of disks`;
  }
  return null;
}
