/**
 * Commands that make one member do something: campaign, propose, tick, propose, change the configuration, send a
 * snapshot, transfer, forget, report; and read-index, which is our own.
 */
import { logIndex, nodeId, term } from "../../src/core/base/ids.js";
import { encodeConfChange } from "../../src/core/raft/conf-change.js";
import { type ConfChangeTransition, type Entry, message } from "../../src/core/raft/raft.js";
import { count, firstNode, value, words } from "./args.js";
import { parseChanges } from "./changes.js";
import type { Directive } from "./datadriven.js";
import { describeMessage } from "./describe.js";
import { ScenarioError, type World } from "./world.js";

/** `campaign n` */
export function campaign(world: World, d: Directive): void {
  world.host(firstNode(d)).node.campaign();
}

/** `propose n text`. A follower passes it on to its leader. */
export function propose(world: World, d: Directive): void {
  const id = nodeId(firstNode(d));
  const data = new Uint8Array(Buffer.from(words(d)[1] ?? ""));
  const entry: Entry = { type: "EntryNormal", term: term(0), index: logIndex(0), data };
  world.step(message({ type: "MsgProp", from: id, to: id, entries: [entry] }));
}

/**
 * `propose-conf-change n [v1=true] [transition=auto|implicit|explicit]`, then a line of changes: `v1 l2 r3 u4` makes 1
 * a voter, 2 a learner, removes 3 and updates 4. No changes: out of the joint configuration.
 */
export function proposeConfChange(world: World, d: Directive): void {
  const id = nodeId(firstNode(d));
  const transition = TRANSITIONS.get(value(d, "transition") ?? "auto");
  if (transition === undefined) throw new ScenarioError(`unknown transition ${value(d, "transition")}`);
  const changes = parseChanges(d.input);
  const v1 = value(d, "v1") === "true";
  if (v1 && (changes.length !== 1 || transition !== "ConfChangeTransitionAuto"))
    throw new ScenarioError("v1 conf change can only have one operation and no transition");
  const type = v1 ? "EntryConfChange" : "EntryConfChangeV2";
  const data = encodeConfChange(type, { transition, changes, context: new Uint8Array(0) });
  world.step(
    message({
      type: "MsgProp",
      from: id,
      to: id,
      entries: [{ type, term: term(0), index: logIndex(0), data }],
    }),
  );
}

const TRANSITIONS: ReadonlyMap<string, ConfChangeTransition> = new Map<string, ConfChangeTransition>([
  ["auto", "ConfChangeTransitionAuto"],
  ["implicit", "ConfChangeTransitionJointImplicit"],
  ["explicit", "ConfChangeTransitionJointExplicit"],
]);

/** `send-snapshot a b`: a's state as it is now, on its way to b whether the leader wants it or not. */
export function sendSnapshot(world: World, d: Directive): void {
  const from = world.host(firstNode(d));
  const to = world.host(count(words(d)[1], "node"));
  const snapshot = from.disk.history.at(-1) ?? null;
  const m = message({ type: "MsgSnap", from: from.id, to: to.id, term: from.node.status().term, snapshot });
  world.messages.push(m);
  world.print(describeMessage(m));
}

/** `read-index n context` */
export function readIndex(world: World, d: Directive): void {
  world.host(firstNode(d)).node.readIndex(new Uint8Array(Buffer.from(words(d)[1] ?? "")));
}

/** `tick-election n`: an election timeout's worth of ticks. */
export function tickElection(world: World, d: Directive): void {
  const { node, template } = world.host(firstNode(d));
  for (let i = 0; i < template.electionTick; i++) node.tick();
}

/** `tick-heartbeat n` */
export function tickHeartbeat(world: World, d: Directive): void {
  const { node, template } = world.host(firstNode(d));
  for (let i = 0; i < template.heartbeatTick; i++) node.tick();
}

/** `transfer-leadership from=a to=b` */
export function transferLeadership(world: World, d: Directive): void {
  const to = nodeId(count(value(d, "to"), "to"));
  world.host(count(value(d, "from"), "from")).node.transferLeader(to);
}

/** `forget-leader n` */
export function forgetLeader(world: World, d: Directive): void {
  world.host(firstNode(d)).node.forgetLeader();
}

/** `report-unreachable a b`: tells a that b did not get its message. */
export function reportUnreachable(world: World, d: Directive): void {
  world.host(firstNode(d)).node.reportUnreachable(nodeId(count(words(d)[1], "node")));
}
