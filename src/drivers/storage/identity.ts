/**
 * Whose directory this is: cluster, witness, and a disk id that is made once, on the first start.
 *
 * The file is written last when a directory is created, so its presence says that the creation was completed
 * and that the mirror and the log must be there. A copy stands in LevelDB, a directory put together from two
 * others is noticed. The disk id is what the cluster knows this member by: a witness whose disk was wiped
 * comes back under the same name, but with another disk id, and must not pass for the member that had
 * acknowledged things. Who that member is to Raft (`adopted`; a disk that is added anew gets a later node id)
 * stands here before anything is written that depends on it. The mark repeats the node id, so that an older
 * copy of this file is noticed.
 */
import { readFile } from "node:fs/promises";
import { crc32c } from "../../core/base/crc32c.js";
import { isCount, nodeId, type WitnessId, witnessId } from "../../core/base/ids.js";
import { encodeUtf8 } from "../../core/base/utf8.js";
import type { Adopted } from "../../core/witness/contract.js";
import { StorageError, storageError } from "./storage-error.js";

/** The names that the operator gave. */
export interface StorageIdentity {
  readonly cluster: string;
  readonly witness: string;
}

/** The identity of a directory. */
export interface DiskIdentity extends StorageIdentity {
  /** A random UUID. */
  readonly diskId: string;
  /** Null until it is decided, and in directories of format 1. */
  readonly adopted: Adopted | null;
}

/**
 * Layout of the directory as a whole. A directory with a higher number is refused. 2: logs may begin after a
 * snapshot, and the identity says who was adopted.
 */
const FORMAT = 2;

/** The text of the identity file, also the value in LevelDB. */
export function encodeIdentity(identity: DiskIdentity): string {
  const { adopted } = identity;
  const fields = {
    format: FORMAT,
    cluster: identity.cluster,
    witness: identity.witness,
    diskId: identity.diskId,
    adopted: adopted === null ? null : { node: adopted.node, bootstrap: [...adopted.bootstrap] },
  };
  return `${JSON.stringify({ ...fields, checksum: checksum(fields) }, null, 2)}\n`;
}

/** The identity in `text`; null if it is damaged; the number if it is of a newer format. */
export function decodeIdentity(text: string): DiskIdentity | number | null {
  let value: Record<string, unknown>;
  try {
    value = JSON.parse(text) as Record<string, unknown>;
  } catch {
    return null;
  }
  if (typeof value !== "object" || value === null) return null;
  const { format, cluster, witness, diskId } = value as { [name: string]: unknown };
  if (typeof format === "number" && Number.isInteger(format) && format > FORMAT) return format;
  if (typeof cluster !== "string" || typeof witness !== "string" || typeof diskId !== "string") return null;
  if (format === 1) {
    if (value["checksum"] !== checksum({ format, cluster, witness, diskId })) return null;
    return { cluster, witness, diskId, adopted: null };
  }
  const adopted = adoptedOf(value["adopted"]);
  if (adopted === undefined) return null;
  if (value["checksum"] !== checksum({ format, cluster, witness, diskId, adopted })) return null;
  return { cluster, witness, diskId, adopted };
}

/** Undefined for what is neither null nor an adoption. The order of the fields is that of the checksum. */
function adoptedOf(value: unknown): Adopted | null | undefined {
  if (value === null) return null;
  if (typeof value !== "object") return undefined;
  const { node, bootstrap } = value as { [name: string]: unknown };
  if (!isCount(node) || !Array.isArray(bootstrap)) return undefined;
  if (!bootstrap.every((each): each is WitnessId => typeof each === "string")) return undefined;
  return { node: nodeId(node), bootstrap: bootstrap.map(witnessId) };
}

/** The identity file at `path`, or null if there is none. Refuses what is damaged or newer. */
export async function readIdentity(path: string): Promise<DiskIdentity | null> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (thrown) {
    if ((thrown as { code?: unknown }).code === "ENOENT") return null;
    throw storageError(thrown, "read the identity file", path);
  }
  const identity = decodeIdentity(text);
  if (identity === null) {
    throw new StorageError(
      "STORAGE_CORRUPT",
      `the identity file ${path} is damaged; put it back from a copy, or remove the whole data directory and add this ` +
        "witness to the cluster as a new member",
    );
  }
  if (typeof identity === "number") {
    throw new StorageError(
      "STORAGE_NEWER_FORMAT",
      `${path} has format ${identity}, this program knows up to ${FORMAT}; run the newer program that wrote it`,
    );
  }
  return identity;
}

/** True if both say the same. */
export function isSameAdoption(a: Adopted, b: Adopted): boolean {
  return (
    a.node === b.node &&
    a.bootstrap.length === b.bootstrap.length &&
    a.bootstrap.every((witness, i) => witness === b.bootstrap[i])
  );
}

/** Refuses a directory of another cluster or another witness. `where` names what was read. */
export function checkIdentity(found: StorageIdentity, wanted: StorageIdentity, where: string): void {
  if (found.cluster !== wanted.cluster) {
    throw new StorageError(
      "STORAGE_OTHER_CLUSTER",
      `${where} belongs to cluster "${found.cluster}", the configuration says "${wanted.cluster}"; correct the cluster ` +
        "name or the data directory in the configuration",
    );
  }
  if (found.witness !== wanted.witness) {
    throw new StorageError(
      "STORAGE_OTHER_WITNESS",
      `${where} belongs to witness "${found.witness}", the configuration says "${wanted.witness}"; correct the witness ` +
        "name or the data directory in the configuration",
    );
  }
}

function checksum(fields: Record<string, unknown>): string {
  return crc32c(encodeUtf8(JSON.stringify(fields)))
    .toString(16)
    .padStart(8, "0");
}
