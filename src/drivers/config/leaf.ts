/**
 * The leaves of the document: durations, addresses, names, commands, each with the sentence that helps when
 * it is wrong.
 *
 * A leaf is a zod schema over `unknown`, because what is worth saying about `interval: 5` is not "expected string,
 * received number" but "write 5s". It reads the value or refuses it with message and remedy; zod carries the refusal to
 * the right path, and finding.ts turns it into a finding.
 */
import { isIPv4, isIPv6 } from "node:net";
import { z } from "zod";
import { type SiteId, siteId, type WitnessId, witnessId } from "../../core/base/ids.js";
import { isSecretName, type ProblemCode } from "./problem.js";

/** Why a value was refused. */
export class Refused {
  readonly code: ProblemCode;
  readonly message: string;
  readonly remedy: string;
  /** The value must not be shown. */
  readonly hide: boolean;

  constructor(message: string, remedy: string, options: { code?: ProblemCode; hide?: boolean } = {}) {
    this.code = options.code ?? "invalid";
    this.message = message;
    this.remedy = remedy;
    this.hide = options.hide ?? false;
  }
}

/** A schema that reads one value with `read`; `what` is how the value is asked for when it is missing or empty. */
export function leaf<T>(what: string, read: (value: NonNullable<unknown>) => T | Refused) {
  return z.unknown().transform((value, context): T => {
    const result = value === undefined || value === null ? absent(value, what) : read(value);
    if (!(result instanceof Refused)) return result;
    const { code, message, remedy, hide } = result;
    context.issues.push({ code: "custom", input: value, message, params: { code, remedy, hide } });
    return z.NEVER;
  });
}

function absent(value: undefined | null, what: string): Refused {
  return value === undefined
    ? new Refused("is missing", `Write ${what}.`, { code: "missing" })
    : new Refused("is empty", `Write ${what}, or leave the key out.`, { code: "empty" });
}

const UNITS_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const DAY_MS = UNITS_MS.d;

/** A duration with its unit, whole milliseconds, within bounds. Unit: ms. */
export function duration(bounds: { minMs?: number; maxMs?: number } = {}) {
  const minMs = bounds.minMs ?? 1;
  const maxMs = bounds.maxMs ?? 365 * DAY_MS;
  return leaf("a duration such as 2s, 500ms or 1m", (value) => {
    const wrong = (remedy: string) => new Refused("is no duration", remedy);
    if (typeof value === "number") {
      return wrong(`Units are required: write ${value}s or ${value}ms.`);
    }
    const match =
      typeof value === "string" ? /^(\d{1,12}(?:\.\d{1,6})?) ?(ms|s|m|h|d)$/.exec(value.trim()) : null;
    if (match === null)
      return wrong("Write a number with one unit: ms, s, m, h or d, such as 2s, 500ms or 1m.");
    const exactMs = Number(match[1]) * UNITS_MS[match[2] as keyof typeof UNITS_MS];
    const ms = Math.round(exactMs);
    if (Math.abs(ms - exactMs) > 1e-6) return wrong("Write whole milliseconds.");
    if (ms < minMs || ms > maxMs) {
      const remedy = `Accepted: ${formatDuration(minMs)} to ${formatDuration(maxMs)}.`;
      return new Refused("is out of bounds", remedy, { code: "out_of_range" });
    }
    return ms;
  });
}

/** A duration in the greatest unit that holds it whole: 90s, 500ms, 2h. */
export function formatDuration(ms: number): string {
  if (ms === 0) return "0s";
  for (const unit of ["d", "h", "m", "s"] as const) {
    if (ms % UNITS_MS[unit] === 0) return `${ms / UNITS_MS[unit]}${unit}`;
  }
  return `${ms}ms`;
}

/** A time to live: a duration of whole seconds, at most a week. Unit: s. */
export const ttl = duration({ minMs: 0, maxMs: 7 * DAY_MS }).transform((ms, context): number => {
  if (ms % 1000 === 0) return ms / 1000;
  context.issues.push({
    code: "custom",
    input: `${ms}ms`,
    message: "is no whole number of seconds",
    params: {
      code: "invalid",
      remedy: "DNS counts a time to live in seconds: write 1s, 30s or 5m.",
      hide: false,
    },
  });
  return z.NEVER;
});

