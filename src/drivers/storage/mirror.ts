/**
 * The mirror: two small files that hold the newest durable mark outside LevelDB, written in turn and synced.
 *
 * A write goes to the slot that does not hold the newest mark, so a crash in the middle spoils at most the
 * older one. When the witness has been idle for a moment, the newest mark is written to the other slot too
 * ("settling"): from then on even the loss of a whole slot file hides nothing. The files have a fixed size
 * and are overwritten in place: no directory entry changes after the first start. What the mirror proves, and
 * what it does not, is in judge.ts.
 */
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { dirname } from "node:path";
import { syncDirectory } from "./files.js";
import { MARK_LENGTH } from "./mark.js";
import { storageError } from "./storage-error.js";

/** Which of the two files. */
export type Slot = 0 | 1;

/** The open mirror of one data directory. Calls must not overlap. */
export class Mirror {
  readonly #paths: readonly [string, string];
  readonly #handles: readonly [FileHandle, FileHandle];
  #next: Slot = 0;

  private constructor(paths: readonly [string, string], handles: readonly [FileHandle, FileHandle]) {
    this.#paths = paths;
    this.#handles = handles;
  }

  /** Opens both slots and creates what is missing. Read them with `readSlots` before. */
  static async open(paths: readonly [string, string]): Promise<Mirror> {
    // One call that returns when the bytes are durable, instead of two.
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_DSYNC;
    const first = await open(paths[0], flags, 0o600);
    try {
      const mirror = new Mirror(paths, [first, await open(paths[1], flags, 0o600)]);
      await syncDirectory(dirname(paths[0]));
      return mirror;
    } catch (thrown) {
      await first.close();
      throw storageError(thrown, "open the mirror of the hard state", paths[1]);
    }
  }

  /** Makes `mark` durable in the slot that is due. */
  async write(mark: Uint8Array): Promise<void> {
    const handle = this.#handles[this.#next];
    try {
      await handle.write(mark, 0, mark.length, 0);
    } catch (thrown) {
      throw storageError(thrown, "write the mirror of the hard state", this.#paths[this.#next]);
    }
    this.#next = this.#next === 0 ? 1 : 0;
  }

  /**
   * Makes `mark` durable in both slots, `newest` last. Also when they hold it already: after a failed sync
   * the kernel may show bytes that never reached the disk, and only a new write brings them there.
   */
  async writeBoth(mark: Uint8Array, newest: Slot): Promise<void> {
    this.#next = newest === 0 ? 1 : 0;
    await this.write(mark);
    await this.write(mark);
  }

  /** Closes both files. */
  async close(): Promise<void> {
    await this.#handles[0].close();
    await this.#handles[1].close();
  }
}

/**
 * The bytes of both slot files; null for one that is missing, or that the disk does not give back while it
 * gives back the other. A disk that gives back neither may do so after the next start: that is no loss.
 */
export async function readSlots(
  paths: readonly [string, string],
): Promise<readonly [Uint8Array | null, Uint8Array | null]> {
  const failures: unknown[] = [];
  const read = (path: string): Promise<Uint8Array | null> =>
    readSlot(path).catch((thrown: unknown) => {
      if ((thrown as { code?: unknown }).code !== "EIO") {
        throw storageError(thrown, "read the mirror of the hard state", path);
      }
      failures.push(thrown);
      return null;
    });
  const slots = [await read(paths[0]), await read(paths[1])] as const;
  if (failures.length === 2) throw storageError(failures[0], "read the mirror of the hard state", paths[0]);
  return slots;
}

async function readSlot(path: string): Promise<Uint8Array | null> {
  let handle: FileHandle;
  try {
    handle = await open(path, "r");
  } catch (thrown) {
    if ((thrown as { code?: unknown }).code === "ENOENT") return null;
    throw thrown;
  }
  try {
    const bytes = new Uint8Array(MARK_LENGTH);
    const { bytesRead } = await handle.read(bytes, 0, MARK_LENGTH, 0);
    return bytes.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}
