/**
 * No secret in a log, by three nets of different mesh.
 *
 * (1) Fields whose name smells of a secret, and all bytes, are replaced, however deep they lie. (2)
 * Credentials inside text that have a known shape (a URL's password, an Authorization header) are replaced in
 * the finished line. (3) Every secret that this process ever fetched is known (`protectSecret`), and its text
 * is replaced wherever it stands, as it is, in base64 or in hex.
 */
import { isSecretName } from "../config/problem.js";

const REDACTED = "[redacted]";
const DEPTH_MAX = 8;
const ITEMS_MAX = 200;

/** Names that hold the place of a secret, or tell of one, and not the secret itself. */
const HARMLESS = /^(secretFile|secretEnv|idempotencyKey)$|_(missing|unreadable|malformed)$/;

/** A copy of `value` that may be logged. Total: handles errors, cycles, getters that throw and depth. */
export function sanitize(value: unknown): unknown {
  return copy(value, 0, new Set());
}

function copy(value: unknown, depth: number, above: Set<object>): unknown {
  if (typeof value === "bigint") return String(value);
  if (typeof value === "function" || typeof value === "symbol") return `[${typeof value}]`;
  if (typeof value !== "object" || value === null) return value;
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `[${value.byteLength} bytes]`;
  if (value instanceof Date || value instanceof URL) return String(value);
  if (above.has(value)) return "[circular]";
  if (depth >= DEPTH_MAX) return "[deep]";
  above.add(value);
  try {
    if (Array.isArray(value)) return value.slice(0, ITEMS_MAX).map((item) => copy(item, depth + 1, above));
    if (value instanceof Map || value instanceof Set) return `[${value.constructor.name} of ${value.size}]`;
    const plain = copyFields(value, depth, above);
    if (!(value instanceof Error)) return plain;
    const { name, message, stack, cause } = value;
    return {
      type: name,
      message,
      stack,
      ...(cause === undefined ? {} : { cause: copy(cause, depth + 1, above) }),
      ...plain,
    };
  } catch {
    return "[unreadable]";
  } finally {
    above.delete(value);
  }
}

function copyFields(value: object, depth: number, above: Set<object>): Record<string, unknown> {
  const plain: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(value).slice(0, ITEMS_MAX)) {
    const hide = isSecretName(name) && !HARMLESS.test(name) && field !== null && typeof field !== "boolean";
    plain[name] = hide ? REDACTED : copy(field, depth + 1, above);
  }
  return plain;
}

const secrets = new Set<string>();

/**
 * From now on this secret is replaced wherever a log line holds it. Shorter ones than 6 bytes would hit
 * ordinary text.
 */
export function protectSecret(secret: string | Uint8Array): void {
  const bytes = typeof secret === "string" ? Buffer.from(secret) : Buffer.from(secret);
  if (bytes.length < 6) return;
  const base64 = bytes.toString("base64").replace(/=+$/, "");
  for (const text of [base64, bytes.toString("base64url"), bytes.toString("hex"), bytes.toString("utf8")]) {
    if (text.includes("\uFFFD")) continue;
    secrets.add(text);
    // As it stands inside a line of JSON.
    secrets.add(JSON.stringify(text).slice(1, -1));
  }
}

/** The secrets that are protected; the set grows. */
export function protectedSecrets(): ReadonlySet<string> {
  return secrets;
}

/** The finished line without credentials. */
export function scrubLine(line: string, known: ReadonlySet<string>): string {
  let clean = line
    .replace(/(:\/\/)[^/@\s"\\]+@/g, `$1${REDACTED}@`)
    .replace(/\b(Bearer|Basic) +[A-Za-z0-9+/=._~-]{6,}/gi, `$1 ${REDACTED}`);
  for (const secret of known) if (clean.includes(secret)) clean = clean.replaceAll(secret, REDACTED);
  return clean;
}
