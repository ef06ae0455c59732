/**
 * `pointsman members`: who takes part in the log, how far each one is, and what is under way. Pure.
 */
import type { MemberProgress, MemberReport, MembersReport } from "../core/model/admin.js";
import { isCaughtUp } from "../core/model/judge-members.js";
import type { Member } from "../core/model/members.js";
import { type Cell, columns } from "./render-table.js";
import { plural, span } from "./render-words.js";
import { type Paint, printable } from "./terminal.js";

/** The whole table, with a headline above and what needs attention below. */
export function renderMembers(report: MembersReport, paint: Paint): string {
  const clean = printable(report);
  const voters = clean.members.filter(({ member }) => member.role === "voter").length;
  const learners = clean.members.length - voters;
  const leader = clean.leader === null ? paint.red("NO LEADER") : `leader ${paint.bold(clean.leader)}`;
  const counts = `${plural(voters, "voter")}${learners === 0 ? "" : `, ${plural(learners, "learner")}`}`;
  const lines = [`${leader}   ${counts}   answered by ${clean.witness}   log ${clean.lastIndex}`];
  const warnings = memberWarnings(clean.members, clean.clusterTimeMs);
  if (clean.changeRunning) warnings.push("a change of the members is not finished; the next one has to wait");
  if (clean.leader !== clean.witness && clean.members.length > 0)
    warnings.push(
      `how far each one is, only the leader knows${clean.leader === null ? "" : `: ask ${clean.leader}`}`,
    );
  for (const warning of warnings) lines.push(paint.yellow(`! ${warning}`));
  if (clean.members.length === 0)
    lines.push("no configuration is replicated yet: the first leader does that");
  else lines.push("", ...columns(table(clean, paint)));
  return lines.join("\n");
}

function table(report: MembersReport, paint: Paint): (Cell | string)[][] {
  const head = ["witness", "node", "role", "site", "disk", "log", "peers"];
  return [
    head.map((text) => ({ text, paint: paint.dim })),
    ...report.members.map(({ member, progress }) => [
      member.witness,
      String(member.node),
      member.replaces === null ? member.role : `${member.role} for node ${member.replaces}`,
      member.site ?? "-",
      member.disk === null ? "not bound" : "bound",
      logCell(report, member, progress, paint),
      member.peers.join(", "),
    ]),
  ];
}

function logCell(
  report: MembersReport,
  member: Member,
  progress: MemberProgress | null,
  paint: Paint,
): Cell | string {
  if (member.node === report.leaderNode) return "leads";
  if (report.leader !== report.witness) return "?";
  const text = progressWords(progress, report.lastIndex);
  if (progress?.refused != null) return { text, paint: paint.red };
  return progress?.active === true ? text : { text, paint: paint.yellow };
}

/** How far a member is: "has all", "12 entries to go", "snapshot 25 % of 52.0 MB", "not heard of". */
export function progressWords(progress: MemberProgress | null, lastIndex: number): string {
  if (progress?.refused != null) return `REFUSED: ${progress.refused}`;
  if (progress === null || !progress.active) return "not heard of";
  if (progress.snapshot !== null) {
    const { confirmedBytes, totalBytes } = progress.snapshot;
    return totalBytes === null
      ? `snapshot, ${megabytes(confirmedBytes)} so far`
      : `snapshot ${percent(confirmedBytes, totalBytes)} of ${megabytes(totalBytes)}`;
  }
  const missing = Math.max(0, lastIndex - progress.match);
  if (missing === 0) return "has all";
  return missing > MISSING_FEW
    ? `${percent(progress.match, lastIndex)}, ${missing} entries to go`
    : `${plural(missing, "entry", "entries")} to go`;
}

/** Fewer entries than this are what is on its way at any moment; a share of the whole would say nothing. */
const MISSING_FEW = 1000;

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

function percent(part: number, whole: number): string {
  return `${whole === 0 ? 100 : Math.min(100, Math.floor((100 * part) / whole))} %`;
}

/** What about the members should worry somebody, or is under way; each line names the next step. */
export function memberWarnings(members: readonly MemberReport[], nowMs: number): string[] {
  return members.flatMap(({ member, progress }) => {
    const who = `${member.witness} (node ${member.node})`;
    const warnings: string[] = [];
    if (progress?.refused != null) {
      const isReplaced = members.some((other) => other.member.replaces === member.node);
      const remedy =
        member.role === "learner" || isReplaced
          ? ""
          : `; if its disk is lost: pointsman members replace ${member.witness}`;
      warnings.push(`${who} is refused (${progress.refused}): another disk speaks under its name${remedy}`);
    }
    if (member.role === "voter") return warnings;
    const age = span(nowMs - member.sinceMs);
    warnings.push(
      member.replaces === null
        ? `${who} is a learner for ${age}: it receives the log and does not count; when it has caught up: pointsman members promote ${member.witness}`
        : `${who} shall take the place of node ${member.replaces} for ${age}: by itself, when it has caught up; to call it off: pointsman members remove ${member.witness}`,
    );
    return warnings;
  });
}

/** True when a learner may be promoted: the log is there, and its disk is known. */
export function isReady({ member, progress }: MemberReport, report: MembersReport): boolean {
  return member.disk !== null && isCaughtUp(progress, report.lastIndex);
}
