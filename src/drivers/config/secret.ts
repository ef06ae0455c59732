/**
 * Secrets, fetched from where the document says they lie: a file or the environment of the witness.
 *
 * A secret passes through here as bytes on the way to the one use that needs it. No error, log line or state ever holds
 * one: messages name the place, never the content, and the cause of a failed read is reduced to its code.
 *
 * What was fetched is handed to the log's redaction first, so that even a careless line could not show it.
 */
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import type { TsigKeyRef } from "../../core/model/config.js";
import { protectSecret } from "../log/redact.js";

export type SecretRef = TsigKeyRef["secret"];

export type SecretErrorCode = "secret_unreadable" | "secret_missing" | "secret_malformed";

/** A secret cannot be had. `retriable` is false: somebody has to change something. */
export class SecretError extends Error {
  override readonly name = "SecretError";
  readonly code: SecretErrorCode;
  readonly retriable = false;

  constructor(code: SecretErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** A secret and what was noticed while fetching it. */
export interface ResolvedSecret {
  readonly bytes: Buffer;
  /** A sentence on a file that others may read, or null. */
  readonly warning: string | null;
}

/** A key file holds one line; more is another file. Unit: bytes. */
const SECRET_FILE_BYTES_MAX = 4096;
/** RFC 8945 section 6: shorter keys than 128 bits are no keys. Unit: bytes. */
const SECRET_BYTES_MIN = 16;

/** The bytes of a base64 secret (TSIG key). Rejects with `SecretError`. */
export async function resolveSecret(
  ref: SecretRef,
  env: NodeJS.ProcessEnv = process.env,
): Promise<ResolvedSecret> {
  if (ref.kind === "env") {
    const value = env[ref.name];
    if (value === undefined || value.trim() === "") {
      throw new SecretError(
        "secret_missing",
        `environment variable ${ref.name} is not set; set it to the base64 secret`,
      );
    }
    return { bytes: decodeBase64(value, `environment variable ${ref.name}`), warning: null };
  }
  const { text, mode } = await readSecretFile(ref.path);
  const warning =
    (mode & 0o007) === 0
      ? null
      : `secret file ${ref.path} is open to every user (mode ${(mode & 0o777).toString(8)}); run chmod 600`;
  return { bytes: decodeBase64(text, `secret file ${ref.path}`), warning };
}

async function readSecretFile(path: string): Promise<{ text: string; mode: number }> {
  let file: Awaited<ReturnType<typeof open>> | null = null;
  try {
    // Non-blocking: opening a FIFO that nobody writes to would wait for ever.
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const stat = await file.stat();
    if (!stat.isFile()) throw new SecretError("secret_unreadable", `secret file ${path} is no regular file`);
    if (stat.size > SECRET_FILE_BYTES_MAX) {
      throw new SecretError(
        "secret_malformed",
        `secret file ${path} is ${stat.size} bytes long; it must hold one base64 line`,
      );
    }
    return { text: await file.readFile("utf8"), mode: stat.mode };
  } catch (error) {
    if (error instanceof SecretError) throw error;
    const code = (error as NodeJS.ErrnoException).code ?? "unknown error";
    throw new SecretError(
      "secret_unreadable",
      `secret file ${path} cannot be read (${code}); check path, owner and mode`,
    );
  } finally {
    await file?.close();
  }
}

/**
 * Strict base64: Buffer.from skips what it does not know, and a mangled key would only show as BADSIG at the
 * server.
 */
function decodeBase64(text: string, where: string): Buffer {
  const compact = text.trim();
  const bytes = Buffer.from(compact, "base64");
  if (
    !/^[A-Za-z0-9+/]+={0,2}$/.test(compact) ||
    bytes.toString("base64").replace(/=+$/, "") !== compact.replace(/=+$/, "")
  ) {
    throw new SecretError(
      "secret_malformed",
      `${where} does not hold base64; write the key's base64 text and nothing else`,
    );
  }
  if (bytes.length < SECRET_BYTES_MIN) {
    throw new SecretError(
      "secret_malformed",
      `${where} holds ${bytes.length} bytes; a TSIG key has at least ${SECRET_BYTES_MIN}`,
    );
  }
  protectSecret(compact);
  protectSecret(bytes);
  return bytes;
}