/** An integer within bounds. */
export function integer(min: number, max: number) {
  return leaf(`a whole number from ${min} to ${max}`, (value) => {
    const remedy = `Write a whole number from ${min} to ${max}.`;
    if (typeof value !== "number" || !Number.isInteger(value))
      return new Refused("is no whole number", remedy);
    return value >= min && value <= max
      ? value
      : new Refused("is out of bounds", remedy, { code: "out_of_range" });
  });
}

/** A probability above 0 and at most a half: a number or a percentage. */
export const probability = leaf("a probability such as 1e-6 or 0.01%", (value) => {
  const remedy =
    "Write a number such as 0.000001 or 1e-6, or a percentage such as 0.01%, above 0 and at most 0.5.";
  const percent = typeof value === "string" ? /^(\d*\.?\d+(?:e-?\d+)?) ?%$/i.exec(value) : null;
  const number = typeof value === "number" ? value : percent === null ? Number.NaN : Number(percent[1]) / 100;
  if (!Number.isFinite(number)) return new Refused("is no probability", remedy);
  return number > 0 && number <= 0.5
    ? number
    : new Refused("is out of bounds", remedy, { code: "out_of_range" });
});

/** true or false. */
export const flag = leaf("true or false", (value) =>
  typeof value === "boolean" ? value : new Refused("is neither true nor false", "Write true or false."),
);

/** Text that is not empty. */
export function text(what: string) {
  return leaf(what, (value) => {
    if (typeof value === "number" || typeof value === "boolean") {
      return new Refused("is no text", "Put it in quotes, as YAML reads it as something else.");
    }
    return typeof value === "string" && value !== "" ? value : new Refused("is no text", `Write ${what}.`);
  });
}

/** One of a few words. */
export function word<const Words extends readonly string[]>(words: Words) {
  const list = words.join(", ");
  return leaf(`one of: ${list}`, (value): Words[number] | Refused =>
    typeof value === "string" && words.includes(value)
      ? value
      : new Refused("is not one of the accepted words", `Accepted: ${list}.`),
  );
}

/**
 * A name of ours: a letter, then letters, digits and hyphens, at most 63. It begins with a letter because JavaScript
 * would reorder mapping keys that look like numbers, and the order of the document means something.
 */
export const id = leaf("a name such as site-a", (value) =>
  typeof value === "string" && /^[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(value)
    ? value
    : new Refused(
        "is no name",
        "Use lower-case letters, digits and hyphens, beginning with a letter, not ending with a hyphen, at most 63.",
      ),
);

export const siteName = id.transform((value): SiteId => siteId(value));
export const witnessName = id.transform((value): WitnessId => witnessId(value));

/** True for a host name in letters, digits, hyphens and underscores (RFC 1123, and what DNS really holds). */
function isDnsName(value: string): boolean {
  return (
    value.length <= 253 &&
    /^(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/.test(value)
  );
}

/** A domain name, in lower case and without trailing dot. */
export const dnsName = leaf("a domain name such as www.example.com", (value) => {
  const remedy =
    "Write a full domain name such as www.example.com: labels of 1 to 63 letters, digits, - or _, 253 in all.";
  if (typeof value !== "string") return new Refused("is no domain name", remedy);
  const name = value.toLowerCase().replace(/\.$/, "");
  return isDnsName(name) ? name : new Refused("is no domain name", remedy);
});

/** A domain name as a mapping key: only in its one normal spelling, so that no name can stand twice. */
export const dnsKey = leaf("a domain name such as www.example.com", (value) => {
  const name = String(value).toLowerCase().replace(/\.$/, "");
  if (!isDnsName(name))
    return new Refused("is no domain name", "Write a full domain name such as www.example.com.");
  return name === value ? name : new Refused("is not in its normal spelling", `Write ${name}.`);
});

/** A mailbox as a domain name (RFC 1035 section 3.3.13), from that form or from `user@example.com`. */
export const contactName = leaf("a mailbox such as hostmaster@example.com", (value) => {
  const remedy = "Write hostmaster@example.com or hostmaster.example.com.";
  if (typeof value !== "string") return new Refused("is no mailbox", remedy);
  const [user, host, ...more] = value.toLowerCase().replace(/\.$/, "").split("@");
  if (user === undefined || more.length > 0) return new Refused("is no mailbox", remedy);
  if (host === undefined) return isDnsName(user) ? user : new Refused("is no mailbox", remedy);
  if (!/^[a-z0-9._+-]{1,63}$/.test(user) || !isDnsName(host)) return new Refused("is no mailbox", remedy);
  return `${user.replaceAll(".", "\\.")}.${host}`;
});

/** `host:port` in one spelling: a name, an IPv4 address, or an IPv6 address in brackets. */
export function hostPort(defaultPort?: number) {
  const example = defaultPort === undefined ? "10.1.0.5:7400" : `10.1.0.5:${defaultPort}`;
  return leaf(`host:port, such as ${example}`, (value) => {
    const parsed = typeof value === "string" ? splitHostPort(value, defaultPort) : "is no host:port";
    if (typeof parsed !== "string")
      return `${parsed.host.includes(":") ? `[${parsed.host}]` : parsed.host}:${parsed.port}`;
    const remedy = `Write ${example} or "[2001:db8::5]:${defaultPort ?? 7400}" (IPv6 in brackets and quotes), port 1 to 65535.`;
    return new Refused(parsed, remedy);
  });
}

/** Host without brackets and port of a `host:port`, or what is wrong with it. */
export function splitHostPort(value: string, defaultPort?: number): { host: string; port: number } | string {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s/@]+))(?::(\d{1,5}))?$/.exec(value);
  if (match === null) return isIPv6(value) ? "is an IPv6 address without brackets" : "is no host:port";
  const port = match[3] === undefined ? defaultPort : Number(match[3]);
  if (port === undefined) return "has no port";
  if (port < 1 || port > 65_535) return "has a port out of bounds";
  const v6 = match[1];
  if (v6 !== undefined)
    return isIPv6(v6) ? { host: v6.toLowerCase(), port } : "has no IPv6 address in its brackets";
  const host = (match[2] ?? "").toLowerCase();
  // 10.1.0.256 is a valid host name by its letters, and never meant as one.
  const looksLikeV4 = /^[\d.]+$/.test(host);
  if (looksLikeV4 ? !isIPv4(host) : !isDnsName(host)) return "has no host name or address before the port";
  return { host, port };
}

