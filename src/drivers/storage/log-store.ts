/**
 * LevelDB, held at arm's length: opened, read as a whole, written one synced batch at a time.
 *
 * It is not trusted to have kept anything (docs/adr/0006: one flipped bit and it opens without an
 * error, shorter), so nothing is interpreted here: all rows go to judge.ts. Two of its habits are made good:
 * `sync` is false by default; and the names of its files are not synced, so a power cut
 * could take the whole newest log file away.
 */
import { statSync } from "node:fs";
import { rm } from "node:fs/promises";
import { setImmediate } from "node:timers/promises";
import { Level } from "level";
import { type LogIndex, logIndex } from "../../core/base/ids.js";
import { ENTRY_PREFIX, entryKey } from "./entry-codec.js";
import { ensureDirectory, exists, syncDirectory } from "./files.js";
import { describe, storageError } from "./storage-error.js";
import { dropTablesAside, setDamagedTablesAside } from "./table-check.js";

const IDENTITY_KEY = Uint8Array.of(0x69);
const MARK_KEY = Uint8Array.of(0x68);
/** So many deletions are put into a batch without a pause: some ms. */
const DELETIONS_AT_A_TIME = 2000;
/** Below this age a directory's time stamp cannot tell a second change from the first. Unit: ms. */
const STAMP_DOUBT_MS = 1000;

/** All that LevelDB gave back, unverified. Rows are in the order of their keys. */
export interface RawLog {
  readonly identity: string | null;
  readonly mark: Uint8Array | null;
  readonly rows: readonly (readonly [key: Uint8Array, value: Uint8Array])[];
  /** Why the reading ended early, or what should not be there; null if all was read. */
  readonly problem: string | null;
}

type Bytes = Level<Uint8Array, Uint8Array>;
/** One change of a batch; `delete` takes away the entries from `from` to `to`, both included. */
export type LogChange =
  | { readonly kind: "put"; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly kind: "delete"; readonly from: LogIndex; readonly to: LogIndex };

/** One open LevelDB. Writes must not overlap. */
export class LogStore {
  readonly #db: Bytes;
  readonly #directory: string;
  #namesSyncedMs = -1;

  private constructor(db: Bytes, directory: string) {
    this.#db = db;
    this.#directory = directory;
  }

  /** Opens what is there, or creates it empty when `create` (then nothing may be there). */
  static async open(directory: string, create: boolean): Promise<LogStore> {
    const db: Bytes = new Level<Uint8Array, Uint8Array>(directory, {
      keyEncoding: "view",
      valueEncoding: "view",
      createIfMissing: create,
      errorIfExists: create,
      compression: false,
      cacheSize: 1 << 20,
    });
    try {
      await db.open();
      await syncDirectory(directory);
      return new LogStore(db, directory);
    } catch (thrown) {
      await db.close();
      throw thrown;
    }
  }

  /** Reads everything. Does not throw for what is broken: that is an answer. */
  async readAll(): Promise<RawLog> {
    const rows: [Uint8Array, Uint8Array][] = [];
    let identity: string | null = null;
    let mark: Uint8Array | null = null;
    let problem: string | null = null;
    try {
      for await (const [key, value] of this.#db.iterator()) {
        if (key[0] === ENTRY_PREFIX) rows.push([key, value]);
        else if (key.length === 1 && key[0] === MARK_KEY[0]) mark = Uint8Array.from(value);
        else if (key.length === 1 && key[0] === IDENTITY_KEY[0])
          identity = Buffer.from(value).toString("utf8");
        else problem ??= `an unknown key of ${key.length} bytes`;
      }
    } catch (thrown) {
      problem = describe(thrown);
    }
    return { identity, mark, rows, problem };
  }

