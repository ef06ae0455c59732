/**
 * The interpreter of quorum files: `committed` and `vote`, for a majority (`cfg=`) or a joint configuration
 * (`cfgj=` given, `zero` for empty).
 *
 * Each result is also computed in other ways (joined with nothing, with itself, halves swapped); one that
 * differs is printed and thus seen.
 */
import { type LogIndex, logIndex, type NodeId, nodeId } from "../../src/core/base/ids.js";
import {
  type JointConfig,
  jointCommitted,
  jointIds,
  jointVote,
  majorityCommitted,
  majorityVote,
} from "../../src/core/raft/quorum.js";
import { count, values } from "./args.js";
import type { Directive } from "./datadriven.js";

interface Case {
  readonly incoming: readonly NodeId[];
  readonly outgoing: readonly NodeId[];
  readonly joint: boolean;
}

function ids(d: Directive, key: string): readonly NodeId[] {
  const named = values(d, key).filter((v) => v !== "zero");
  return [...new Set(named.map((v) => nodeId(count(v, key))))];
}

/** Gives each voter, in order of first mention, its input; `_` gives none. */
function assign(c: Case, inputs: readonly string[]): ReadonlyMap<NodeId, string> | string {
  const voters = [...new Set([...c.incoming, ...c.outgoing])];
  if (voters.length !== inputs.length)
    return `error: mismatched input (explicit or _) for voters [${voters.join(" ")}]: [${inputs.join(" ")}]`;
  const pairs = voters.map((id, i): [NodeId, string] => [id, inputs[i] ?? "_"]);
  return new Map(pairs.filter(([, input]) => input !== "_"));
}

const show = (index: number): string => (index === Number.POSITIVE_INFINITY ? "∞" : String(index));

/** One bar a voter, as long as there are voters with a lower index; `?` where nothing is known. */
function bars(voters: readonly NodeId[], acked: (id: NodeId) => LogIndex | undefined): string {
  const sorted = [...voters].sort((a, b) => a - b);
  if (sorted.length === 0) return "<empty majority quorum>";
  const blank = " ".repeat(sorted.length);
  const rows = sorted.map((id) => {
    const own = acked(id);
    const lower = sorted.filter((other) => (acked(other) ?? 0) < (own ?? 0)).length;
    const bar = own === undefined ? `?${blank}` : `${"x".repeat(lower)}>${blank.slice(lower)}`;
    return `${bar} ${String(own ?? 0).padStart(5)}    (id=${id})\n`;
  });
  return `${blank}    idx\n${rows.join("")}`;
}

function committed(c: Case, inputs: ReadonlyMap<NodeId, string>): string {
  const acked = (id: NodeId): LogIndex | undefined => {
    const input = inputs.get(id);
    return input === undefined ? undefined : logIndex(count(input, "idx"));
  };
  const config: JointConfig = c;
  const index = c.joint ? jointCommitted(config, acked) : majorityCommitted(c.incoming, acked);
  const swapped: JointConfig = { incoming: c.outgoing, outgoing: c.incoming };
  const twice: JointConfig = { incoming: c.incoming, outgoing: c.incoming };
  const others: [string, number][] = c.joint
    ? [["swapped", jointCommitted(swapped, acked)]]
    : [
        ["zero-joint quorum", jointCommitted(config, acked)],
        ["self-joint quorum", jointCommitted(twice, acked)],
      ];
  const notes = others
    .filter(([, other]) => other !== index)
    .map(([how, other]) => `${show(other)} <-- via ${how}\n`);
  return `${bars(jointIds(config), acked)}${notes.join("")}${show(index)}`;
}

function vote(c: Case, inputs: ReadonlyMap<NodeId, string>): string {
  const votes = new Map([...inputs].map(([id, input]): [NodeId, boolean] => [id, input === "y"]));
  const result = c.joint ? jointVote(c, votes) : majorityVote(c.incoming, votes);
  const swapped = jointVote({ incoming: c.outgoing, outgoing: c.incoming }, votes);
  const note = c.joint && swapped !== result ? `${swapped} <-- via swapped\n` : "";
  return note + result;
}

/** The output of one directive. */
export function quorum(d: Directive): string {
  const c: Case = {
    incoming: ids(d, "cfg"),
    outgoing: ids(d, "cfgj"),
    joint: d.args.some((arg) => arg.key === "cfgj"),
  };
  const inputs = assign(c, values(d, d.command === "vote" ? "votes" : "idx"));
  if (typeof inputs === "string") return inputs;
  return d.command === "vote" ? vote(c, inputs) : committed(c, inputs);
}
