/**
 * Turns audit records into lines for a person who watches: what belongs together is told once. Observations that came with
 * one log entry are one line a site, unless something is down: that is told in full.
 */
import type { AuditRecord } from "../../core/model/state.js";
import { type Paint, printable } from "../terminal.js";

const FLUSH_MS = 100;

export class Narrator {
  private readonly say: (line: string) => void;
  private readonly paint: Paint;
  private readonly startedAtMs: number;
  private waiting: AuditRecord[] = [];
  private timer: NodeJS.Timeout | null = null;

  constructor(say: (line: string) => void, paint: Paint, startedAtMs: number) {
    this.say = say;
    this.paint = paint;
    this.startedAtMs = startedAtMs;
  }

  onRecord(record: AuditRecord): void {
    if (this.waiting[0] !== undefined && this.waiting[0].index !== record.index) this.flush();
    if (isQuiet(record)) {
      this.waiting.push(record);
      this.timer ??= setTimeout(() => this.flush(), FLUSH_MS);
      return;
    }
    this.flush();
    this.tell(record, printable(record.message));
  }

  /** Tells what still waits. */
  flush(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    const [first, ...more] = this.waiting;
    this.waiting = [];
    if (first === undefined) return;
    const text = printable(first.message);
    this.tell(first, more.length === 0 ? text : `${text}; and ${more.length} more like it`);
  }

  private tell(record: AuditRecord, text: string): void {
    const at = `+${((record.wallMs - this.startedAtMs) / 1000).toFixed(1)}s`.padStart(7);
    this.say(`${this.paint.dim(at)}  ${colour(record, this.paint)(text)}`);
  }
}

/** A target that is seen up is good news, and comes in heaps. */
function isQuiet(record: AuditRecord): boolean {
  return record.kind === "observation" && record.message.includes(" seen up ");
}

function colour(record: AuditRecord, paint: Paint): (text: string) => string {
  switch (record.kind) {
    case "decision":
      return paint.bold;
    case "grant":
    case "plan_done":
      return paint.green;
    case "plan_failed":
    case "plan_rolled_back":
      return paint.red;
    case "note":
    case "hold":
      return paint.yellow;
    default:
      return String;
  }
}