/** An http or https URL without user and password and without a secret in its query. */
export const httpUrl = leaf("a URL such as http://10.1.0.10/health", (value) => {
  const remedy = "Write a URL such as http://10.1.0.10/health, in quotes.";
  if (typeof value !== "string" || !URL.canParse(value))
    return new Refused("is no URL", remedy, { hide: true });
  const url = new URL(value);
  if (url.protocol !== "http:" && url.protocol !== "https:")
    return new Refused("is no http or https URL", remedy, { hide: true });
  const secretName = [...url.searchParams.keys()].find(isSecretName);
  if (url.username !== "" || url.password !== "" || secretName !== undefined) {
    const what =
      secretName === undefined ? "carries a user or password" : `carries a secret (parameter ${secretName})`;
    const advice = "This document is replicated and shown: use an exec command that reads its own secret.";
    return new Refused(what, advice, { code: "literal_secret", hide: true });
  }
  return value;
});

/** Program and arguments. */
export const command = leaf("a list such as [/usr/local/bin/hook, --fast]", (value) => {
  const remedy = "Write a list: [/usr/local/bin/hook, --fast]. No shell reads it; quote numbers.";
  if (!Array.isArray(value) || value.length === 0 || !value.every((part) => typeof part === "string")) {
    return new Refused("is no list of program and arguments", remedy);
  }
  const parts = value as string[];
  if (parts[0] === "" || parts.some((part) => part.includes("\0")))
    return new Refused("is no command", remedy);
  return parts;
});

/** An absolute path of a file that every witness has. */
export const filePath = leaf("an absolute path such as /etc/pointsman/tsig.key", (value) =>
  typeof value === "string" && /^\/[^\0]+$/.test(value)
    ? value
    : new Refused(
        "is no absolute path",
        "Write a path that begins with a slash, such as /etc/pointsman/tsig.key.",
        { hide: true },
      ),
);

/** Name of an environment variable. */
export const envName = leaf("the name of an environment variable", (value) =>
  typeof value === "string" && /^[A-Z_][A-Z0-9_]{0,127}$/i.test(value)
    ? value
    : new Refused("is no name of an environment variable", "Write a name such as POINTSMAN_TSIG_KEY.", {
        hide: true,
      }),
);
