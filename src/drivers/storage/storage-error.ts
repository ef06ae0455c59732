/**
 * The failures of the disk, as this program names them.
 *
 * Every exception of node:fs and of LevelDB enters through `storageError`, so that no foreign error leaves
 * this room. All of them are fatal for the running witness (docs/adr/0006): after a failed sync nobody
 * knows what is on the disk (the kernel may have dropped the pages and forgotten), so the only safe answer is
 * to stop and read it all again. `retriable` therefore means: starting again may help without a person (a
 * full disk that somebody empties), not that the call may be repeated.
 */

/** Stable codes; the meaning of each is in docs/errors.md. */
export type StorageCode =
  | "STORAGE_IN_USE"
  | "STORAGE_OTHER_CLUSTER"
  | "STORAGE_OTHER_WITNESS"
  | "STORAGE_NEWER_FORMAT"
  | "STORAGE_NO_PARENT"
  | "STORAGE_NOT_A_DIRECTORY"
  | "STORAGE_READ_ONLY"
  | "STORAGE_PERMISSION"
  | "STORAGE_FULL"
  | "STORAGE_CORRUPT"
  | "STORAGE_IO"
  | "STORAGE_CLOSED";

/**
 * A failure of the disk or a directory that must not be used. The message names the path, the value and the
 * remedy.
 */
export class StorageError extends Error {
  override readonly name = "StorageError";
  readonly code: StorageCode;
  /** True when a restart may succeed without a change by a person. */
  readonly retriable: boolean;

  constructor(code: StorageCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.retriable = code === "STORAGE_IN_USE" || code === "STORAGE_FULL" || code === "STORAGE_IO";
  }
}

/**
 * What the system says, by errno name or by the text that LevelDB keeps of it, and what an operator can do
 * about it.
 */
const CAUSES: readonly {
  readonly code: StorageCode;
  readonly pattern: RegExp;
  readonly what: string;
  readonly remedy: string;
}[] = [
  {
    code: "STORAGE_IN_USE",
    pattern: /LEVEL_LOCKED|already held by process|LOCK: Resource temporarily unavailable/,
    what: "the data directory is in use by another process",
    remedy: "stop the other witness, or give this one a directory of its own",
  },
  {
    code: "STORAGE_READ_ONLY",
    pattern: /EROFS|Read-only file system/,
    what: "the file system is mounted read-only",
    remedy: "mount it read-write (a disk error may have made it read-only: look at the kernel log first)",
  },
  {
    code: "STORAGE_FULL",
    pattern: /ENOSPC|EDQUOT|No space left on device|Disk quota exceeded/,
    what: "the disk is full",
    remedy: "free some space on it, then start the witness again; nothing acknowledged is lost",
  },
  {
    code: "STORAGE_PERMISSION",
    pattern: /EACCES|EPERM|Permission denied|Operation not permitted/,
    what: "permission denied",
    remedy: "give the user of the witness read and write permission on the directory and all below it",
  },
  {
    code: "STORAGE_NOT_A_DIRECTORY",
    pattern: /ENOTDIR|Not a directory/,
    what: "part of the path is not a directory",
    remedy: "name a directory",
  },
];

/**
 * The one funnel: any thrown value as a `StorageError`. `doing` says what was tried ("write the log"), `path`
 * where. A `StorageError` passes unchanged.
 */
export function storageError(thrown: unknown, doing: string, path: string): StorageError {
  if (thrown instanceof StorageError) return thrown;
  const text = describe(thrown);
  const known = CAUSES.find((cause) => cause.pattern.test(text));
  if (known !== undefined) {
    return new StorageError(
      known.code,
      `cannot ${doing} (${path}): ${known.what}; ${known.remedy} [${text}]`,
      thrown,
    );
  }
  return new StorageError(
    "STORAGE_IO",
    `cannot ${doing} (${path}): ${text}; look at the kernel log for errors of the disk, then start the witness again`,
    thrown,
  );
}

/**
 * Code and message of an error and of all its causes: LevelDB hides the interesting one below "failed to
 * open".
 */
export function describe(thrown: unknown): string {
  const parts: string[] = [];
  for (let at: unknown = thrown, depth = 0; at !== undefined && at !== null && depth < 5; depth++) {
    if (!(at instanceof Error)) {
      parts.push(String(at));
      break;
    }
    const code = (at as { code?: unknown }).code;
    parts.push(
      typeof code === "string" && !at.message.includes(code) ? `${code}: ${at.message}` : at.message,
    );
    at = at.cause;
  }
  return parts.join(": ");
}
