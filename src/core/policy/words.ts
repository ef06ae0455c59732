/**
 * Evidence in words: what each witness says of each target, one line each, the same in status, audit and notes.
 */
import type { SiteVerdict, TargetVerdict } from "../model/observation.js";

/** A duration for people: `850 ms`, `12.3 s`, `4 min 10 s`, `3 h 12 min`. */
export function duration(ms: number): string {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 60_000) return `${(Math.floor(ms / 100) / 10).toString()} s`;
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 60) return `${minutes} min ${Math.floor((ms % 60_000) / 1000)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Names in a row, `nobody` for none. */
export function names(list: readonly string[]): string {
  return list.length === 0 ? "nobody" : list.join(", ");
}

/** All evidence on a site: a line on each target, and one on each witness that sees it down. */
export function siteEvidence(verdict: SiteVerdict, nowMs: number): string[] {
  return verdict.targets.flatMap((target) => [
    targetLine(target, nowMs),
    ...target.reasons.map(({ witness, text }) => `${target.target}: ${witness} sees it down: ${text}`),
  ]);
}

/** One line: the verdict on a target, since when, and who says what. */
function targetLine(target: TargetVerdict, nowMs: number): string {
  const since = target.sinceMs === null ? "" : ` for ${duration(nowMs - target.sinceMs)}`;
  const optional = target.required ? "" : " (not required)";
  const verdict = target.verdict === "unknown" ? "not judged by a majority" : `${target.verdict}${since}`;
  const sides = [
    target.up.length === 0 ? "" : `up: ${names(target.up)}`,
    target.down.length === 0 ? "" : `down: ${names(target.down)}`,
    target.unknown.length === 0 ? "" : `no opinion or not heard: ${names(target.unknown)}`,
  ].filter((side) => side !== "");
  return `${target.target}${optional}: ${verdict}; ${sides.join("; ")}`;
}

/** Why a site has the verdict that it has, short enough for the middle of a sentence. */
export function siteBecause(verdict: SiteVerdict): string {
  const telling = verdict.targets.filter((target) => target.required && target.verdict === verdict.verdict);
  if (verdict.verdict === "up" || telling.length === 0) return verdict.verdict;
  const said = telling.map((target) => ({
    id: target.target.split("/").at(-1) ?? target.target,
    by: verdict.verdict === "down" ? `seen down by ${names(target.down)}` : dividedWords(target),
  }));
  // Targets of which the same is said are named together: a silent witness is silent on all of them.
  const ways = [...new Set(said.map(({ by }) => by))];
  return ways
    .map((by) => {
      const ids = said.filter((one) => one.by === by).map(({ id }) => id);
      return verdict.verdict === "down"
        ? `${ids.join(", ")} ${ids.length === 1 ? "is" : "are"} ${by}`
        : `${ids.join(", ")}: ${by}`;
    })
    .join("; ");
}

/** Who says what of a target that no majority judges. */
function dividedWords({ up, down, unknown }: TargetVerdict): string {
  return [
    up.length === 0 ? "" : `up for ${names(up)}`,
    down.length === 0 ? "" : `down for ${names(down)}`,
    unknown.length === 0 ? "" : `no opinion, or no word, from ${names(unknown)}`,
  ]
    .filter((side) => side !== "")
    .join(", ");
}
