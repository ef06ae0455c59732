/**
 * A backup as a file that says of itself what it is, and is whole or refused.
 *
 *   file      magic:8 frame(header) frame(part)* trailer
 *   frame     length:4 crc:4 bytes:length       CRC-32C of the bytes
 *   trailer   ffffffff:4 parts:4 sha256:32      of everything before the trailer
 *
 * The header is JSON; the parts are those of core/model/snapshot.ts. The file is written beside its name and
 * renamed when all of it is on the disk, so a name never stands for half a backup.
 */
import { createHash } from "node:crypto";
import { access, type FileHandle, open, readFile, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { crc32c } from "../core/base/crc32c.js";
import { isCount } from "../core/base/ids.js";
import { decodeState } from "../core/model/snapshot.js";
import type { State } from "../core/model/state.js";
import type { CliError } from "./exit-codes.js";
import { recoveryError } from "./recovery-codes.js";

/** What a backup says of itself. */
export interface BackupHeader {
  readonly cluster: string;
  /** The witness that it was taken from. */
  readonly witness: string;
  readonly index: number;
  readonly term: number;
  readonly wallMs: number;
}

const FORMAT = 1;
const MAGIC = Buffer.from("PMBACK\r\n");
const FRAME_HEAD = 8;
const TRAILER_MARK = 0xffff_ffff;
const TRAILER_LENGTH = 40;

/** One backup on its way to the disk. */
export class BackupWriter {
  readonly #path: string;
  readonly #draft: string;
  readonly #file: FileHandle;
  readonly #hash = createHash("sha256");
  #parts = 0;
  size = 0;

  private constructor(path: string, draft: string, file: FileHandle) {
    this.#path = path;
    this.#draft = draft;
    this.#file = file;
  }

  /** Begins a file; `force`: what stands there under that name is replaced in the end. */
  static async begin(path: string, force: boolean, header: BackupHeader): Promise<BackupWriter> {
    if (!force && (await isThere(path))) {
      throw recoveryError(
        "backup_exists",
        `${path} exists: name another file with --out, or replace it with --force`,
      );
    }
    const draft = `${path}.${process.pid}.part`;
    const file = await open(draft, "wx", 0o600).catch((error: Error) => {
      throw recoveryError("backup_unwritable", `cannot write ${draft}: ${error.message}`);
    });
    const writer = new BackupWriter(path, draft, file);
    await writer.#write(MAGIC);
    await writer.#frame(Buffer.from(JSON.stringify({ format: FORMAT, ...header })));
    return writer;
  }

  async part(bytes: Uint8Array): Promise<void> {
    this.#parts += 1;
    await this.#frame(bytes);
  }

  /** Ends the file and gives it its name; returns its digest in hexadecimal. */
  async end(): Promise<string> {
    const digest = this.#hash.digest();
    const trailer = Buffer.alloc(FRAME_HEAD);
    trailer.writeUInt32BE(TRAILER_MARK, 0);
    trailer.writeUInt32BE(this.#parts, 4);
    await this.#file.writeFile(Buffer.concat([trailer, digest]));
    this.size += TRAILER_LENGTH;
    await this.#file.sync();
    await this.#file.close();
    await rename(this.#draft, this.#path);
    const directory = await open(dirname(this.#path), "r");
    await directory.sync().finally(() => directory.close());
    return digest.toString("hex");
  }

  /** Gives up: nothing is left behind. */
  async abandon(): Promise<void> {
    await this.#file.close().catch(() => undefined);
    await rm(this.#draft, { force: true });
  }

  async #frame(bytes: Uint8Array): Promise<void> {
    const head = Buffer.alloc(FRAME_HEAD);
    head.writeUInt32BE(bytes.length, 0);
    head.writeUInt32BE(crc32c(bytes), 4);
    await this.#write(Buffer.concat([head, bytes]));
  }

  async #write(bytes: Uint8Array): Promise<void> {
    this.#hash.update(bytes);
    this.size += bytes.length;
    await this.#file.writeFile(bytes);
  }
}

/** A backup that is whole. */
export interface Backup {
  readonly header: BackupHeader;
  readonly state: State;
  readonly sha256: string;
}

/** Reads a backup; throws `CliError` `backup_damaged` with what is wrong unless every byte is as it was written. */
export async function readBackup(path: string): Promise<Backup> {
  const bytes = await readFile(path).catch((error: Error) => {
    throw recoveryError("backup_unreadable", `cannot read ${path}: ${error.message}`);
  });
  const damaged = (what: string): CliError =>
    recoveryError("backup_damaged", `${path} is no whole backup: ${what}; take another one`);
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) throw damaged("it does not begin as one");
  const end = bytes.length - TRAILER_LENGTH;
  const frames: Buffer[] = [];
  let at = MAGIC.length;
  while (at < end) {
    const length = bytes.readUInt32BE(at);
    const frame = bytes.subarray(at + FRAME_HEAD, at + FRAME_HEAD + length);
    if (at + FRAME_HEAD + length > end) throw damaged(`frame ${frames.length} ends after the file`);
    if (crc32c(frame) !== bytes.readUInt32BE(at + 4))
      throw damaged(`frame ${frames.length} has another checksum`);
    frames.push(frame);
    at += FRAME_HEAD + length;
  }
  const [head, ...parts] = frames;
  if (head === undefined || at !== end || bytes.readUInt32BE(end) !== TRAILER_MARK)
    throw damaged("it has no end");
  if (bytes.readUInt32BE(end + 4) !== parts.length) throw damaged("parts are missing");
  const digest = createHash("sha256").update(bytes.subarray(0, end)).digest();
  if (!digest.equals(bytes.subarray(end + FRAME_HEAD))) throw damaged("it has another digest");
  const { format, ...header } = JSON.parse(head.toString("utf8")) as BackupHeader & {
    readonly format: number;
  };
  if (format !== FORMAT) {
    throw recoveryError(
      "backup_newer",
      `${path} has format ${format}, and this release knows ${FORMAT}: use the release that wrote it`,
    );
  }
  const state = decodeState(parts);
  if ("error" in state) throw damaged(state.error);
  if (!isCount(header.index) || state.appliedIndex !== header.index || state.appliedTerm !== header.term)
    throw damaged("its header tells of another place in the log than its state");
  return { header, state, sha256: digest.toString("hex") };
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
