/**
 * Runs one command of the operator's and always comes back: for exec probes and for the hooks of a plan.
 *
 * A command is a program and its arguments, never a shell line. It gets a process group of its own, so that what it
 * forked can be ended with it, and only the environment that the caller hands in: the witness's own holds secrets.
 * The promise ends by `timeoutMs` plus half a second at the latest, whatever the command does: one that ignores
 * SIGTERM is killed, one whose grandchildren keep its output open is not waited for, one that cannot even be killed
 * (uninterruptible sleep) is left behind. A process that leaves the group on purpose (setsid) outlives it.
 *
 * It never rejects: how a command can end is data, and the caller decides what it means. A command that timed out or
 * was aborted may have done its work.
 */
import { type ChildProcess, spawn } from "node:child_process";

export interface CommandOptions {
  /** Program and arguments, at least the program. Looked up in the PATH of `env`. */
  readonly command: readonly string[];
  /** The whole environment of the command; `baseEnvironment()` is a start. */
  readonly env: Readonly<Record<string, string>>;
  /** Written to its standard input as one line of JSON; left out: the input is empty. */
  readonly stdinJson?: unknown;
  /** By then it has ended or has been killed with its group. */
  readonly timeoutMs: number;
  /**
   * So long before the end of the time, and so long after an abort before SIGKILL, SIGTERM is sent. Default
   * 0: none.
   */
  readonly graceMs?: number;
  /** Ends the command early, as the timeout does. */
  readonly signal?: AbortSignal;
  /** The last so many bytes of standard output and error, mixed as they came, are kept. Default 4096. */
  readonly outputLimit?: number;
  /**
   * What the command leaves running in its group after it ended well: `keep` (a hook may start a daemon) or `kill`
   * (nothing of a probe outlives it). After a timeout or an abort the group is killed in any case. Default `keep`.
   */
  readonly leftovers?: "keep" | "kill";
}

/**
 * How a command ended. At most one of `exitCode`, `signal` and `spawnError` is set; none when it could not be
 * killed.
 */
export interface CommandResult {
  readonly exitCode: number | null;
  readonly signal: string | null;
  /** Its time ran out and it was told to end; with a grace it may have ended by itself then, and has an `exitCode`. */
  readonly timedOut: boolean;
  readonly aborted: boolean;
  /** The last `outputLimit` bytes of what it wrote, as text. */
  readonly output: string;
  /** True when more was written than is kept. */
  readonly outputCut: boolean;
  /** How much it wrote in all, as far as it was waited for. */
  readonly outputBytes: number;
  readonly durationMs: number;
  /** It never ran: no such program, not executable, out of processes. Code as node names it, such as ENOENT. */
  readonly spawnError: { readonly code: string; readonly message: string } | null;
}

/** How long after its end a command's output is waited for when something still holds it open. */
const DRAIN_MS = 50;
/** How long a killed command may take to be gone before it is left behind. */
const ABANDON_MS = 400;

/** The few variables that programs need and that hold no secret. `extra` is added to them. */
export function baseEnvironment(extra: Readonly<Record<string, string>> = {}): Record<string, string> {
  const env: Record<string, string> = {};
  for (const name of ["PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR"]) {
    const value = process.env[name];
    if (value !== undefined) env[name] = value;
  }
  return { ...env, ...extra };
}

/** Runs the command to its end, or to the end of its time. Never rejects. */
export function runCommand(options: CommandOptions): Promise<CommandResult> {
  return new Promise((resolve) => {
    new Run(options, resolve).start();
  });
}

class Run {
  readonly #options: CommandOptions;
  readonly #resolve: (result: CommandResult) => void;
  readonly #tail: Tail;
  readonly #startedAt = performance.now();
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #onAbort = (): void => this.#stop("aborted");
  #child: ChildProcess | null = null;
  #ended: { exitCode: number | null; signal: string | null } | null = null;
  #timedOut = false;
  #aborted = false;
  #done = false;

  constructor(options: CommandOptions, resolve: (result: CommandResult) => void) {
    this.#options = options;
    this.#resolve = resolve;
    this.#tail = new Tail(options.outputLimit ?? 4096);
  }

