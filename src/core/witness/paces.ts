/**
 * How a leader tells a peer that is slow from one that is dead: the one answers and writes nothing, the other is not
 * heard of. A disk that stands still under a process that lives looks so from outside.
 *
 * Times count from this leadership, and from anew after this witness itself stood still: what it did not hear then is
 * no fault of its peers.
 */
import type { LogIndex, NodeId } from "../base/ids.js";
import type { ProgressStatus } from "../raft/types.js";

/** What is unusual about a peer; null: nothing is. Unit: ms. */
export interface Pace {
  /** It answers, and for so long it has acknowledged nothing of what it lacks. */
  readonly slowMs: number | null;
  /** For so long nothing was heard of it. */
  readonly silentMs: number | null;
}

interface Known {
  match: LogIndex;
  /** When it last had all, or more than before. */
  movedAtMonoMs: number;
  heardAtMonoMs: number;
}

export class Paces {
  private readonly known = new Map<NodeId, Known>();

  /** Ends what was known: this witness leads no longer, or stood still. */
  clear(): void {
    this.known.clear();
  }

  /** A Raft message of that node. */
  onHeard(node: NodeId, monoMs: number): void {
    const known = this.known.get(node);
    if (known !== undefined) known.heardAtMonoMs = monoMs;
  }

  /** Looks at what the leader knows of everybody; at every tick. A snapshot on its way moves nothing until the end. */
  onTick(progress: readonly ProgressStatus[], lastIndex: LogIndex, monoMs: number): void {
    for (const { id, match, state } of progress) {
      const known = this.known.get(id);
      if (known === undefined) {
        this.known.set(id, { match, movedAtMonoMs: monoMs, heardAtMonoMs: monoMs });
      } else if (match !== known.match || match === lastIndex || state === "StateSnapshot") {
        known.match = match;
        known.movedAtMonoMs = monoMs;
      }
    }
  }

  /** What lasts longer than `patienceMs`, an election timeout. */
  paceOf(node: NodeId, monoMs: number, patienceMs: number): Pace {
    const known = this.known.get(node);
    const silentMs = monoMs - (known?.heardAtMonoMs ?? monoMs);
    if (silentMs > patienceMs) return { slowMs: null, silentMs };
    const slowMs = monoMs - (known?.movedAtMonoMs ?? monoMs);
    return { slowMs: slowMs > patienceMs ? slowMs : null, silentMs: null };
  }
}
