/**
 * `pointsman members`: who takes part in the log, and the four changes of that: add, promote, remove, replace.
 *
 * The answer to a change comes when it is decided; what takes long, a new member's way to the whole log, is
 * told by `--wait` (members-wait.ts).
 */
import { Argument, type Command, Option } from "commander";
import { siteId, witnessId } from "../core/base/ids.js";
import { askWrite, printAccepted } from "./accepted.js";
import {
  type ClientOptions,
  parseAddresses,
  parseDuration,
  parseName,
  type WriteOptions,
  withBy,
  withClientOptions,
  withWriteOptions,
} from "./client-options.js";
import { askMembers, type WaitOptions, waitForMember } from "./members-wait.js";
import { renderMembers } from "./render-members.js";
import type { Cli } from "./terminal.js";

/** Where a new member is reached, as far as it was said. */
interface PlaceOptions {
  readonly site?: string;
  readonly peers?: readonly string[];
  readonly admin?: string;
  readonly dns?: string;
}

/** Port of the admin API where none is said: that of the examples. */
const ADMIN_PORT = 7401;

/** Adds the verb with all that stand below it. */
export function registerMembers(program: Command, cli: Cli, user: string): void {
  const members = program
    .command("members")
    .description(
      "show who takes part in the log, and change it: a witness joins, leaves, or replaces a lost one",
    );
  registerList(members, cli);
  registerAdd(members, cli, user);
  registerPromote(members, cli, user);
  registerRemove(members, cli, user);
  registerReplace(members, cli, user);
}

function registerList(members: Command, cli: Cli): void {
  withClientOptions(members.command("list", { isDefault: true }))
    .description("show each member, its role, and how much of the log it has (the default)")
    .action(async (options: ClientOptions) => {
      const report = await askMembers(options, cli.note);
      if (options.json) cli.json(report);
      else cli.out(renderMembers(report, cli.paint));
    });
}

function registerAdd(members: Command, cli: Cli, user: string): void {
  withWait(withPlace(withBy(withWriteOptions(members.command("add")), user), true))
    .description(
      "let a new witness join as a learner: it receives the log and does not count before `promote`",
    )
    .addArgument(witnessArgument("name of the new witness"))
    .action(
      async (
        witness: string,
        options: WaitOptions & PlaceOptions & { by: string; peers: readonly string[] },
      ) => {
        const accepted = await askWrite(
          {
            kind: "member_add",
            witness: witnessId(witness),
            site: options.site === undefined ? null : siteId(options.site),
            peers: options.peers,
            admin: options.admin ?? adminBeside(options.peers),
            dns: options.dns ?? null,
            by: options.by,
          },
          options,
          cli,
        );
        if (options.wait) {
          await waitForMember("add", witness, accepted, options, cli);
          return;
        }
        printAccepted(accepted, options, cli);
        cli.note(startHint(witness));
        cli.note(
          `when \`pointsman members\` shows that it has caught up: pointsman members promote ${witness}`,
        );
      },
    );
}

function registerPromote(members: Command, cli: Cli, user: string): void {
  withWait(withBy(withWriteOptions(members.command("promote")), user))
    .description("let a learner that has caught up vote")
    .addArgument(witnessArgument("name of the learner"))
    .action(async (witness: string, options: WaitOptions & { by: string }) => {
      const accepted = await askWrite(
        { kind: "member_promote", witness: witnessId(witness), by: options.by },
        options,
        cli,
      );
      if (options.wait) {
        await waitForMember("promote", witness, accepted, options, cli);
        return;
      }
      printAccepted(accepted, options, cli);
      cli.note(documentHint);
    });
}

function registerRemove(members: Command, cli: Cli, user: string): void {
  withBy(withWriteOptions(members.command("remove")), user)
    .description("let a witness leave; of one that is being replaced, the replacement is called off")
    .addArgument(witnessArgument("name of the witness"))
    .option("--force", "although too few living voters are left to decide anything", false)
    .action(async (witness: string, options: WriteOptions & { by: string; force: boolean }) => {
      const { by, force } = options;
      const accepted = await askWrite(
        { kind: "member_remove", witness: witnessId(witness), force, by },
        options,
        cli,
      );
      printAccepted(accepted, options, cli);
      cli.note(`stop its process if it still runs; ${documentHint}`);
    });
}

function registerReplace(members: Command, cli: Cli, user: string): void {
  withWait(withPlace(withBy(withWriteOptions(members.command("replace")), user), false))
    .description(
      "let a new, empty machine or disk take the place of a lost witness; it votes by itself when ready",
    )
    .addArgument(witnessArgument("name of the lost witness"))
    .addOption(
      new Option(
        "--successor <witness>",
        "another name for the new one; then the old one may be alive",
      ).argParser(parseName),
    )
    .option("--force", "although the old one seems alive, or too few voters do", false)
    .action(
      async (
        witness: string,
        options: WaitOptions & PlaceOptions & { by: string; force: boolean; successor?: string },
      ) => {
        const { successor, site, peers, admin, dns, force, by } = options;
        const name = successor ?? witness;
        const accepted = await askWrite(
          {
            kind: "member_replace",
            witness: witnessId(witness),
            successor: successor === undefined ? null : witnessId(successor),
            site: site === undefined ? null : siteId(site),
            peers: peers ?? [],
            admin: admin ?? null,
            dns: dns ?? null,
            force,
            by,
          },
          options,
          cli,
        );
        if (options.wait) {
          await waitForMember("replace", name, accepted, options, cli);
          return;
        }
        printAccepted(accepted, options, cli);
        cli.note(startHint(name));
        cli.note("it votes by itself when it has caught up: see pointsman members");
      },
    );
}

function witnessArgument(description: string): Argument {
  return new Argument("<witness>", description).argParser(parseName);
}

/** Adds the addresses of a new member; for `add` the peers must be said. */
function withPlace(command: Command, required: boolean): Command {
  return command
    .addOption(
      new Option(
        "--peers <host:port>",
        "where the other witnesses reach it; several, one a carrier, apart by commas",
      )
        .argParser(parseAddresses)
        .makeOptionMandatory(required),
    )
    .addOption(new Option("--site <site>", "the site that it stands at").argParser(parseName))
    .addOption(
      new Option("--admin <host:port>", "its admin API; by default port 7401 beside the first peer address"),
    )
    .addOption(new Option("--dns <host:port>", "its name server, if it has one"));
}

function withWait(command: Command): Command {
  return command
    .option(
      "--wait",
      "wait until it has caught up (add) or votes (promote, replace), and tell how far it is",
      false,
    )
    .addOption(
      new Option("--wait-timeout <duration>", "with --wait: stop waiting after so long; the change goes on")
        .argParser(parseDuration)
        .default(1_800_000, "30m"),
    );
}

function adminBeside(peers: readonly string[]): string {
  const [first = ""] = peers;
  return `${first.slice(0, first.lastIndexOf(":"))}:${ADMIN_PORT}`;
}

function startHint(witness: string): string {
  return `now start it on its machine: pointsman run --config FILE --witness ${witness} --data EMPTY_DIRECTORY`;
}

const documentHint =
  'then list the witnesses in the document as `pointsman members` shows them, raise "version", and copy it to all';
