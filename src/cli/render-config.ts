/**
 * `pointsman config check` in words: errors with `file:line:column: path: …` as compilers write it, then
 * warnings; then what the timings promise for each group.
 */
import type { WitnessId } from "../core/base/ids.js";
import type { FailoverBound } from "../drivers/config/bound.js";
import { type ConfigProblem, formatProblem } from "../drivers/config/problem.js";
import { plural, span } from "./render-words.js";
import { type Paint, printable } from "./terminal.js";

/** The whole result of a check; also its JSON form. */
export interface ConfigCheck {
  readonly ok: boolean;
  readonly file: string;
  /** These three are null when there are errors. */
  readonly cluster: string | null;
  readonly version: number | null;
  readonly hash: string | null;
  readonly errors: readonly ConfigProblem[];
  readonly warnings: readonly {
    readonly code: string;
    readonly path: string;
    /** 1-based; 0: the file as a whole. */
    readonly line: number;
    readonly message: string;
    readonly remedy: string;
  }[];
  readonly groups: readonly { readonly group: string; readonly bound: FailoverBound }[];
  /** Measured with --probe-rtt, one an address. */
  readonly roundTrips: readonly {
    readonly from: WitnessId;
    readonly to: WitnessId;
    readonly address: string;
    readonly rttMs: number | null;
    readonly problem: string | null;
  }[];
}

/** The lines of a check. */
export function renderConfigCheck(result: ConfigCheck, paint: Paint): string {
  const check = printable(result);
  const lines: string[] = [];
  for (const error of check.errors) lines.push(`${paint.red("error")}    ${formatProblem(error)}`);
  for (const warning of check.warnings) {
    const place = warning.line === 0 ? check.file : `${check.file}:${warning.line}`;
    lines.push(
      `${paint.yellow("warning")}  ${place}: ${warning.path}: ${warning.message} [${warning.code}]. ${warning.remedy}`,
    );
  }
  for (const trip of check.roundTrips) {
    const found =
      trip.rttMs === null ? paint.red(trip.problem ?? "no answer") : `${trip.rttMs.toFixed(1)} ms`;
    lines.push(`round trip to ${trip.to} at ${trip.address}: ${found}`);
  }
  for (const { group, bound } of check.groups) lines.push(...boundLines(group, bound));
  const counts = `${plural(check.errors.length, "error")}, ${plural(check.warnings.length, "warning")}`;
  lines.push(
    check.ok
      ? `${paint.green("ok")}  ${check.file}: cluster ${check.cluster}, version ${check.version} (${counts})`
      : `${paint.red("refused")}  ${check.file}: ${counts}`,
  );
  return lines.join("\n");
}

function boundLines(group: string, bound: FailoverBound): string[] {
  const parts = [
    `detect ${span(bound.detectMs)}, a killed service ${span(bound.detectKilledMs)}`,
    `agree ${span(bound.agreeMs)}`,
    ...(bound.fenceMs > 0 ? [`fence ${span(bound.fenceMs)}`] : []),
    ...(bound.promoteMs > 0 ? [`promote ${span(bound.promoteMs)}`] : []),
    `route ${span(bound.routeMs)}`,
  ];
  return [
    `group ${group}: a failover takes at most ${span(bound.totalMs)} (${parts.join(" + ")}),`,
    `  ${span(bound.totalWithElectionMs)} when the leader is lost with the site; then caches may hold the old answer for ${span(bound.cacheMs)}`,
  ];
}
