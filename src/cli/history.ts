/**
 * `pointsman history [GROUP]`: retained audit records, the newest ones or page by page from an index.
 */
import { Argument, type Command, InvalidArgumentError, Option } from "commander";
import type { AuditRecord } from "../core/model/state.js";
import { HISTORY_LIMIT_MAX, type Place } from "../drivers/server/admin-requests.js";
import { ask } from "./ask.js";
import { type ClientOptions, parseName, parsePlace, withClientOptions } from "./client-options.js";
import { renderRecords } from "./render-record.js";
import type { Cli } from "./terminal.js";

interface HistoryOptions extends ClientOptions {
  readonly since?: Place;
  readonly limit: number;
  readonly details: boolean;
}

/** Adds the verb. */
export function registerHistory(program: Command, cli: Cli): void {
  withClientOptions(program.command("history"))
    .description("show what happened, oldest first (--json: one record a line)")
    .addArgument(new Argument("[group]", "only records of this group").argParser(parseName))
    .addOption(
      new Option(
        "--since <index>",
        "records after this log index (or place: 4711.2), oldest first",
      ).argParser(parsePlace),
    )
    .addOption(
      new Option("-n, --limit <count>", "at most so many records").argParser(parseLimit).default(100),
    )
    .option("-d, --details", "show the evidence and the output of hooks of each record", false)
    .action(async (group: string | undefined, options: HistoryOptions) => {
      const { since, limit, details } = options;
      const { answer: page } = await ask(options, cli.note, (connection, timeoutMs) =>
        connection.history({ group: group ?? null, since: since ?? null, limit }, timeoutMs),
      );
      if (page.truncatedBeforeIndex !== null) {
        cli.note(`older records are not kept; the oldest one has index ${page.truncatedBeforeIndex}`);
      }
      if (options.json) {
        for (const record of page.records) cli.json(record);
      } else {
        for (const line of renderRecords(page.records, { details, paint: cli.paint })) cli.out(line);
      }
      if (page.records.length === 0)
        cli.note(group === undefined ? "no records" : `no records of group ${group}`);
      if (page.more) cli.note(moreRemark(since === undefined, page.records));
    });
}

function moreRemark(newest: boolean, shown: readonly AuditRecord[]): string {
  if (newest) {
    return `these are the newest ${shown.length}; older ones: --limit up to ${HISTORY_LIMIT_MAX}, or --since 0`;
  }
  const last = shown.at(-1);
  return last === undefined ? "more follow" : `more follow; go on with --since ${last.index}.${last.seq}`;
}

function parseLimit(text: string): number {
  const value = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (value < 1 || value > HISTORY_LIMIT_MAX) {
    throw new InvalidArgumentError(`Give a number from 1 to ${HISTORY_LIMIT_MAX}.`);
  }
  return value;
}
