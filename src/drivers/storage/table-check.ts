/**
 * Verifies LevelDB's tables before LevelDB reads them.
 *
 * LevelDB 1.20 does not check the checksums of its tables unless asked to, and `level` has no way to ask. A
 * flipped bit in an index block then ends in a failed C++ assertion: the process aborts, without a word, at
 * each start (measured). So the blocks are checked here. A table that fails is put aside under another name:
 * if the manifest names it, LevelDB then says that it is missing, which is an error we can handle; if not, it
 * was a leftover of a crash in a compaction, and no loss.
 *
 * Its log is read as well, for the reading alone: LevelDB takes a read error there for the end of the file,
 * and goes on with what came before (log_reader.cc; the error goes to a reporter that is off by default).
 *
 * Format (LevelDB doc/table_format.md): blocks, each followed by type:1 crc:4 (CRC-32C of block and type,
 * masked, little-endian); the index block maps keys to the handles of data blocks, the metaindex block names
 * to those of filters; the last 48 bytes hold the handles of metaindex and index, padding and a magic number.
 * Only the padding is covered by no checksum.
 */
import { readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { crc32c } from "../../core/base/crc32c.js";
import { viewOf } from "./bytes.js";
import { readBytes } from "./files.js";

const FOOTER_LENGTH = 48;
const TRAILER_LENGTH = 5;
const MAGIC = Uint8Array.of(0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb);
const MASK_DELTA = 0xa282ead8;
const ASIDE = ".damaged";

/**
 * Puts damaged tables in a LevelDB directory aside and says in words what was wrong with them. Throws when
 * the disk does not give back what it holds.
 */
export async function setDamagedTablesAside(directory: string): Promise<readonly string[]> {
  const problems: string[] = [];
  for (const name of await readdir(directory)) {
    if (!/\.(log|ldb|sst)$/.test(name)) continue;
    const bytes = await readBytes(join(directory, name));
    if (!/\.(ldb|sst)$/.test(name)) continue;
    const problem = tableProblem(bytes);
    if (problem === null) continue;
    await rename(join(directory, name), join(directory, `${name}${ASIDE}`));
    problems.push(`table ${name}: ${problem}`);
  }
  return problems;
}

/** Removes what was put aside, once LevelDB has opened without it. */
export async function dropTablesAside(directory: string): Promise<void> {
  for (const name of await readdir(directory)) if (name.endsWith(ASIDE)) await rm(join(directory, name));
}

/** What is wrong with the table in `bytes`, or null if every block is as it was written. */
export function tableProblem(bytes: Uint8Array): string | null {
  const footerAt = bytes.length - FOOTER_LENGTH;
  if (footerAt < 0 || !MAGIC.every((byte, i) => bytes[bytes.length - MAGIC.length + i] === byte)) {
    return "it does not end as a table does";
  }
  const metaindex = readHandle(bytes, footerAt);
  const index = metaindex === null ? null : readHandle(bytes, metaindex.end);
  if (metaindex === null || index === null) return "its footer is damaged";
  for (const root of [metaindex, index]) {
    if (!isBlockSound(bytes, root)) return `the block at ${root.offset} is damaged`;
    const handles = readIndex(bytes.subarray(root.offset, root.offset + root.size));
    if (handles === null) return `the block at ${root.offset} is no index`;
    for (const handle of handles) {
      if (!isBlockSound(bytes, handle)) return `the block at ${handle.offset} is damaged`;
    }
  }
  return null;
}

interface Handle {
  readonly offset: number;
  readonly size: number;
  /** Where the handle itself ends. */
  readonly end: number;
}

function isBlockSound(bytes: Uint8Array, { offset, size }: Handle): boolean {
  const typeAt = offset + size;
  if (typeAt + TRAILER_LENGTH > bytes.length - FOOTER_LENGTH) return false;
  // We write without compression, so another type than 0 is damage as well.
  if (bytes[typeAt] !== 0) return false;
  const crc = crc32c(bytes.subarray(offset, typeAt + 1));
  const masked = (((crc >>> 15) | (crc << 17)) + MASK_DELTA) >>> 0;
  return viewOf(bytes).getUint32(typeAt + 1, true) === masked;
}

/**
 * The handles in an index block: entries of shared:varint unshared:varint length:varint key value, then
 * restart offsets.
 */
function readIndex(block: Uint8Array): readonly Handle[] | null {
  if (block.length < 4) return null;
  const restarts = viewOf(block).getUint32(block.length - 4, true);
  const end = block.length - 4 - restarts * 4;
  const handles: Handle[] = [];
  for (let at = 0; at < end; ) {
    const shared = readVarint(block, at);
    const unshared = shared && readVarint(block, shared.end);
    const length = unshared && readVarint(block, unshared.end);
    if (!length || !unshared) return null;
    const valueAt = length.end + unshared.value;
    const handle = readHandle(block, valueAt);
    if (handle === null || handle.end !== valueAt + length.value) return null;
    handles.push(handle);
    at = handle.end;
  }
  return end < 0 ? null : handles;
}

function readHandle(bytes: Uint8Array, at: number): Handle | null {
  const offset = readVarint(bytes, at);
  const size = offset && readVarint(bytes, offset.end);
  return offset && size ? { offset: offset.value, size: size.value, end: size.end } : null;
}

/** A number in groups of seven bits, the lowest first; null past 2^49, which no file of ours reaches. */
function readVarint(bytes: Uint8Array, at: number): { readonly value: number; readonly end: number } | null {
  let value = 0;
  for (let i = 0; i < 7; i++) {
    const byte = bytes[at + i];
    if (byte === undefined) return null;
    value += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) return { value, end: at + i + 1 };
  }
  return null;
}
