/**
 * The options that all verbs share which ask a witness: which addresses, how long, and in which form to print.
 */
import { type Command, InvalidArgumentError, Option } from "commander";
import { NAME_MAX, NAME_PATTERN, type Place, TEXT_MAX } from "../drivers/server/admin-requests.js";

export interface ClientOptions {
  /** `host:port` of witnesses, tried in order. At least one. */
  readonly address: readonly string[];
  /** For the whole command; writes, `watch` and `--wait` apply it to each connection. Unit: ms. */
  readonly timeout: number;
  readonly json: boolean;
}

const DEFAULT_ADDRESS = "127.0.0.1:7401";
/** Compared by identity: the value that stands for "none given". */
const DEFAULT_ADDRESSES: readonly string[] = [DEFAULT_ADDRESS];

/** True when nobody named an address. */
export function isDefault(address: readonly string[]): boolean {
  return address === DEFAULT_ADDRESSES;
}

/** Adds --address, --timeout and --json. */
export function withClientOptions(command: Command): Command {
  return command
    .addOption(
      new Option("-a, --address <host:port>", "admin address of a witness; repeat to try several in order")
        .argParser(collectAddresses)
        .env("POINTSMAN_ADDRESS")
        .default(DEFAULT_ADDRESSES, DEFAULT_ADDRESS),
    )
    .addOption(
      new Option("--timeout <duration>", "give up after so long, such as 500ms or 10s")
        .argParser(parseDuration)
        .default(10_000, "10s"),
    )
    .option("--json", "print JSON for programs", false);
}

/** Adds --by and --reason of the verbs that are recorded in the audit history. */
export function withBy(command: Command, defaultBy: string): Command {
  return command.addOption(
    new Option("--by <who>", "who asks, for the audit record").argParser(parseText).default(defaultBy),
  );
}

/** Options of the verbs that change something. */
export interface WriteOptions extends ClientOptions {
  /** For so long a write is asked again by itself; 0: it is asked once. Unit: ms. */
  readonly patience: number;
}

/** Longer would outlast what the cluster remembers of a write. */
const PATIENCE_MS_MAX = 30 * 60_000;

/** Adds --patience to the options that all verbs have. */
export function withWriteOptions(command: Command): Command {
  return withClientOptions(command).addOption(
    new Option(
      "--patience <duration>",
      "ask again for so long when no answer came or no leader is there; applied once all the same; 0: ask once",
    )
      .argParser(parsePatience)
      .default(15_000, "15s"),
  );
}

function parsePatience(text: string): number {
  const ms = /^0(?:ms|s|m|h)?$/.test(text) ? 0 : parseDuration(text);
  if (ms > PATIENCE_MS_MAX) throw new InvalidArgumentError("Give at most 30m, or 0 to ask once.");
  return ms;
}

/** A duration with its unit, in ms. */
export function parseDuration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text);
  const unit = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }[match?.[2] ?? ""];
  const ms = Math.round(Number(match?.[1]) * (unit ?? Number.NaN));
  if (!Number.isSafeInteger(ms) || ms < 1 || ms > 24 * 3_600_000) {
    throw new InvalidArgumentError("Give a number with its unit from 1ms to 24h, such as 500ms, 10s or 2m.");
  }
  return ms;
}

/** A name of a group, site or witness. */
export function parseName(text: string): string {
  if (text.length > NAME_MAX || !NAME_PATTERN.test(text)) {
    throw new InvalidArgumentError(
      `Give a name of 1 to ${NAME_MAX} letters, digits, dots, dashes and underscores.`,
    );
  }
  return text;
}

/** A line for the audit record. */
export function parseText(text: string): string {
  if (text.trim() === "" || text.length > TEXT_MAX) {
    throw new InvalidArgumentError(`Give 1 to ${TEXT_MAX} characters.`);
  }
  return text;
}

/**
 * A place in the history as it is printed: "4711" (all of that index is seen) or "4711.2" (up to that record
 * of it).
 */
export function parsePlace(text: string): Place {
  const match = /^#?(\d{1,16})(?:\.(\d{1,9}))?$/.exec(text);
  const index = Number(match?.[1] ?? Number.NaN);
  if (!Number.isSafeInteger(index)) {
    throw new InvalidArgumentError("Give a log index such as 4711, or the place of a record such as 4711.2.");
  }
  return { index, seq: match?.[2] === undefined ? null : Number(match[2]) };
}

/** Several may stand in one value, apart by commas or spaces, as the environment needs it. */
function collectAddresses(value: string, previous: readonly string[]): string[] {
  const added = parseAddresses(value);
  return previous === DEFAULT_ADDRESSES ? added : [...previous, ...added];
}

/** One or more `host:port`, apart by commas or spaces. */
export function parseAddresses(value: string): string[] {
  const added = value.split(/[\s,]+/).filter((part) => part !== "");
  for (const address of added) {
    const match = /^(?:\[[0-9a-fA-F:.]+\]|[^\s:/[\]]+):(\d{1,5})$/.exec(address);
    const port = Number(match?.[1]);
    if (match === null || port < 1 || port > 65_535) {
      throw new InvalidArgumentError(
        `${JSON.stringify(address)} is not host:port (an IPv6 address in brackets).`,
      );
    }
  }
  if (added.length === 0) throw new InvalidArgumentError("Give host:port.");
  return added;
}
