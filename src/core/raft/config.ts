/**
 * What a member is made of: its settings, and what its storage restored.
 *
 * Checked once, by assertion: a wrong setting here is a bug of the caller, since the operator's
 * configuration was checked at the border.
 */
import { assert } from "../base/assert.js";
import type { LogIndex } from "../base/ids.js";
import { isCount, NO_NODE, type NodeId } from "../base/ids.js";
import { type Configuration, configurationOf, flawOf, fromConfState } from "./configuration.js";
import type { EntryId } from "./log.js";
import { ORIGIN } from "./log.js";
import type { ConfState, Entry, HardState, Recovering } from "./types.js";

/** What storage found at start. */
export interface RaftStorageState {
  readonly hardState: HardState;
  /** The durable log after `base`, without a gap. */
  readonly entries: readonly Entry[];
  /**
   * The place of the last entry that the log no longer holds; absent for a full log. A snapshot stands for what
   * is before.
   */
  readonly base?: EntryId;
  /** The configuration after `applied`; absent: `voters` and `learners` of the settings, at bootstrap. */
  readonly confState?: ConfState;
  /** What the state machine has applied already; it will not be handed out again. */
  readonly applied: LogIndex;
}

/** Settings of one member. A limit of 0 is "no limit". */
export interface RaftConfig {
  readonly id: NodeId;
  /** The configuration at bootstrap; empty for a member that will learn it from a leader. */
  readonly voters: readonly NodeId[];
  readonly learners?: readonly NodeId[];
  /**
   * Unit: ticks. A follower campaigns after [electionTick, 2 * electionTick - 1] of silence, drawn anew
   * each time.
   */
  readonly electionTick: number;
  /** Unit: ticks; less than `electionTick`. */
  readonly heartbeatTick: number;
  readonly preVote: boolean;
  readonly checkQuorum: boolean;
  readonly asyncStorageWrites: boolean;
  /**
   * Seeds the election timeouts, together with `id`: equal seeds on all members do not draw equal timeouts.
   */
  readonly seed: number;
  /** Unit: bytes of entries in one append. */
  readonly maxSizePerMsg: number;
  /** Unit: appends in flight to one peer. */
  readonly maxInflightMsgs: number;
  /** Unit: bytes of entries in flight to one peer; absent or 0 is no limit. */
  readonly maxInflightBytes?: number;
  /** Unit: bytes of entries handed out and not yet applied. */
  readonly maxCommittedSizePerReady: number;
  /** Unit: bytes of proposals not yet applied; beyond, proposals are refused. */
  readonly maxUncommittedSize: number;
  /**
   * `safe` (default) asks a quorum for each read; `lease-based` answers at once while a lease holds, trusting
   * check-quorum and that clock rates differ by no more than `maxClockDrift` (lease.ts).
   */
  readonly readOnlyOption?: "safe" | "lease-based";
  /** Unit: fraction by which the rate of any member's ticks may differ from true time. Default 0.01. */
  readonly maxClockDrift?: number;
  /**
   * Lets changes of the configuration into the log that the leader knows cannot be applied (a second one before the
   * first is applied, one that does not fit a joint configuration). For experiments: what guards I13 is off.
   */
  readonly disableConfChangeValidation?: boolean;
  /** A leader that a change removes or demotes steps down at once; else it reigns until the change is known. */
  readonly stepDownOnRemoval?: boolean;
  readonly storage: RaftStorageState;
  /** Given when storage lost durable log: what may have been promised before. */
  readonly recovering?: Recovering | null;
}

/** `RaftConfig` with defaults filled in and 0 turned into Infinity. */
type Optional =
  | "learners"
  | "readOnlyOption"
  | "maxClockDrift"
  | "maxInflightBytes"
  | "disableConfChangeValidation"
  | "stepDownOnRemoval";

export interface Settings
  extends Omit<RaftConfig, "storage" | "recovering" | Optional>,
    Required<Pick<RaftConfig, Optional>> {}

/** The settings in force; asserts that they make sense together. */
export function settingsOf(config: RaftConfig): Settings {
  const { id, electionTick, heartbeatTick } = config;
  assert(isCount(id) && id !== NO_NODE, () => `member id ${id} is not a positive count`);
  assert(heartbeatTick > 0, () => `heartbeatTick ${heartbeatTick} must be positive`);
  assert(
    electionTick > heartbeatTick,
    () => `electionTick ${electionTick} must exceed heartbeatTick ${heartbeatTick}`,
  );
  const readOnlyOption = config.readOnlyOption ?? "safe";
  assert(readOnlyOption === "safe" || config.checkQuorum, "lease-based reads need checkQuorum");
  const limit = (value: number): number => (value === 0 ? Number.POSITIVE_INFINITY : value);
  return {
    ...config,
    learners: config.learners ?? [],
    readOnlyOption,
    maxClockDrift: config.maxClockDrift ?? 0.01,
    disableConfChangeValidation: config.disableConfChangeValidation ?? false,
    stepDownOnRemoval: config.stepDownOnRemoval ?? false,
    maxInflightBytes: limit(config.maxInflightBytes ?? 0),
    maxSizePerMsg: limit(config.maxSizePerMsg),
    maxInflightMsgs: limit(config.maxInflightMsgs),
    maxCommittedSizePerReady: limit(config.maxCommittedSizePerReady),
    maxUncommittedSize: limit(config.maxUncommittedSize),
  };
}

/** The configuration in force when the member starts. */
export function configurationAtStart(config: RaftConfig): Configuration {
  const { confState } = config.storage;
  if (confState === undefined) return configurationOf(config.voters, config.learners ?? []);
  const restored = fromConfState(confState);
  const flaw = flawOf(restored);
  assert(flaw === null, () => `restored configuration: ${flaw}`);
  return restored;
}

/** Where the restored log begins. */
export function baseOf(storage: RaftStorageState): EntryId {
  return storage.base ?? ORIGIN;
}
