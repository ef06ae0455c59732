/**
 * Asks for the members, at the leader if it can be reached, and waits for a change of them to come to its end.
 *
 * Any witness knows who the members are; only the leader knows how far each one is. So the first answer says
 * where the leader is, and that one is asked too; if it cannot be reached from here, the first answer stands.
 * Waiting looks again and again, as the switchover does: each answer is complete, whoever leads by then.
 */
import type { MemberReport, MembersReport } from "../core/model/admin.js";
import type { AcceptedResponse } from "../drivers/server/admin-wire.js";
import { printAccepted } from "./accepted.js";
import { askRequest } from "./ask.js";
import type { ClientOptions, WriteOptions } from "./client-options.js";
import { CliError, EXIT } from "./exit-codes.js";
import { isReady, progressWords } from "./render-members.js";
import { span } from "./render-words.js";
import { type Cli, printable } from "./terminal.js";

/** Options of the verbs that can wait. */
export interface WaitOptions extends WriteOptions {
  readonly wait: boolean;
  readonly waitTimeout: number;
}

/** The changes that take long. */
export type WaitedChange = "add" | "promote" | "replace";

const LOOK_EVERY_MS = 500;
/** The longest that the leader is waited for when another witness has answered already. */
const LEADER_TIMEOUT_MS = 2_000;

/** Who takes part: from the leader if it is in reach, else from the first witness that answers. */
export async function askMembers(
  options: Pick<ClientOptions, "address" | "timeout">,
  note: (text: string) => void,
): Promise<MembersReport> {
  const first = await askOnce(options, note);
  const at = first.members.findLast(({ member }) => member.node === first.leaderNode)?.member.admin;
  if (first.leader === null || first.leader === first.witness || at === undefined) return first;
  const timeout = Math.min(options.timeout, LEADER_TIMEOUT_MS);
  const second = await askOnce({ address: [at], timeout }, () => undefined).catch((error: unknown) => {
    if (error instanceof CliError) return first;
    throw error;
  });
  // An admin address such as 0.0.0.0 may lead anywhere.
  return second.witness === first.leader ? second : first;
}

async function askOnce(
  options: Pick<ClientOptions, "address" | "timeout">,
  note: (text: string) => void,
): Promise<MembersReport> {
  const { answer } = await askRequest(options, note, { kind: "members" });
  if (answer.kind !== "members")
    throw new CliError(EXIT.internal, "internal", `got ${answer.kind} for members`);
  return answer.report;
}

/** Waits until the accepted change of `witness` is at its end; throws `CliError` when it does not get there. */
export async function waitForMember(
  change: WaitedChange,
  witness: string,
  accepted: AcceptedResponse,
  options: WaitOptions,
  cli: Cli,
): Promise<void> {
  if (!options.json) printAccepted(accepted, options, cli);
  const endAt = Date.now() + options.waitTimeout;
  let node: number | null = null;
  let told = "";
  let silent = false;
  const tell = (words: string): void => {
    if (!options.json && words !== told) cli.out(printable(`  ${words}`));
    told = words;
  };
  while (Date.now() < endAt) {
    const report = await look(options, (message) => {
      if (!silent) cli.note(`${message}; the change goes on, looking again`);
      silent = true;
    });
    if (report !== null) silent = false;
    if (report !== null && report.appliedIndex >= accepted.index) {
      // The newest of that name when the change was first seen applied is the one that it is about.
      node ??= report.members.findLast(({ member }) => member.witness === witness)?.member.node ?? null;
      const found = report.members.find(({ member }) => member.node === node);
      if (found === undefined) throw calledOff(witness, accepted, report);
      if (isAtEnd(change, found, report)) {
        finish(change, found, accepted, options, cli);
        return;
      }
      tell(words(found, report));
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
  throw new CliError(
    EXIT.unknown,
    "still_running",
    `${witness} was not there after ${span(options.waitTimeout)} (${told || "nothing was seen of it"}); the change goes on: see pointsman members`,
    { index: accepted.index, node },
  );
}

/** One look; null, with a word to `onSilence`, when nobody could be asked just now. */
async function look(
  options: WaitOptions,
  onSilence: (message: string) => void,
): Promise<MembersReport | null> {
  try {
    return await askMembers(options, () => undefined);
  } catch (error) {
    if (!(error instanceof CliError) || error.exit !== EXIT.unreachable) throw error;
    onSilence(error.message);
    return null;
  }
}

function isAtEnd(change: WaitedChange, found: MemberReport, report: MembersReport): boolean {
  if (change === "add") return found.member.role === "voter" || isReady(found, report);
  return found.member.role === "voter" && !report.changeRunning;
}

function words(found: MemberReport, report: MembersReport): string {
  const { member, progress } = found;
  const who = `${member.witness} (node ${member.node})`;
  if (report.leader === null) return `${who}: no leader is known, waiting for one`;
  if (report.leader !== report.witness)
    return `${who}: the leader ${report.leader} is out of reach from here`;
  if (member.role === "voter") return `${who} votes; the change is being finished`;
  if (isReady(found, report)) return `${who} has caught up; it is about to vote`;
  const far = progressWords(progress, report.lastIndex);
  return progress?.active === true
    ? `${who}: ${far}`
    : `${who}: ${far}; on its machine: pointsman run --config FILE --witness ${member.witness} --data EMPTY_DIRECTORY`;
}

function finish(
  change: WaitedChange,
  { member }: MemberReport,
  accepted: AcceptedResponse,
  options: WaitOptions,
  cli: Cli,
): void {
  const who = `${member.witness} (node ${member.node})`;
  const message =
    member.role === "voter"
      ? `${who} votes`
      : `${who} has caught up; to let it vote: pointsman members promote ${member.witness}`;
  if (options.json) cli.json({ index: accepted.index, node: member.node, role: member.role, message });
  else cli.out(printable(message));
  if (change !== "add" && !member.inDocument) {
    cli.note(
      `now put ${member.witness} at ${member.peers.join(", ")} into the document, raise "version", and copy it to all witnesses`,
    );
  }
}

function calledOff(witness: string, accepted: AcceptedResponse, report: MembersReport): CliError {
  return new CliError(
    EXIT.unfinished,
    "called_off",
    `${witness} is no member any more: somebody removed it, see pointsman history`,
    { index: accepted.index, members: report.members.map(({ member }) => member) },
  );
}
