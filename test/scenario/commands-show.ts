/**
 * Commands that print: raft-log (what is durable), raft-state, status (a leader's view of the others); and
 * recovery, which is our own.
 */
import { firstNode } from "./args.js";
import type { Directive } from "./datadriven.js";
import { describeEntry, describeProgress } from "./describe.js";
import type { World } from "./world.js";

/** `raft-log n` */
export function raftLog(world: World, d: Directive): void {
  const { disk } = world.host(firstNode(d));
  if (disk.entries.length === 0) {
    world.print(`log is empty: first index=${disk.base.index + 1}, last index=${disk.base.index}`);
    return;
  }
  for (const entry of disk.entries) world.print(describeEntry(entry));
}

/** `raft-state` */
export function raftState(world: World): void {
  for (const host of world.hosts) {
    const { id, state, voters, term, lead } = host.node.status();
    const voter = voters.includes(id) ? "(Voter)" : "(Non-Voter)";
    world.print(`${id}: ${state} ${voter} Term:${term} Lead:${lead}`);
  }
}

/** `status n`; nothing unless n leads. */
export function status(world: World, d: Directive): void {
  for (const progress of world.host(firstNode(d)).node.status().progress)
    world.print(describeProgress(progress));
}

/** `recovery n`: whether n lost log, and what it may have promised before. */
export function recovery(world: World, d: Directive): void {
  const { id, recovering, commit } = world.host(firstNode(d)).node.status();
  world.print(
    recovering === null
      ? `${id}: whole, commit ${commit}`
      : `${id}: recovering until commit ${recovering.ackedIndex} or a term after ${recovering.term}, commit ${commit}`,
  );
}
