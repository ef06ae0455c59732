/**
 * `pointsman explain GROUP`: why the group stays or moves, in sentences.
 *
 * Four parts: what is decided at this moment and why; what each witness sees, target by target; what would
 * have to change; the latest records. Nothing is said twice: the standing's own evidence is what the
 * witnesses see. The status of the same witness, when it could be had, adds the evidence behind each opinion
 * and tells silence (stale) from distrust (abstaining).
 */
import type { Explanation, StatusReport } from "../core/model/admin.js";
import type { SiteVerdict, TargetVerdict } from "../core/model/observation.js";
import type { WitnessRecord } from "../core/model/state.js";
import { evidenceText, shortTarget } from "./render-matrix.js";
import { renderPlan } from "./render-plan.js";
import { renderRecords } from "./render-record.js";
import { fenceWords, primaryWords, standingWords, withoutHold } from "./render-status.js";
import { indent } from "./render-table.js";
import { groupWarnings } from "./render-warnings.js";
import { listed, span } from "./render-words.js";
import { type Paint, printable } from "./terminal.js";

/** The whole answer. `status`: of the same witness, or null. */
export function renderExplanation(
  answer: Explanation,
  statusReport: StatusReport | null,
  paint: Paint,
): string {
  const explanation = printable(answer);
  const status = printable(statusReport);
  const { report } = explanation;
  const { group, standing } = report;
  const nowMs = status?.clusterTimeMs ?? null;
  const title = (text: string) => paint.bold(text);
  const warnings = groupWarnings(report);

  const lines = [
    `${title(`Group ${group.id}`)}   ${primaryWords(report, paint)}   epoch ${group.ticket.epoch}   ${group.mode}   ${fenceWords(report, paint)}   ${paint.dim(`as of log ${explanation.asOfIndex}`)}`,
    ...warnings.map((warning) => paint.yellow(`! ${warning}`)),
    "",
    title(HEADING[standing.action]),
    `  ${standingWords(report)} ${paint.dim(`[${standing.code}]`)}`,
  ];
  if (group.plan !== null && nowMs !== null) {
    lines.push("", title(group.plan.status === "running" ? "The plan under way" : "The last plan"));
    lines.push(
      ...indent(renderPlan(group.plan, nowMs, paint, [...warnings, standing.message].join("\n")), 2),
    );
  }
  lines.push("", title("What the witnesses see"));
  for (const site of report.sites) {
    lines.push(
      `  ${siteWords(site, site.site === group.ticket.site && group.ticket.status === "held", nowMs)}`,
    );
    for (const target of site.targets) {
      lines.push(...indent(targetWords(target, status?.witnesses ?? null, paint), 4));
    }
  }
  lines.push("", title("What would have to change"));
  lines.push(
    ...(explanation.missing.length === 0
      ? ["  nothing: the group is about to move"]
      : explanation.missing.map((line) => `  - ${withoutHold(report, line)}`)),
  );
  lines.push("", title(`Latest records (all, with evidence: pointsman history ${group.id} --details)`));
  const recent = renderRecords(explanation.recent.slice(-RECENT), { details: false, paint });
  lines.push(...(recent.length === 0 ? ["  none"] : indent(recent, 2)));
  return lines.join("\n");
}

/** So many records: what happened just now; the rest is for `history`. */
const RECENT = 10;

const HEADING = {
  stay: "Why it stays",
  switch: "Why it moves",
  plan: "Why it waits for its plan",
} as const;

function siteWords(site: SiteVerdict, isPrimary: boolean, nowMs: number | null): string {
  const since = site.sinceMs === null || nowMs === null ? "" : ` for ${span(nowMs - site.sinceMs)}`;
  return `${site.site}${isPrimary ? " (primary)" : ""} is ${site.verdict}${since}`;
}

function targetWords(
  target: TargetVerdict,
  witnesses: readonly WitnessRecord[] | null,
  paint: Paint,
): string[] {
  const optional = target.required ? "" : ", not required";
  const lines = [`${shortTarget(target.target)}${optional}: ${verdictWords(target, witnesses)}`];
  for (const reason of target.reasons) {
    const record = witnesses?.find((candidate) => candidate.witness === reason.witness);
    const seen = record?.observations[target.target];
    const text = seen?.opinion === "down" ? evidenceText(seen.evidence) : reason.text;
    lines.push(`  ${paint.red(`${reason.witness}: ${text}`)}`);
  }
  return lines;
}

/** "up, say w1 and w2; w3 is silent (stale)". */
function verdictWords(target: TargetVerdict, witnesses: readonly WitnessRecord[] | null): string {
  const say = (who: readonly string[]) => `${who.length === 1 ? "says" : "say"} ${listed(who)}`;
  const parts: string[] = [];
  if (target.up.length > 0) parts.push(`up, ${say(target.up)}`);
  if (target.down.length > 0) parts.push(`down, ${say(target.down)}`);
  for (const witness of target.unknown) {
    const record = witnesses?.find((candidate) => candidate.witness === witness);
    if (record === undefined) parts.push(`${witness} does not know`);
    else if (record.stale) parts.push(`nothing was heard of ${witness}`);
    else if (record.abstaining) parts.push(`${witness} distrusts itself`);
    else parts.push(`${witness} does not know yet`);
  }
  const words = parts.join("; ");
  return target.verdict === "unknown" ? `${words}: no majority` : words;
}
