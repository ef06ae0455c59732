/**
 * The snapshots of one witness, a file each: `snapshots/<index>-<term>.snap`.
 *
 * A file gets its name only when it is whole and on the disk (draft, sync, rename, sync of the directory), so
 * a crash leaves the whole file or a draft that the next start removes. Only then may the log be cut behind
 * it; the writer sees to that. A state may have 50 MB: it is encoded and written part by part, each write a
 * turn of the event loop in which appends and ticks go on, and synced every few MB, so that the sync of an
 * append does not wait behind all of it.
 *
 * The newest two are kept: should the newest rot, the one before it will do while the log still reaches back
 * to it. Which one that is, judge.ts decides; here every byte of every file is verified on start.
 */
import { open, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { LogIndex } from "../../core/base/ids.js";
import { decodeState, encodeState } from "../../core/model/snapshot.js";
import type { StateSnapshot } from "../../core/witness/contract.js";
import { ensureDirectory, exists, readBytes, syncDirectory } from "./files.js";
import type { Place } from "./mark.js";
import {
  type Origin,
  type ReadSnapshot,
  readSnapshotBytes,
  SnapshotEncoder,
  type SnapshotHeader,
} from "./snapshot-codec.js";
import { StorageError, storageError } from "./storage-error.js";

/** How many snapshots are kept. At least two: see the header. */
const KEEP = 2;
/** Unit: bytes that are written before they are synced. */
const SYNC_BYTES = 4 << 20;
const NAME = /^\d+-\d+\.snap$/;
const DRAFT = ".new";
/** The last file that was found damaged, for the curious. */
const DAMAGED = "damaged.snap";

/** Whose files these are; a file of another cluster or disk is as good as none. */
export interface SnapshotOwner {
  readonly cluster: string;
  readonly diskId: string;
}

/** A snapshot that is whole. */
export interface SnapshotPlace extends Place {
  readonly origin: Origin;
}

/** The snapshot files of one data directory. */
export class SnapshotFiles {
  readonly #directory: string;
  readonly #owner: SnapshotOwner;
  /** Files known to be whole, newest first. */
  #places: readonly SnapshotPlace[] = [];
  /** The write that is under way; the next one waits for it. */
  #writing: Promise<unknown> = Promise.resolve();

  private constructor(directory: string, owner: SnapshotOwner) {
    this.#directory = directory;
    this.#owner = owner;
  }

  /**
   * Opens the directory, creates it if it is missing, removes drafts and verifies every file. A damaged one
   * is put aside and told in `notices`.
   */
  static async open(
    directory: string,
    owner: SnapshotOwner,
  ): Promise<{ readonly files: SnapshotFiles; readonly notices: readonly string[] }> {
    const files = new SnapshotFiles(directory, owner);
    await ensureDirectory(directory);
    try {
      return { files, notices: await files.#verifyAll() };
    } catch (thrown) {
      throw storageError(thrown, "read the snapshots", directory);
    }
  }

  /** True if there are snapshots in `directory`, whole or not. */
  static async areIn(directory: string): Promise<boolean> {
    if (!(await exists(directory))) return false;
    return (await readdir(directory)).some((name) => NAME.test(name));
  }

  /** The places of the whole files, newest first. */
  get places(): readonly SnapshotPlace[] {
    return this.#places;
  }

  /**
   * Makes `snapshot` durable as a file, unless there is one of its place. One at a time. `isWanted` is asked
   * between parts: when it says no, the file is given up. Gives whether the snapshot is durable.
   */
  write(snapshot: StateSnapshot, origin: Origin, isWanted: () => boolean = () => true): Promise<boolean> {
    const written = this.#writing.then(async () => {
      if (this.#places.some((each) => isSame(each, snapshot))) return true;
      return await this.#write(snapshot, origin, isWanted);
    });
    this.#writing = written.catch(() => undefined);
    return written;
  }

  /** The snapshot at `place`, which is one of `places`. */
  async read(place: Place): Promise<StateSnapshot> {
    const path = this.#pathOf(place);
    const read = await readSnapshot(path);
    if (read.kind !== "whole") throw storageError(new Error("it changed while it was read"), "read", path);
    const data = decodeState(read.parts);
    if ("error" in data) {
      throw new StorageError(
        "STORAGE_NEWER_FORMAT",
        `the snapshot ${path} is whole, but this program cannot read it (${data.error}); run the program that wrote it`,
      );
    }
    const { index, term, confState } = read.header;
    return { index, term, confState, data };
  }

  /**
   * Removes all but the newest `KEEP`, and never the only one that a log beginning after `base` can start
   * from.
   */
  async prune(base: LogIndex): Promise<void> {
    const kept = this.#places.slice(0, KEEP);
    if (base > 0 && !kept.some((place) => place.index >= base)) return;
    await this.retain((place) => kept.some((each) => isSame(each, place)));
  }

  /** Removes the files whose place is not wanted. A removal that a power cut undoes does no harm. */
  async retain(isWanted: (place: Place) => boolean): Promise<void> {
    for (const place of this.#places.filter((each) => !isWanted(each))) {
      const path = this.#pathOf(place);
      await rm(path, { force: true }).catch((thrown: unknown) => {
        throw storageError(thrown, "remove an old snapshot", path);
      });
      this.#places = this.#places.filter((each) => each !== place);
    }
  }

  async #write(snapshot: StateSnapshot, origin: Origin, isWanted: () => boolean): Promise<boolean> {
    const path = this.#pathOf(snapshot);
    const draft = `${path}${DRAFT}`;
    try {
      if (!(await this.#writeDraft(draft, snapshot, origin, isWanted))) {
        await rm(draft);
        return false;
      }
      await rename(draft, path);
      await syncDirectory(this.#directory);
    } catch (thrown) {
      // On a full disk half a snapshot would be in the way of whoever makes room.
      await rm(draft, { force: true }).catch(() => undefined);
      throw storageError(thrown, "write a snapshot", path);
    }
    const place: SnapshotPlace = { index: snapshot.index, term: snapshot.term, origin };
    this.#places = [...this.#places, place].sort(newestFirst);
    return true;
  }

  async #writeDraft(
    draft: string,
    snapshot: StateSnapshot,
    origin: Origin,
    isWanted: () => boolean,
  ): Promise<boolean> {
    const encoder = new SnapshotEncoder();
    const handle = await open(draft, "w", 0o600);
    try {
      let [at, unsynced] = [0, 0];
      const write = async (bytes: Uint8Array): Promise<void> => {
        for (let done = 0; done < bytes.length; ) {
          done += (await handle.write(bytes, done, bytes.length - done, at + done)).bytesWritten;
        }
        at += bytes.length;
        unsynced += bytes.length;
        if (unsynced < SYNC_BYTES) return;
        await handle.datasync();
        unsynced = 0;
      };
      const { index, term, confState } = snapshot;
      await write(encoder.header({ ...this.#owner, index, term, confState, origin }));
      for (const part of encodeState(snapshot.data)) {
        if (!isWanted()) return false;
        await write(encoder.part(part));
      }
      await write(encoder.trailer());
      await handle.sync();
      return true;
    } finally {
      await handle.close();
    }
  }

  async #verifyAll(): Promise<readonly string[]> {
    const notices: string[] = [];
    const places: SnapshotPlace[] = [];
    for (const name of (await readdir(this.#directory)).sort()) {
      const path = join(this.#directory, name);
      if (name.endsWith(DRAFT)) await rm(path, { force: true });
      if (!NAME.test(name)) continue;
      const header = await this.#verify(path);
      if (typeof header !== "string" && name === nameOf(header)) {
        places.push({ index: header.index, term: header.term, origin: header.origin });
        continue;
      }
      const problem = typeof header === "string" ? header : `it is the snapshot ${nameOf(header)}`;
      notices.push(`the snapshot ${path} cannot be used: ${problem}`);
      await rename(path, join(this.#directory, DAMAGED));
    }
    await syncDirectory(this.#directory);
    this.#places = places.sort(newestFirst);
    return notices;
  }

  /** The header of a whole file of ours, or what is wrong with it. */
  async #verify(path: string): Promise<SnapshotHeader | string> {
    const read = await readSnapshot(path);
    if (read.kind === "damaged") return `it is damaged (${read.problem})`;
    if (read.kind === "newer") {
      throw new StorageError(
        "STORAGE_NEWER_FORMAT",
        `the snapshot ${path} has format ${read.format}; run the newer program that wrote it`,
      );
    }
    const { header } = read;
    if (header.cluster !== this.#owner.cluster) return `it is of cluster "${header.cluster}"`;
    if (header.diskId !== this.#owner.diskId) return `it is of disk ${header.diskId}`;
    return header;
  }

  #pathOf(place: Place): string {
    return join(this.#directory, nameOf(place));
  }
}

function nameOf(place: Place): string {
  return `${place.index}-${place.term}.snap`;
}

function isSame(a: Place, b: Place): boolean {
  return a.index === b.index && a.term === b.term;
}

function newestFirst(a: Place, b: Place): number {
  return b.index - a.index || b.term - a.term;
}

async function readSnapshot(path: string): Promise<ReadSnapshot> {
  try {
    return readSnapshotBytes(await readBytes(path));
  } catch (thrown) {
    // An unreadable sector may be readable again after the next start; that is no reason to give up what it
    // holds.
    throw storageError(thrown, "read a snapshot", path);
  }
}
