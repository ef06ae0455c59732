/**
 * The matrix witness × target of one group, with the evidence below each target that somebody sees down.
 *
 * A cell shows what counts, not what was last said: the opinion of a stale or abstaining witness counts as
 * unknown, so the cell says `stale` or `abstains`.
 */
import type { GroupReport } from "../core/model/admin.js";
import type { Evidence, SiteVerdict } from "../core/model/observation.js";
import type { WitnessRecord } from "../core/model/state.js";
import { type Cell, columns, indent } from "./render-table.js";
import { span } from "./render-words.js";
import type { Paint } from "./terminal.js";

/** The lines of the matrix; `nowMs` is cluster time. */
export function renderMatrix(
  report: GroupReport,
  witnesses: readonly WitnessRecord[],
  nowMs: number,
  paint: Paint,
): string[] {
  const primary = report.group.ticket.status === "held" ? report.group.ticket.site : null;
  const rows: (Cell | string)[][] = [
    ["target", "verdict", ...witnesses.map((record) => record.witness)].map((text) => ({
      text,
      paint: paint.dim,
    })),
  ];
  // Evidence lines stand between the rows of the table, under the row that they explain.
  const below = new Map<number, string[]>();
  for (const site of report.sites) {
    rows.push([{ text: site.site, paint: paint.bold }, siteCell(site, site.site === primary, nowMs, paint)]);
    for (const target of site.targets) {
      const optional = target.required ? "" : " (not required)";
      rows.push([
        `  ${shortTarget(target.target)}${optional}`,
        opinionCell(target.verdict, true, paint),
        ...witnesses.map((record) => witnessCell(record, target.target, paint)),
      ]);
      const evidence = downEvidence(witnesses, target.target, nowMs);
      if (evidence.length > 0) below.set(rows.length - 1, indent(evidence, 4));
    }
  }
  return columns(rows).flatMap((line, at) => [line, ...(below.get(at) ?? [])]);
}

function siteCell(site: SiteVerdict, isPrimary: boolean, nowMs: number, paint: Paint): Cell {
  const since = site.sinceMs === null ? "" : ` for ${span(nowMs - site.sinceMs)}`;
  const role = isPrimary ? ", primary" : "";
  const cell = opinionCell(site.verdict, true, paint);
  return { ...cell, text: `${cell.text}${since}${role}` };
}

function opinionCell(opinion: string, loud: boolean, paint: Paint): Cell {
  switch (opinion) {
    case "up":
      return { text: "up", paint: paint.green };
    case "down":
      return { text: loud ? "DOWN" : "down", paint: paint.red };
    default:
      return { text: opinion, paint: paint.yellow };
  }
}

function witnessCell(record: WitnessRecord, target: string, paint: Paint): Cell {
  if (record.stale) return { text: "stale", paint: paint.yellow };
  if (record.abstaining) return { text: "abstains", paint: paint.yellow };
  const observation = record.observations[target];
  return observation === undefined
    ? { text: "-", paint: paint.dim }
    : opinionCell(observation.opinion, false, paint);
}

/** One line for each witness whose down counts: what it saw, of which sort, how often, since when. */
function downEvidence(witnesses: readonly WitnessRecord[], target: string, nowMs: number): string[] {
  const rows: string[][] = [];
  for (const record of witnesses) {
    const observation = record.observations[target];
    if (record.stale || record.abstaining || observation?.opinion !== "down") continue;
    rows.push([
      record.witness,
      `${evidenceText(observation.evidence)}, for ${span(nowMs - observation.sinceMs)}`,
    ]);
  }
  return columns(rows);
}

/** An observation's evidence in one line. */
export function evidenceText(evidence: Evidence): string {
  const parts = [evidence.text];
  if (evidence.loss !== null && evidence.loss >= 0.01)
    parts.push(`path loses ${Math.round(evidence.loss * 100)} %`);
  return parts.join(", ");
}

/** "group/site/target" as "target"; anything else as it is. */
export function shortTarget(key: string): string {
  const parts = key.split("/");
  return parts.length === 3 ? (parts[2] ?? key) : key;
}
