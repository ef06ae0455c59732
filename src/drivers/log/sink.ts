/**
 * Where log lines go: a file descriptor that never makes the process wait for its reader.
 *
 * The stock destinations do not fit a process that others depend on. A synchronous one stops the event loop
 * for as long as the reader of a pipe stalls, and a witness that stops is a witness lost; sonic-boom's
 * asynchronous one never ends its flush at exit on a full disk (tried: 4.2.1, /dev/full). Here pipes and
 * sockets are made non-blocking, so a write happens at once or not at all; what the reader does not take
 * waits in a bounded buffer, then is dropped and counted. Files and terminals are written synchronously. No
 * error gets out: a log on a full disk is silent, and the process lives.
 */
import { constants, fstatSync, openSync, writeSync } from "node:fs";
import { Socket } from "node:net";

/** More than this is dropped while the reader stalls. Unit: bytes. */
const BUFFER_BYTES_MAX = 4 * 1024 * 1024;
const RETRY_MS = 20;
/** How long the process's exit waits for a slow reader. Unit: ms. */
const EXIT_PATIENCE_MS = 500;

/** A sink of whole lines. */
export class LineSink {
  readonly #fd: number;
  /** Waiting, oldest first; the first may be the rest of a line. */
  readonly #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #dropped = 0;
  #retry: NodeJS.Timeout | null = null;

  constructor(fd: number) {
    this.#fd = nonBlocking(fd);
    process.on("exit", () => this.#drainAtExit());
  }

  /** Takes a line with its line end. Never throws; waits for no reader of a pipe. */
  write(line: string): void {
    const bytes = Buffer.from(line);
    if (this.#waitingBytes + bytes.length > BUFFER_BYTES_MAX) {
      this.#dropped++;
      return;
    }
    this.#push(bytes);
    if (this.#retry === null) this.#drain();
  }

  #push(bytes: Buffer): void {
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
  }

  /** Writes what it can; sees to it that the rest is tried again. */
  #drain(): void {
    this.#retry = null;
    if (this.#writeAll()) return;
    this.#retry = setTimeout(() => this.#drain(), RETRY_MS).unref();
  }

  /** False when the reader takes no more at this moment. */
  #writeAll(): boolean {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      let written = next.length;
      try {
        written = writeSync(this.#fd, next);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "EAGAIN") return false;
        // A full disk, a closed pipe: the line is lost, the next one tries again.
        this.#dropped++;
      }
      this.#waitingBytes -= written;
      if (written < next.length) this.#waiting[0] = next.subarray(written);
      else this.#waiting.shift();
      if (this.#waiting.length === 0 && this.#dropped > 0) this.#tellDropped();
    }
    return true;
  }

  #tellDropped(): void {
    const msg = "log lines were lost: the reader stalled, or the disk was full";
    const line = { level: "warn", time: new Date().toISOString(), lost: this.#dropped, msg };
    try {
      writeSync(this.#fd, `${JSON.stringify(line)}\n`);
      this.#dropped = 0;
    } catch {
      // Still no room: the count stands.
    }
  }

  #drainAtExit(): void {
    const untilMs = performance.now() + EXIT_PATIENCE_MS;
    const nap = new Int32Array(new SharedArrayBuffer(4));
    while (!this.#writeAll() && performance.now() < untilMs) Atomics.wait(nap, 0, 0, RETRY_MS);
  }
}

/** Never collected: a stream that goes closes its descriptor. */
const held: Socket[] = [];

/** A descriptor of the same pipe or socket that does not block; the descriptor itself where that cannot be had. */
function nonBlocking(fd: number): number {
  try {
    const stat = fstatSync(fd);
    if (stat.isFIFO()) return openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK);
    // A socket (journald, a parent that is node) cannot be opened again. Taking it into a stream sets the
    // flag, which is all that is wanted of the stream.
    if (stat.isSocket())
      held.push(new Socket({ fd, readable: false, writable: true }).on("error", () => {}).unref());
  } catch {
    // Then it blocks, as for every other program.
  }
  return fd;
}