  start(): void {
    const { command, env, signal, timeoutMs, graceMs = 0 } = this.#options;
    const [program, ...args] = command;
    if (signal?.aborted) {
      this.#aborted = true;
      this.#finish(null);
      return;
    }
    if (program === undefined) {
      this.#finish({ code: "EINVAL", message: "the command is empty" });
      return;
    }
    let child: ChildProcess;
    try {
      child = spawn(program, args, { env: { ...env }, stdio: ["pipe", "pipe", "pipe"], detached: true });
    } catch (error) {
      this.#finish(describeSpawnError(error));
      return;
    }
    this.#child = child;
    child.on("error", (error) => {
      // Also raised when a kill fails; only a child without a process id never ran.
      if (child.pid === undefined) this.#finish(describeSpawnError(error));
    });
    child.on("exit", (exitCode, exitSignal) => this.#onExit(exitCode, exitSignal));
    child.on("close", () => this.#finish(null));
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on("data", (chunk: Buffer) => this.#tail.push(chunk));
      stream?.on("error", () => {});
    }
    // A command that does not read its input closes the pipe under our hands; that is its right.
    child.stdin?.on("error", () => {});
    const { stdinJson } = this.#options;
    child.stdin?.end(stdinJson === undefined ? "" : `${JSON.stringify(stdinJson)}\n`);

    if (graceMs > 0) {
      this.#after(Math.max(0, timeoutMs - graceMs), () => {
        if (this.#ended !== null) return;
        this.#timedOut = true;
        this.#signalGroup("SIGTERM");
      });
    }
    this.#after(timeoutMs, () => this.#stop("timedOut"));
    signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  #stop(why: "timedOut" | "aborted"): void {
    if (this.#done || this.#ended !== null) return;
    if (why === "timedOut") this.#timedOut = true;
    else this.#aborted = true;
    const graceMs = why === "aborted" ? (this.#options.graceMs ?? 0) : 0;
    if (graceMs > 0) this.#signalGroup("SIGTERM");
    this.#after(graceMs, () => {
      this.#signalGroup("SIGKILL");
      this.#after(ABANDON_MS, () => this.#finish(null));
    });
  }

  #onExit(exitCode: number | null, signal: string | null): void {
    if (this.#done) return;
    this.#ended = { exitCode, signal };
    // The group outlives its leader while a grandchild is in it. The id is still its own then; when the group is
    // empty the kill finds nothing.
    if (this.#timedOut || this.#aborted || this.#options.leftovers === "kill") this.#signalGroup("SIGKILL");
    this.#after(DRAIN_MS, () => this.#finish(null));
  }

  #after(ms: number, action: () => void): void {
    if (ms <= 0) action();
    else this.#timers.push(setTimeout(() => !this.#done && action(), ms));
  }

  #signalGroup(signal: "SIGTERM" | "SIGKILL"): void {
    const pid = this.#child?.pid;
    if (pid === undefined) return;
    try {
      process.kill(-pid, signal);
    } catch {
      // Gone already, or now another user's (setuid program): nothing more that we may do.
    }
  }

  #finish(spawnError: CommandResult["spawnError"]): void {
    if (this.#done) return;
    this.#done = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
    const child = this.#child;
    for (const stream of [child?.stdin, child?.stdout, child?.stderr]) stream?.destroy();
    child?.unref();
    this.#resolve({
      exitCode: this.#ended?.exitCode ?? null,
      signal: this.#ended?.signal ?? null,
      timedOut: this.#timedOut,
      aborted: this.#aborted,
      output: this.#tail.text(),
      outputCut: this.#tail.cut,
      outputBytes: this.#tail.total,
      durationMs: performance.now() - this.#startedAt,
      spawnError,
    });
  }
}

/** The end of a stream of bytes: never holds more than twice `limit`. */
class Tail {
  readonly #limit: number;
  #bytes: Buffer = Buffer.alloc(0);
  cut = false;
  total = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  push(chunk: Buffer): void {
    this.total += chunk.length;
    if (this.total > this.#limit) this.cut = true;
    const kept = chunk.subarray(Math.max(0, chunk.length - this.#limit));
    const bytes = Buffer.concat([this.#bytes, kept]);
    this.#bytes = bytes.subarray(Math.max(0, bytes.length - this.#limit));
  }

  text(): string {
    // A cut may fall inside a character; its remains at the front are dropped.
    let start = 0;
    if (this.cut) while (start < 3 && ((this.#bytes[start] ?? 0) & 0xc0) === 0x80) start++;
    return this.#bytes.subarray(start).toString("utf8");
  }
}

function describeSpawnError(error: unknown): { code: string; message: string } {
  const code = (error as NodeJS.ErrnoException)?.code ?? "UNKNOWN";
  return { code, message: error instanceof Error ? error.message : String(error) };
}
