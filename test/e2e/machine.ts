/**
 * Where a process of a cluster runs: on this machine's loopback, or at a site of a NetLab. What a test needs
 * to know of the difference is here and nowhere else.
 */
import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { freePort } from "../support/name-servers.js";
import type { NetLab } from "../support/netns.js";

export interface Machine {
  /** Where its processes listen for each other. */
  readonly host: string;
  /** Where they listen for the test: reachable whatever is cut. */
  readonly adminHost: string;
  /** A port to listen on; `wish` where the machine is ours alone. */
  port(wish: number): Promise<number>;
  /** Starts a program; the child's pid is the program's own. */
  spawn(command: string, args: readonly string[], options: SpawnOptions): ChildProcess;
}

/** This machine, where ports are shared with everybody. */
export const LOOPBACK: Machine = {
  host: "127.0.0.1",
  adminHost: "127.0.0.1",
  port: () => freePort(),
  spawn,
};

/** A site of a lab that has management links. */
export function siteMachine(lab: NetLab, site: number): Machine {
  return {
    host: lab.address(site),
    adminHost: lab.managementAddress(site),
    port: (wish) => Promise.resolve(wish),
    spawn: (command, args, options) => lab.spawn(site, command, args, options),
  };
}
