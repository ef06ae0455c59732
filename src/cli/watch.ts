/**
 * `pointsman watch [GROUP]`: events as they happen, until Ctrl-C.
 *
 * It survives the loss of the witness it listens to: the place of the last record is kept, and the watch goes
 * on after it, at the next address or at the same one. Records keep their place in the log at every witness,
 * so nothing is lost or told twice; the role of a witness, its warnings and `routed` are about the moment and
 * are not told again.
 */
import { Argument, type Command, Option } from "commander";
import { mayAskAgain } from "../core/model/code.js";
import type { AdminConnection } from "../drivers/server/admin-client.js";
import type { Place } from "../drivers/server/admin-requests.js";
import type { WatchMessage } from "../drivers/server/admin-wire.js";
import { refusedError } from "./ask.js";
import { type ClientOptions, parseName, parsePlace, withClientOptions } from "./client-options.js";
import { CliError, EXIT } from "./exit-codes.js";
import { renderWatchMessage } from "./render-record.js";
import type { Cli } from "./terminal.js";

interface WatchOptions extends ClientOptions {
  readonly from?: Place;
  readonly details: boolean;
}

const RETRY_MIN_MS = 250;
const RETRY_MAX_MS = 3_000;

/** Adds the verb. */
export function registerWatch(program: Command, cli: Cli): void {
  withClientOptions(program.command("watch"))
    .description("follow what happens, across reconnects (--json: one event a line)")
    .addArgument(new Argument("[group]", "only what concerns this group").argParser(parseName))
    .addOption(
      new Option(
        "--from <index>",
        "first the records after this log index (or place: 4711.2); 0: all that are kept",
      ).argParser(parsePlace),
    )
    .option("-d, --details", "show the evidence and the output of hooks of each record", false)
    .action(async (group: string | undefined, options: WatchOptions) => {
      let place: Place | null = options.from ?? null;
      const onMessage = (message: WatchMessage): void => {
        if (message.kind === "started") {
          place = { index: message.afterIndex, seq: message.afterSeq };
          if (message.truncatedBeforeIndex !== null) {
            cli.note(`older records are not kept; the oldest one has index ${message.truncatedBeforeIndex}`);
          }
        } else if (message.kind === "audit") {
          place = { index: message.record.index, seq: message.record.seq };
        }
        if (options.json) {
          cli.json(message);
          return;
        }
        const line = renderWatchMessage(message, {
          details: options.details,
          paint: cli.paint,
          nowWallMs: Date.now(),
        });
        if (line !== null) cli.out(line);
      };
      await follow({ cli, options, group: group ?? null, place: () => place, onMessage });
    });
}

/** Keeps one watch going over all addresses until interrupted; throws when no address ever answered. */
async function follow(watching: {
  readonly cli: Cli;
  readonly options: WatchOptions;
  readonly group: string | null;
  readonly place: () => Place | null;
  readonly onMessage: (message: WatchMessage) => void;
}): Promise<void> {
  const { cli, options } = watching;
  const { connectAdmin, AdminClientError } = await import("../drivers/server/admin-client.js");
  const stop = cli.interrupted;
  let everStarted = false;
  let failures = 0;
  let waitMs = RETRY_MIN_MS;

  for (let turn = 0; !stop.aborted; turn++) {
    const address = options.address[turn % options.address.length] ?? "";
    let why: string;
    try {
      const connection = await connectAdmin(address, options.timeout);
      try {
        if (everStarted) cli.note(`watching ${address}, after ${placeWords(watching.place())}`);
        else if (watching.group !== null) await checkGroup(connection, watching.group, options.timeout);
        const stream = connection.watch({ group: watching.group, since: watching.place() }, stop);
        for (;;) {
          const next = await stream.next();
          if (next.done === true) {
            if (stop.aborted) return;
            if (next.value !== null && !mayAskAgain(next.value.code)) throw refusedError(next.value);
            why = next.value?.message ?? `${address} ended the watch`;
            break;
          }
          everStarted = true;
          failures = 0;
          waitMs = RETRY_MIN_MS;
          watching.onMessage(next.value);
        }
      } finally {
        connection.close();
      }
    } catch (error) {
      if (!(error instanceof AdminClientError)) throw error;
      why = error.message;
      failures += 1;
      if (!everStarted && failures >= options.address.length)
        throw new CliError(EXIT.unreachable, error.code, why);
    }
    if (stop.aborted) return;
    // The first remark after a good connection says it; a long outage is not told every second.
    if (failures <= options.address.length) cli.note(`${why}; going on`);
    if (failures > 0 && failures % options.address.length === 0) {
      await pause(waitMs, stop);
      waitMs = Math.min(waitMs * 2, RETRY_MAX_MS);
    } else if (failures === 0) {
      await pause(RETRY_MIN_MS, stop);
    }
  }
}

/** A watch of a group that nobody configured would be silent for ever. */
async function checkGroup(connection: AdminConnection, group: string, timeoutMs: number): Promise<void> {
  const answer = await connection.request({ kind: "explain", group }, timeoutMs);
  if (answer.kind === "refused" && answer.code === "unknown_group") throw refusedError(answer);
}

function placeWords(place: Place | null): string {
  if (place === null) return "now";
  return place.seq === null ? `index ${place.index}` : `index ${place.index}.${place.seq}`;
}

function pause(ms: number, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    function done(): void {
      clearTimeout(timer);
      stop.removeEventListener("abort", done);
      resolve();
    }
    stop.addEventListener("abort", done);
  });
}
