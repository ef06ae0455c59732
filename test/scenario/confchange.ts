/**
 * The interpreter of confchange files: `simple`, `enter-joint [autoleave=true]`, `leave-joint` over one configuration,
 * with what a leader would know of the members. The last index grows by one a directive, so that the place at which
 * a new member is probed shows when it came.
 */
import { logIndex } from "../../src/core/base/ids.js";
import {
  type Changed,
  type Configuration,
  enterJoint,
  isJoint,
  leaveJoint,
  simple,
} from "../../src/core/raft/configuration.js";
import { Tracker } from "../../src/core/raft/tracker.js";
import { value } from "./args.js";
import { parseChanges } from "./changes.js";
import type { Directive } from "./datadriven.js";
import { describeProgress } from "./describe.js";

/** An interpreter with a configuration of its own: directive in, output out. */
export function confchange(): (d: Directive) => string {
  const tracker = new Tracker({ maxInflight: 10, maxInflightBytes: 0 });
  let directives = 0;
  return (d) => {
    const lastIndex = logIndex(directives++);
    const changed = change(tracker.config, d);
    if ("error" in changed) return changed.error;
    tracker.switchTo(changed, lastIndex);
    return [describeConfiguration(changed), ...progressLines(tracker)].join("\n");
  };
}

function change(config: Configuration, d: Directive): Changed {
  const changes = parseChanges(d.input);
  if (d.command === "simple") return simple(config, changes);
  if (d.command === "enter-joint") return enterJoint(config, changes, value(d, "autoleave") === "true");
  return changes.length === 0 ? leaveJoint(config) : { error: "this command takes no input" };
}

/** `voters=(1 2)&&(1) learners=(3) learners_next=(2) autoleave`. */
export function describeConfiguration(c: Configuration): string {
  const list = (ids: readonly number[]): string => `(${ids.join(" ")})`;
  let out = `voters=${list(c.incoming)}`;
  if (isJoint(c)) out += `&&${list(c.outgoing)}`;
  if (c.learners.length > 0) out += ` learners=${list(c.learners)}`;
  if (c.learnersNext.length > 0) out += ` learners_next=${list(c.learnersNext)}`;
  if (c.autoLeave) out += " autoleave";
  return out;
}

function progressLines(tracker: Tracker): readonly string[] {
  return tracker.ids.flatMap((id) => {
    const p = tracker.progress(id);
    if (p === undefined) return [];
    const { match, next, state, recentActive, paused, isLearner, recovering, pendingSnapshot } = p;
    const flow = { paused, inflight: 0, inflightFull: false, pendingSnapshot };
    const status = { id, match, next, state, recentActive, active: recentActive, isLearner, recovering };
    return [describeProgress({ ...status, ...flow })];
  });
}
