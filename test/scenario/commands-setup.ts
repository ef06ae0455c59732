/**
 * Commands that make and unmake: add-nodes, log-level, set-randomized-election-timeout; and two of our own,
 * restart and lose-log.
 */
import { logIndex, nodeId, term } from "../../src/core/base/ids.js";
import { count, firstNode, value, values, words } from "./args.js";
import type { Directive } from "./datadriven.js";
import { type NodeTemplate, ScenarioError, type World } from "./world.js";

const LEVELS = ["debug", "info", "warn", "error", "fatal", "none"];

/**
 * `add-nodes N voters=(…) learners=(…) index=I content=S inflight=… prevote=… checkquorum=… async-storage-writes=…
 * max-committed-size-per-ready=… read-only=… disable-conf-change-validation=… step-down-on-removal=…`;
 * `max-size-per-msg` is ours. Without members and index: a node that knows nobody and waits for a leader.
 */
export function addNodes(world: World, d: Directive): void {
  const index = count(value(d, "index") ?? "0", "index");
  const flag = (key: string) => value(d, key) === "true";
  const ids = (key: string) => values(d, key).map((v) => nodeId(count(v, key)));
  const bootstrap = ids("voters").length > 0 || ids("learners").length > 0 || index > 0;
  if (bootstrap && index <= 1) throw new ScenarioError("index must be specified as > 1 due to bootstrap");
  const readOnly = value(d, "read-only") ?? "safe";
  if (readOnly !== "safe" && readOnly !== "lease-based")
    throw new ScenarioError(`invalid read-only option ${readOnly}`);
  const template: NodeTemplate = {
    voters: ids("voters"),
    learners: ids("learners"),
    electionTick: 3,
    heartbeatTick: 1,
    preVote: flag("prevote"),
    checkQuorum: flag("checkquorum"),
    asyncStorageWrites: flag("async-storage-writes"),
    seed: 1,
    maxSizePerMsg: count(value(d, "max-size-per-msg") ?? "0", "max-size-per-msg"),
    maxInflightMsgs: count(value(d, "inflight") ?? "0", "inflight"),
    maxCommittedSizePerReady: count(
      value(d, "max-committed-size-per-ready") ?? "0",
      "max-committed-size-per-ready",
    ),
    maxUncommittedSize: 0,
    readOnlyOption: readOnly,
    disableConfChangeValidation: flag("disable-conf-change-validation"),
    stepDownOnRemoval: flag("step-down-on-removal"),
  };
  const nodes = firstNode(d);
  for (let i = 0; i < nodes; i++) world.addHost(template, index, value(d, "content") ?? "");
}

/** `log-level none` makes all that follows answer `ok` only; any other level brings the output back. */
export function logLevel(world: World, d: Directive): void {
  setLevel(world, d.args[0]?.key);
}

/** Also for `log-level=` of other commands. */
export function setLevel(world: World, level: string | undefined): void {
  if (level === undefined || !LEVELS.includes(level.toLowerCase()))
    throw new ScenarioError(`log levels must be either of [${LEVELS.join(" ")}]`);
  world.quiet = level.toLowerCase() === "none";
}

/** `set-randomized-election-timeout n timeout=t` */
export function setRandomizedElectionTimeout(world: World, d: Directive): void {
  world.host(firstNode(d)).node.setRandomizedElectionTimeout(count(value(d, "timeout"), "timeout"));
}

/**
 * `restart n [acked=I term=T]`: power off and on; writes that were queued are lost. With `acked` and `term`
 * its storage found that log is missing, and what may have been promised before.
 */
export function restart(world: World, d: Directive): void {
  const acked = value(d, "acked");
  const recovering =
    acked === undefined
      ? null
      : { ackedIndex: logIndex(count(acked, "acked")), term: term(count(value(d, "term"), "term")) };
  world.restart(world.host(firstNode(d)), recovering);
}

/**
 * `lose-log n last=I`: the store of n falls back to when I was its last entry, commit index included; its
 * term and vote are mirrored.
 */
export function loseLog(world: World, d: Directive): void {
  const { disk } = world.host(firstNode(d));
  const last = count(value(d, "last"), "last");
  disk.hardState = { ...disk.hardState, commit: logIndex(Math.min(disk.hardState.commit, last)) };
  disk.entries = disk.entries.slice(0, Math.max(0, last - disk.base.index));
}

/** `compact n i`: drops the log of n up to i, on its disk too. */
export function compact(world: World, d: Directive): void {
  const host = world.host(firstNode(d));
  const { disk, node } = host;
  const index = count(words(d)[1], "index");
  const last = disk.entries.at(-1)?.index ?? disk.base.index;
  if (index <= disk.base.index) throw new ScenarioError("requested index is unavailable due to compaction");
  if (index > last) throw new ScenarioError(`compact ${index} is out of bound lastindex(${last})`);
  const at = disk.entries[index - disk.base.index - 1];
  if (at === undefined) throw new ScenarioError(`entry ${index} is not on disk`);
  node.compact(at.index);
  disk.entries = disk.entries.slice(index - disk.base.index);
  disk.base = { index: at.index, term: at.term };
}
