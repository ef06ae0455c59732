/**
 * `pointsman status`: what an engineer at 3 am needs on one screen.
 *
 * First who answers and how old that is, then what is wrong, then each group: primary, why, plan, and what each witness
 * sees. Pure: a report and colours in, text out; every age counts from the report's own cluster time.
 */
import type { GroupReport, StatusReport } from "../core/model/admin.js";
import { renderMatrix } from "./render-matrix.js";
import { renderPlan } from "./render-plan.js";
import { indent } from "./render-table.js";
import { clusterWarnings, groupWarnings } from "./render-warnings.js";
import { span } from "./render-words.js";
import { type Paint, printable } from "./terminal.js";

/** The whole screen. */
export function renderStatus(report: StatusReport, paint: Paint): string {
  const status = printable(report);
  const lines = [headline(status, paint)];
  for (const warning of clusterWarnings(status)) lines.push(paint.yellow(`! ${warning}`));
  for (const group of status.groups) {
    lines.push("", ...renderGroup(group, status, paint));
  }
  if (status.groups.length === 0) lines.push("", "no group is configured");
  return lines.join("\n");
}

function headline(status: StatusReport, paint: Paint): string {
  const { raft } = status;
  const leader = raft.leader === null ? paint.red("NO LEADER") : `leader ${paint.bold(raft.leader)}`;
  const role = raft.role === "leader" ? "the leader" : raft.role;
  const age =
    raft.role === "leader" || status.leaderContactAgeMs === null
      ? ""
      : `, heard of the leader ${span(status.leaderContactAgeMs)} ago`;
  const config = status.configVersion === null ? "none" : String(status.configVersion);
  return [
    `cluster ${paint.bold(status.cluster)}`,
    leader,
    `term ${raft.term}`,
    `answered by ${status.witness} (${role}${age})`,
    `log ${raft.applied}`,
    `config ${config}`,
  ].join("   ");
}

function renderGroup(report: GroupReport, status: StatusReport, paint: Paint): string[] {
  const { group } = report;
  const nowMs = status.clusterTimeMs;
  const fields = [
    `GROUP ${paint.bold(group.id)}`,
    primaryWords(report, paint),
    `epoch ${group.ticket.epoch}`,
    group.mode === "hold" ? paint.yellow("HOLD") : group.mode,
    fenceWords(report, paint),
  ];
  const lines = [fields.join("   ")];
  const warnings = groupWarnings(report);
  for (const warning of warnings) lines.push(paint.yellow(`  ! ${warning}`));
  const { standing } = report;
  const why = `${standing.noteworthy ? "! " : ""}${standing.action}: ${standingWords(report)}`;
  lines.push(`  why   ${standing.noteworthy ? paint.yellow(why) : why} ${paint.dim(`[${standing.code}]`)}`);
  if (group.plan !== null) {
    const [first, ...rest] = renderPlan(group.plan, nowMs, paint, [...warnings, why].join("\n"));
    lines.push(`  plan  ${first}`, ...indent(rest, 8));
  }
  lines.push(...indent(renderMatrix(report, status.witnesses, nowMs, paint), 2));
  return lines;
}

/** Why the group stays or moves. */
export function standingWords(report: GroupReport): string {
  return withoutHold(report, report.standing.message);
}

/** A sentence without the reason of the hold, which a warning of its own tells. */
export function withoutHold({ group }: GroupReport, sentence: string): string {
  return group.holdReason === null ? sentence : sentence.replace(` (${group.holdReason})`, "");
}

/** "primary lyon", or why there is none. */
export function primaryWords(report: GroupReport, paint: Paint): string {
  const { ticket } = report.group;
  if (ticket.status === "held") return `primary ${paint.bold(ticket.site ?? "(nameless)")}`;
  return paint.red(ticket.status === "none" ? "NO PRIMARY YET" : "NO PRIMARY");
}

/** "unfenced" stands out: nothing stops the old primary from serving. */
export function fenceWords(report: GroupReport, paint: Paint): string {
  return report.fence === "none" ? paint.yellow("unfenced") : `fenced by ${report.fence}`;
}