  /** Makes `changes` and `mark` durable as one atomic batch. Order: later changes of a key win. */
  async write(changes: readonly LogChange[], mark: Uint8Array, identity?: string): Promise<void> {
    try {
      const batch = this.#db.batch();
      for (const change of changes) {
        if (change.kind === "put") batch.put(change.key, change.value);
        else {
          for (let index: number = change.from; index <= change.to; index++) {
            batch.del(entryKey(logIndex(index)));
            // A whole log may go at once, when a snapshot replaces it; ticks go on meanwhile.
            if ((index - change.from) % DELETIONS_AT_A_TIME === DELETIONS_AT_A_TIME - 1) await setImmediate();
          }
        }
      }
      if (identity !== undefined) batch.put(IDENTITY_KEY, Buffer.from(identity, "utf8"));
      batch.put(MARK_KEY, mark);
      await batch.write({ sync: true });
      await this.#syncNames();
    } catch (thrown) {
      throw storageError(thrown, "write the log", this.#directory);
    }
  }

  /** Closes LevelDB. */
  async close(): Promise<void> {
    await this.#db.close();
  }

  /**
   * Syncs the directory if a file may have come or gone since the last time. The stamp is compared with
   * itself only; the wall clock serves to say how coarse it may be, and a clock that was set costs a sync, or
   * one that is not made. Asked synchronously: of a directory that is open it is three microseconds out of
   * memory, and a turn of the thread pool would be a tenth of the whole write.
   */
  async #syncNames(): Promise<void> {
    const { mtimeMs } = statSync(this.#directory);
    if (mtimeMs === this.#namesSyncedMs) return;
    await syncDirectory(this.#directory);
    if (Math.abs(Date.now() - mtimeMs) > STAMP_DOUBT_MS) this.#namesSyncedMs = mtimeMs;
  }
}

/**
 * What opening a LevelDB that ought to be there came to: `unusable` means that the files are damaged or gone.
 */
export type OpenedLog =
  | { readonly kind: "open"; readonly store: LogStore; readonly raw: RawLog }
  | { readonly kind: "unusable"; readonly reason: string };

/**
 * Opens and reads the LevelDB in `directory`. Throws for what is no damage: in use, no permission, full, read
 * error.
 */
export async function openExisting(directory: string): Promise<OpenedLog> {
  if (!(await exists(directory))) return { kind: "unusable", reason: "the LevelDB directory is gone" };
  let problems: readonly string[] = [];
  try {
    problems = await setDamagedTablesAside(directory);
    const store = await LogStore.open(directory, false);
    await dropTablesAside(directory);
    return { kind: "open", store, raw: await store.readAll() };
  } catch (thrown) {
    const text = [...problems, describe(thrown)].join("; ");
    // LevelDB reports a missing manifest or table as an IO error; a real one (EIO) is no proof that anything
    // is lost.
    if (/LEVEL_CORRUPTION|Corruption:|does not exist|No such file or directory|Not found/.test(text)) {
      return { kind: "unusable", reason: `LevelDB does not open: ${text}` };
    }
    throw storageError(thrown, "open the log", directory);
  }
}

/**
 * Holds the lock of a data directory until closed. It is an empty LevelDB of its own, because Node has no
 * file locks, LevelDB's is released by the kernel when a process dies, and the log's own one does not survive
 * the log being replaced.
 */
export async function lockDirectory(directory: string): Promise<{ close(): Promise<void> }> {
  const attempt = async (): Promise<Level> => {
    // LevelDB's binding makes it with a recursive mkdir, which says ENOENT where the file system is
    // read-only.
    await ensureDirectory(directory);
    const db = new Level(directory, { cacheSize: 0, writeBufferSize: 64 << 10 });
    try {
      await db.open();
      return db;
    } catch (thrown) {
      await db.close();
      throw thrown;
    }
  };
  try {
    return await attempt();
  } catch (thrown) {
    const text = describe(thrown);
    // The lock is taken before any file is read: damage means that nobody else holds it, and there is nothing
    // to lose.
    if (!/LEVEL_CORRUPTION|Corruption:|No such file or directory/.test(text)) {
      throw storageError(thrown, "lock the data directory", directory);
    }
    await rm(directory, { recursive: true, force: true });
    return await attempt().catch((again: unknown) => {
      throw storageError(again, "lock the data directory", directory);
    });
  }
}
