/**
 * Audit records and watch messages as lines: time, place in the log, group, epoch, kind, sentence; details below.
 */
import type { AuditRecord } from "../core/model/state.js";
import type { WatchMessage } from "../drivers/server/admin-wire.js";
import { columns } from "./render-table.js";
import { instant } from "./render-words.js";
import { type Paint, printable } from "./terminal.js";

/** A table of records, oldest first; with `details` the evidence and output of each below it. */
export function renderRecords(
  records: readonly AuditRecord[],
  options: { readonly details: boolean; readonly paint: Paint },
): string[] {
  const clean = printable(records);
  const lines = columns(
    clean.map((record) => [
      { text: instant(record.wallMs), paint: options.paint.dim },
      { text: `#${record.index}.${record.seq}`, paint: options.paint.dim },
      record.group ?? "-",
      record.epoch === null ? "-" : `e${record.epoch}`,
      { text: record.kind, paint: kindPaint(record, options.paint) },
      record.message,
    ]),
  );
  if (!options.details) return lines;
  return lines.flatMap((line, at) => [line, ...(clean[at]?.detail ?? []).map((text) => `    ${text}`)]);
}

/** One line (and details) for a message of a watch; null for `started`, which has its own remark. */
export function renderWatchMessage(
  message: WatchMessage,
  options: { readonly details: boolean; readonly paint: Paint; readonly nowWallMs: number },
): string | null {
  const { paint } = options;
  const aside = (kind: string, text: string) =>
    `${paint.dim(instant(options.nowWallMs))}  ${paint.dim("-")}  ${kind}  ${text}`;
  const clean = printable(message);
  switch (clean.kind) {
    case "started":
      return null;
    case "audit":
      return renderRecords([clean.record], options).join("\n");
    case "role":
      return aside(
        "role",
        `this witness is ${clean.role} in term ${clean.term}, leader ${clean.leader ?? "unknown"}`,
      );
    case "routed":
      return aside("routed", `the names of ${clean.group} point at ${clean.site}`);
    case "warning":
      return aside(paint.yellow("warning"), `${clean.message} [${clean.code}]`);
  }
}

function kindPaint(record: AuditRecord, paint: Paint): (text: string) => string {
  switch (record.kind) {
    case "decision":
    case "grant":
    case "plan_done":
      return paint.cyan;
    case "plan_failed":
    case "plan_rolled_back":
      return paint.red;
    case "hold":
    case "resume":
    case "note":
      return paint.yellow;
    default:
      return (text) => text;
  }
}
