/**
 * Turns audit records into lines for a person who watches: what belongs together is told once. Observations
 * that came with one log entry are one line, unless something is down: that is told in full. A step is told
 * when it ends; that it began, only when it takes its time.
 */
import type { AuditRecord } from "../../core/model/state.js";
import { wrap } from "../render-table.js";
import { type Paint, printable } from "../terminal.js";

const FLUSH_MS = 100;
/** A step that has not ended after so long is told as begun. Unit: ms. */
const SLOW_STEP_MS = 400;
/** Width of "+12.3s  ": where a sentence begins, and goes on in the next line. */
const MARGIN = 9;

export class Narrator {
  private readonly say: (line: string) => void;
  private readonly paint: Paint;
  private readonly startedAtMs: number;
  private readonly width: () => number;
  private waiting: AuditRecord[] = [];
  private timer: NodeJS.Timeout | null = null;
  private slowStep: NodeJS.Timeout | null = null;

  /** `width`: columns of the terminal at this moment. */
  constructor(say: (line: string) => void, paint: Paint, startedAtMs: number, width: () => number) {
    this.say = say;
    this.paint = paint;
    this.startedAtMs = startedAtMs;
    this.width = width;
  }

  onRecord(record: AuditRecord): void {
    if (this.waiting[0] !== undefined && this.waiting[0].index !== record.index) this.flush();
    if (isQuiet(record)) {
      this.waiting.push(record);
      this.timer ??= setTimeout(() => this.flush(), FLUSH_MS);
      return;
    }
    this.flush();
    if (this.slowStep !== null) clearTimeout(this.slowStep);
    this.slowStep = null;
    if (record.kind === "step_begun") {
      this.slowStep = setTimeout(() => this.tell(record), SLOW_STEP_MS);
      return;
    }
    this.tell(record);
  }

  /** Tells what still waits. */
  flush(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    const [first, ...more] = this.waiting;
    this.waiting = [];
    if (first === undefined) return;
    this.tell(first, more.length === 0 ? "" : ` and ${more.length} more`);
  }

  /** Tells what still waits, and nothing more by itself. */
  end(): void {
    this.flush();
    if (this.slowStep !== null) clearTimeout(this.slowStep);
    this.slowStep = null;
  }

  private tell(record: AuditRecord, more = ""): void {
    const at = `+${((record.wallMs - this.startedAtMs) / 1000).toFixed(1)}s`.padStart(MARGIN - 2);
    const colour = colourOf(record, this.paint);
    const [first = "", ...rest] = wrap(sentence(record) + more, this.width() - MARGIN);
    this.say(`${this.paint.dim(at)}  ${colour(first)}`);
    for (const line of rest) this.say(`${" ".repeat(MARGIN)}${colour(line)}`);
  }
}

/** A step's record names the whole plan; for who has just read which plan it is, the step is enough. */
function sentence(record: AuditRecord): string {
  const text = printable(record.message);
  if (record.kind !== "step_begun" && record.kind !== "step_finished") return text;
  return `  ${text.slice(text.indexOf("): ") + 3)}`;
}

/** Good news, and no opinion, come in heaps. */
function isQuiet(record: AuditRecord): boolean {
  return record.kind === "observation" && !record.message.includes(" seen down ");
}

function colourOf(record: AuditRecord, paint: Paint): (text: string) => string {
  switch (record.kind) {
    case "decision":
      return paint.bold;
    case "grant":
    case "plan_done":
      return paint.green;
    case "plan_failed":
    case "plan_rolled_back":
      return paint.red;
    case "observation":
      return record.message.includes(" seen down ") ? paint.red : String;
    case "note":
    case "hold":
      return paint.yellow;
    default:
      return String;
  }
}
