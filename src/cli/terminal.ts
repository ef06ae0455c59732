/**
 * Where the command prints: stdout for the answer, stderr for everything about it, colours only where a person looks.
 *
 * Colours follow the stream's terminal and NO_COLOR (https://no-color.org). A reader that goes away
 * (`pointsman history | head`) ends the command quietly instead of with a stack trace.
 */
import pc from "picocolors";

/** Colours, or the same functions without any. */
export type Paint = ReturnType<typeof pc.createColors>;

/** No colours: for tests and files. */
export const PLAIN: Paint = pc.createColors(false);

/** The world as a verb sees it. */
export interface Cli {
  /** A line or several of the answer. */
  out(text: string): void;
  /** One JSON document on one line of the answer. */
  json(value: unknown): void;
  /** A remark that is not part of the answer. */
  note(text: string): void;
  /** How far a long work is, in one line that the next one replaces. Only where a person looks at stderr. */
  progress(text: string): void;
  /** The verb has said all itself and ends with that exit code. */
  finish(exit: number): void;
  /** The code given to `finish`, or 0. */
  readonly exit: number;
  /** Colours for stdout. */
  readonly paint: Paint;
  /** Columns of the terminal at this moment; Infinity where nobody looks, so that no line is broken. */
  readonly width: number;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Aborted by Ctrl-C or SIGTERM. */
  readonly interrupted: AbortSignal;
}

/** Back to the first column, and the line is empty: ECMA-48. */
const CLEAR_LINE = "\r\u001b[K";

/** The real terminal of this process. */
export function terminal(): Cli {
  const { stdout, stderr, env } = process;
  let answering = false;
  function write(text: string): void {
    if (!answering) {
      answering = true;
      // Only once there is an answer: `run` prints none, and a witness must not end because a reader of its log did.
      stdout.on("error", (error: NodeJS.ErrnoException) => {
        if (error.code !== "EPIPE") throw error;
        process.exit(0);
      });
    }
    endProgress();
    stdout.write(text);
  }
  let progressing = false;
  /** The line of progress makes room for whatever is printed next. */
  function endProgress(): void {
    if (progressing) stderr.write(CLEAR_LINE);
    progressing = false;
  }
  const interrupted = new AbortController();
  let exit = 0;
  return {
    finish: (code) => {
      exit = code;
    },
    get exit() {
      return exit;
    },
    out: (text) => write(`${text}\n`),
    json: (value) => write(`${JSON.stringify(value)}\n`),
    note: (text) => {
      endProgress();
      stderr.write(`${text}\n`);
    },
    progress: (text) => {
      if (stderr.isTTY !== true) return;
      progressing = true;
      stderr.write(`${CLEAR_LINE}${text.slice(0, Math.max(20, stderr.columns - 1))}`);
    },
    paint: pc.createColors(wantsColour(stdout.isTTY === true, env)),
    get width() {
      return stdout.isTTY === true ? Math.max(40, stdout.columns) : Number.POSITIVE_INFINITY;
    },
    env,
    get interrupted() {
      // Only a verb that asks takes the signals over; the others end at once, as the shell expects.
      if (process.listenerCount("SIGINT") === 0) {
        process.once("SIGINT", () => interrupted.abort());
        process.once("SIGTERM", () => interrupted.abort());
      }
      return interrupted.signal;
    },
  };
}

/** Colours only on a terminal that can show them, and never against NO_COLOR. */
export function wantsColour(isTerminal: boolean, env: Readonly<Record<string, string | undefined>>): boolean {
  return isTerminal && (env["NO_COLOR"] ?? "") === "" && env["TERM"] !== "dumb";
}

const UNPRINTABLE = /[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/gu;

/**
 * The same data with every string made safe for a terminal: hook output and probe errors hold bytes of
 * strangers, and an escape sequence among them could rewrite the screen. Line breaks become spaces.
 */
export function printable<T>(data: T): T {
  return walk(data) as T;
}

function walk(data: unknown): unknown {
  if (typeof data === "string") {
    return data
      .replace(/\s*[\r\n]+\s*/g, " ")
      .replace(UNPRINTABLE, (mark) => `\\u${mark.charCodeAt(0).toString(16).padStart(4, "0")}`);
  }
  if (Array.isArray(data)) return data.map(walk);
  if (typeof data === "object" && data !== null) {
    return Object.fromEntries(Object.entries(data).map(([key, value]) => [String(walk(key)), walk(value)]));
  }
  return data;
}
