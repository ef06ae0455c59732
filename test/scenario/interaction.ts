/**
 * The interpreter of interaction files: a table of commands over one world.
 */
import { InvariantError } from "../../src/core/base/assert.js";
import * as drive from "./commands-drive.js";
import * as setup from "./commands-setup.js";
import * as show from "./commands-show.js";
import * as work from "./commands-work.js";
import type { Directive } from "./datadriven.js";
import { ScenarioError, World } from "./world.js";

type Command = (world: World, d: Directive) => void;

const COMMANDS: ReadonlyMap<string, Command> = new Map<string, Command>([
  ["add-nodes", setup.addNodes],
  ["log-level", setup.logLevel],
  ["set-randomized-election-timeout", setup.setRandomizedElectionTimeout],
  ["restart", setup.restart],
  ["lose-log", setup.loseLog],
  ["compact", setup.compact],
  ["campaign", drive.campaign],
  ["propose", drive.propose],
  ["propose-conf-change", drive.proposeConfChange],
  ["send-snapshot", drive.sendSnapshot],
  ["read-index", drive.readIndex],
  ["tick-election", drive.tickElection],
  ["tick-heartbeat", drive.tickHeartbeat],
  ["transfer-leadership", drive.transferLeadership],
  ["forget-leader", drive.forgetLeader],
  ["report-unreachable", drive.reportUnreachable],
  ["process-ready", work.processReady],
  ["process-append-thread", work.processAppendThread],
  ["process-apply-thread", work.processApplyThread],
  ["deliver-msgs", work.deliverMsgs],
  ["stabilize", work.stabilize],
  ["raft-log", show.raftLog],
  ["raft-state", show.raftState],
  ["status", show.status],
  ["recovery", show.recovery],
  ["_breakpoint", () => {}],
]);

/** An interpreter with a world of its own: directive in, output out. */
export function interaction(): (d: Directive) => string {
  const world = new World();
  return (d) => {
    try {
      const command = COMMANDS.get(d.command);
      if (command === undefined) throw new ScenarioError(`unknown command ${d.command}`);
      command(world, d);
    } catch (error) {
      if (!(error instanceof ScenarioError || error instanceof InvariantError)) throw error;
      // Errors show even where everything else is quiet.
      return [world.takeOutput(), `${error.name === "InvariantError" ? "INVARIANT " : ""}${error.message}`]
        .filter((part) => part !== "")
        .join("\n");
    }
    return world.takeOutput() || "ok";
  };
}
