/**
 * The configuration of a cluster, and the algebra of changing it (dissertation, sections 4.1 to 4.3; names as in
 * etcd's confchange).
 *
 * Plain data and pure functions: a configuration is a function of the log's applied prefix and of nothing else,
 * so every member that applied the same entries holds the same one. A simple change moves at most one voter,
 * so that old and new majorities meet in a member; anything more goes through a joint configuration, in which
 * both halves must agree, and out of it by a second entry.
 *
 * Invariants (`flawOf`): voters and learners are disjoint; `learnersNext` are voters of the outgoing half that
 * become learners when it is left (until then they vote there, and a learner must not vote); outside of a joint
 * configuration there are no outgoing voters, no next learners and no automatic leaving. Each list is sorted.
 */
import { NO_NODE, type NodeId } from "../base/ids.js";
import type { JointConfig } from "./quorum.js";
import type { ConfState } from "./types.js";

/** Who is a member, and as what. `outgoing` is not empty while a joint configuration is in force. */
export interface Configuration extends JointConfig {
  readonly learners: readonly NodeId[];
  readonly learnersNext: readonly NodeId[];
  /** The leader proposes the way out of the joint configuration by itself. */
  readonly autoLeave: boolean;
}

/** What one change does to one member. `ConfChangeUpdateNode` changes nothing that Raft knows of. */
export type ConfChangeType =
  | "ConfChangeAddNode"
  | "ConfChangeRemoveNode"
  | "ConfChangeUpdateNode"
  | "ConfChangeAddLearnerNode";

/** One member's change. Node 0 is ignored: the caller has struck out a change that it refused. */
export interface ConfChangeSingle {
  readonly type: ConfChangeType;
  readonly node: NodeId;
}

/** What a change came to: a configuration, or why it cannot be made. */
export type Changed = Configuration | { readonly error: string };

/** A cluster of nobody. */
export const NO_CONFIGURATION: Configuration = {
  incoming: [],
  outgoing: [],
  learners: [],
  learnersNext: [],
  autoLeave: false,
};

function sorted(ids: Iterable<NodeId>): readonly NodeId[] {
  return [...new Set(ids)].sort((a, b) => a - b);
}

const without = (ids: readonly NodeId[], id: NodeId): readonly NodeId[] =>
  ids.filter((other) => other !== id);
const plus = (ids: readonly NodeId[], id: NodeId): readonly NodeId[] => sorted([...ids, id]);

/** True while two halves must agree. */
export function isJoint(c: Configuration): boolean {
  return c.outgoing.length > 0;
}

/** Everybody who is fed the log: voters of either half and learners, sorted. */
export function memberIds(c: Configuration): readonly NodeId[] {
  return sorted([...c.incoming, ...c.outgoing, ...c.learners, ...c.learnersNext]);
}

/** A configuration of these members, joint with nothing. */
export function configurationOf(voters: readonly NodeId[], learners: readonly NodeId[]): Configuration {
  const incoming = sorted(voters);
  return { ...NO_CONFIGURATION, incoming, learners: sorted(learners).filter((id) => !incoming.includes(id)) };
}

/** The configuration that a snapshot carries. The caller checks `flawOf` when it comes from the network. */
export function fromConfState(state: ConfState): Configuration {
  return {
    incoming: sorted(state.voters),
    outgoing: sorted(state.votersOutgoing),
    learners: sorted(state.learners),
    learnersNext: sorted(state.learnersNext),
    autoLeave: state.autoLeave,
  };
}

/** What a snapshot carries of `c`. */
export function toConfState(c: Configuration): ConfState {
  return {
    voters: c.incoming,
    learners: c.learners,
    votersOutgoing: c.outgoing,
    learnersNext: c.learnersNext,
    autoLeave: c.autoLeave,
  };
}

/** Why `c` breaks an invariant, or null. */
export function flawOf(c: Configuration): string | null {
  for (const id of c.learnersNext) {
    if (!c.outgoing.includes(id)) return `${id} is in LearnersNext, but not Voters[1]`;
    if (c.learners.includes(id)) return `${id} is in LearnersNext, but is already marked as learner`;
    if (c.incoming.includes(id)) return `${id} is in LearnersNext and Voters[0]`;
  }
  for (const id of c.learners) {
    if (c.outgoing.includes(id)) return `${id} is in Learners and Voters[1]`;
    if (c.incoming.includes(id)) return `${id} is in Learners and Voters[0]`;
  }
  if (!isJoint(c)) {
    if (c.learnersNext.length > 0) return "LearnersNext must be empty when not joint";
    if (c.autoLeave) return "AutoLeave must be false when not joint";
  }
  return null;
}

/** Goes to a joint configuration: `changes` make its incoming half, the present voters are its outgoing one. */
export function enterJoint(
  c: Configuration,
  changes: readonly ConfChangeSingle[],
  autoLeave: boolean,
): Changed {
  if (isJoint(c)) return { error: "config is already joint" };
  if (c.incoming.length === 0) return { error: "can't make a zero-voter config joint" };
  const changed = applyAll({ ...c, outgoing: c.incoming }, changes);
  return "error" in changed ? changed : checked({ ...changed, autoLeave });
}

/** Leaves the joint configuration: who votes in the outgoing half alone is no member any more, or a learner. */
export function leaveJoint(c: Configuration): Changed {
  if (!isJoint(c)) return { error: "can't leave a non-joint config" };
  return checked({
    incoming: c.incoming,
    outgoing: [],
    learners: sorted([...c.learners, ...c.learnersNext]),
    learnersNext: [],
    autoLeave: false,
  });
}

/** Changes at most one voter, at once. */
export function simple(c: Configuration, changes: readonly ConfChangeSingle[]): Changed {
  if (isJoint(c)) return { error: "can't apply simple config change in joint config" };
  const changed = applyAll(c, changes);
  if ("error" in changed) return changed;
  const moved =
    c.incoming.filter((id) => !changed.incoming.includes(id)).length +
    changed.incoming.filter((id) => !c.incoming.includes(id)).length;
  if (moved > 1) return { error: "more than one voter changed without entering joint config" };
  return checked(changed);
}

function checked(c: Configuration): Changed {
  const flaw = flawOf(c);
  return flaw === null ? c : { error: flaw };
}

function applyAll(c: Configuration, changes: readonly ConfChangeSingle[]): Changed {
  const changed = changes.reduce(applyOne, c);
  return changed.incoming.length === 0 ? { error: "removed all voters" } : changed;
}

function applyOne(c: Configuration, { type, node }: ConfChangeSingle): Configuration {
  if (node === NO_NODE) return c;
  switch (type) {
    case "ConfChangeAddNode":
      return { ...remove(c, node), incoming: plus(c.incoming, node) };
    case "ConfChangeAddLearnerNode":
      return makeLearner(c, node);
    case "ConfChangeRemoveNode":
      return remove(c, node);
    case "ConfChangeUpdateNode":
      return c;
  }
}

function makeLearner(c: Configuration, node: NodeId): Configuration {
  if (c.learners.includes(node)) return c;
  const gone = remove(c, node);
  // Who still votes in the outgoing half becomes a learner when that half is left.
  return c.outgoing.includes(node)
    ? { ...gone, learnersNext: plus(gone.learnersNext, node) }
    : { ...gone, learners: plus(gone.learners, node) };
}

function remove(c: Configuration, node: NodeId): Configuration {
  return {
    ...c,
    incoming: without(c.incoming, node),
    learners: without(c.learners, node),
    learnersNext: without(c.learnersNext, node),
  };
}
