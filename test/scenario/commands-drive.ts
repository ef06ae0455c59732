/**
 * Commands that make one member do something: campaign, propose, tick, transfer, forget, report; and
 * read-index, which is our own.
 */
import { logIndex, nodeId, term } from "../../src/core/base/ids.js";
import { type Entry, message } from "../../src/core/raft/raft.js";
import { count, firstNode, value, words } from "./args.js";
import type { Directive } from "./datadriven.js";
import type { World } from "./world.js";

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
