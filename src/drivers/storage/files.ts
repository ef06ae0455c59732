/**
 * The few file operations whose durability POSIX leaves to the caller: a new or renamed file is on the disk
 * only when its directory has been synced too (etcd #6378 lost a file that way).
 */
import { constants } from "node:fs";
import { mkdir, open, rename, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { StorageError, storageError } from "./storage-error.js";

/** Unit: bytes of one read. */
const READ_BYTES = 1 << 20;

/** Makes the names in `directory` durable. */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Replaces the file at `path` as a whole: after a crash it is the old one or the new one. */
export async function replaceFile(path: string, content: string): Promise<void> {
  const draft = `${path}.new`;
  const handle = await open(draft, "w", 0o600);
  try {
    await handle.writeFile(content);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(draft, path);
  await syncDirectory(dirname(path));
}

/**
 * The bytes of the file at `path`. By position, so that a read error can be injected into files alone: the
 * loop of Node itself lives on reads without one.
 */
export async function readBytes(path: string): Promise<Uint8Array> {
  const handle = await open(path, "r");
  try {
    const bytes = new Uint8Array((await handle.stat()).size);
    let at = 0;
    while (at < bytes.length) {
      const { bytesRead } = await handle.read(bytes, at, Math.min(bytes.length - at, READ_BYTES), at);
      if (bytesRead === 0) break;
      at += bytesRead;
    }
    return bytes.subarray(0, at);
  } finally {
    await handle.close();
  }
}

/** True if something is at `path`. */
export async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (thrown) {
    if ((thrown as { code?: unknown }).code === "ENOENT") return false;
    throw thrown;
  }
}

/**
 * Makes sure that `directory` is a directory, creating it (not its parents: one of them may be a missing
 * mount).
 */
export async function ensureDirectory(directory: string): Promise<void> {
  try {
    if (await exists(directory)) {
      if ((await stat(directory)).isDirectory()) return;
      throw new StorageError("STORAGE_NOT_A_DIRECTORY", `${directory} is not a directory; name a directory`);
    }
    await mkdir(directory, { mode: 0o700 });
    await syncDirectory(dirname(directory));
  } catch (thrown) {
    if ((thrown as { code?: unknown }).code === "ENOENT") {
      throw new StorageError(
        "STORAGE_NO_PARENT",
        `cannot create ${directory}: its parent does not exist; create or mount ${dirname(directory)} first`,
        thrown,
      );
    }
    throw storageError(thrown, "use the data directory", directory);
  }
}
