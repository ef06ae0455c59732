/**
 * The shape of the document, section by section, as an operator writes it; build.ts fills in the defaults.
 *
 * Unknown keys are refused everywhere (`strictObject`). Where one thing is common it may be written short: one value
 * for a list of one, a URL for an HTTP probe, `none` for a fence. docs/configuration.md describes each key.
 */
import { z } from "zod";
import { parseJsonPath } from "../probe/json-path.js";
import { knownKeys } from "./finding.js";
import {
  command,
  contactName,
  dnsKey,
  dnsName,
  duration,
  envName,
  filePath,
  flag,
  hostPort,
  httpUrl,
  id,
  integer,
  leaf,
  probability,
  Refused,
  siteName,
  text,
  ttl,
  witnessName,
  word,
} from "./leaf.js";
import { isSecretName } from "./problem.js";

/** One value or a list of at least one. */
function oneOrMore<T>(schema: z.ZodType<T, unknown>) {
  return z.preprocess(
    (value) => (value === undefined || value === null || Array.isArray(value) ? value : [value]),
    z.array(schema).superRefine((list, context) => {
      if (list.length === 0)
        report(context, list, new Refused("is an empty list", "Write at least one.", { code: "empty" }));
    }),
  );
}

/** A mapping from names to values. `what` is what one of them is called. */
function named<T>(what: string, schema: z.ZodType<T, unknown>, key: z.ZodType<string, unknown> = id) {
  return z.record(key as z.ZodType<string, string>, schema).superRefine((map, context) => {
    if (Object.keys(map).length > 0) return;
    report(context, map, new Refused("is empty", `Name at least one ${what}.`, { code: "empty" }));
  });
}

/** The short form when the value is a scalar or a list, else the long one. */
function shortOr<Short, Long>(short: z.ZodType<Short, unknown>, long: z.ZodType<Long, unknown>) {
  return z.unknown().transform((value, context): Short | Long => {
    const isLong = typeof value === "object" && value !== null && !Array.isArray(value);
    const result = isLong
      ? long.safeParse(value, { error: knownKeys })
      : short.safeParse(value, { error: knownKeys });
    if (result.success) return result.data;
    for (const issue of result.error.issues)
      context.issues.push({ ...issue, input: value } as z.core.$ZodRawIssue);
    return z.NEVER;
  });
}

/** Judges a mapping although one of its values was refused: all mistakes show at once. */
const always = { when: ({ value }: { value: unknown }) => typeof value === "object" && value !== null };

/** Exactly one of the keys must stand in the mapping. */
function exactlyOne(keys: readonly string[]) {
  return (value: object, context: z.core.$RefinementCtx): void => {
    const found = keys.filter((key) => (value as Record<string, unknown>)[key] !== undefined);
    if (found.length === 1) return;
    const list = keys.join(", ");
    const refused =
      found.length === 0
        ? new Refused(`has none of ${list}`, "Write exactly one of them.", { code: "missing" })
        : new Refused(`has ${found.join(" and ")}`, `Write exactly one of ${list}.`, {
            code: "contradiction",
          });
    report(context, value, refused);
  };
}

function report(
  context: z.core.$RefinementCtx,
  input: unknown,
  refused: Refused,
  path: readonly string[] = [],
): void {
  const { code, message, remedy, hide } = refused;
  context.addIssue({ code: "custom", input, message, params: { code, remedy, hide }, path: [...path] });
}

/** A section whose inside is judged on its own. */
const section = z.unknown().optional();

/** The top level; `groups` and the rest are judged one by one. */
export const rootSchema = z.strictObject({
  cluster: id,
  version: integer(1, Number.MAX_SAFE_INTEGER),
  witnesses: section,
  sites: section,
  leaders: section,
  timings: section,
  probes: section,
  dns: section,
  groups: section,
});

export const witnessesSchema = named(
  "witness",
  z.strictObject({
    site: siteName.optional(),
    peer: oneOrMore(hostPort()),
    admin: hostPort(),
    dns: hostPort(53).optional(),
  }),
  witnessName,
);

export const sitesSchema = oneOrMore(siteName);

export const leadersSchema = oneOrMore(witnessName);

const shortTime = duration({ minMs: 1, maxMs: 600_000 });

export const timingsSchema = z.strictObject({
  profile: word(["wan", "fast"]).optional(),
  tick: duration({ minMs: 5, maxMs: 10_000 }).optional(),
  heartbeat: shortTime.optional(),
  electionMin: shortTime.optional(),
  electionMax: shortTime.optional(),
  viewInterval: shortTime.optional(),
  viewTimeout: shortTime.optional(),
});

const probeShape = {
  interval: duration({ minMs: 20, maxMs: 3_600_000 }).optional(),
  timeout: duration({ minMs: 10, maxMs: 600_000 }).optional(),
  fall: integer(1, 100).optional(),
  rise: integer(1, 100).optional(),
  falseAlarm: probability.optional(),
};

/** Defaults for every target. */
export const probesSchema = z.strictObject(probeShape);

const recordValues = oneOrMore(text("a value"));

/** Record sets by name, then type; values are judged in build.ts, where the type is known. */
const recordsSchema = z.record(
  dnsKey as unknown as z.ZodType<string, string>,
  z.strictObject({
    A: recordValues.optional(),
    AAAA: recordValues.optional(),
    CNAME: recordValues.optional(),
    TXT: recordValues.optional(),
  }),
);

const statusRange = leaf(
  "a status code such as 200 or 200-299",
  (value): readonly [number, number] | Refused => {
    const match = /^(\d{3})(?:-(\d{3}))?$/.exec(String(value));
    const from = Number(match?.[1]);
    const to = match?.[2] === undefined ? from : Number(match[2]);
    if (match !== null && from >= 100 && to <= 599 && from <= to) return [from, to];
    return new Refused(
      "is no status code",
      "Write 200, a range such as 200-299, or a list of them; 100 to 599.",
    );
  },
);

const pattern = leaf("a regular expression", (value) => {
  if (typeof value !== "string" || value === "")
    return new Refused("is no regular expression", "Write it in quotes.");
  try {
    new RegExp(value, "u");
    return value;
  } catch {
    return new Refused(
      "is no regular expression",
      "Write one of JavaScript's form, without slashes, in single quotes.",
    );
  }
});

const jsonPath = leaf("a path such as status.db", (value) =>
  typeof value === "string" && value !== "" && parseJsonPath(value) !== null
    ? value
    : new Refused("is no path", "Write names and positions: status.db, checks[0].state."),
);

const scalarOrNull = z.custom<string | number | boolean | null>(
  (value) => value === null || ["string", "number", "boolean"].includes(typeof value),
  {
    message: "is no single value",
    params: { code: "invalid", remedy: "Write text, a number, true, false, or null.", hide: false },
  },
);

const bodySchema = z
  .strictObject({
    contains: text("the text to look for").optional(),
    matches: pattern.optional(),
    json: jsonPath.optional(),
    equals: scalarOrNull.optional(),
  })
  .superRefine(exactlyOne(["contains", "matches", "json"]), always)
  .superRefine((body, context) => {
    if ((body.json === undefined) === (body.equals === undefined)) return;
    const remedy = "Write both: { json: status.db, equals: ok }.";
    report(context, body, new Refused("has only one of json and equals", remedy, { code: "contradiction" }));
  });

const headersSchema = z.record(z.string(), text("the header's value")).superRefine((headers, context) => {
  for (const [name, value] of Object.entries(headers)) {
    if (isSecretName(name)) {
      const remedy =
        "This document is replicated and shown: open the health path for the witnesses' addresses, or use an exec probe that reads its own secret.";
      report(
        context,
        value,
        new Refused("is a secret in the document", remedy, { code: "literal_secret", hide: true }),
        [name],
      );
    } else if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name) || !/^[\t\x20-\x7e]*$/.test(value)) {
      report(
        context,
        value,
        new Refused("is no HTTP header", "Use printable ASCII, no spaces in the name."),
        [name],
      );
    }
  }
});

const httpSchema = shortOr(
  httpUrl.transform((url) => ({ url })),
  z.strictObject({
    url: httpUrl,
    method: word(["GET", "HEAD", "OPTIONS", "POST"]).optional(),
    headers: headersSchema.optional(),
    expectStatus: oneOrMore(statusRange).optional(),
    expectBody: bodySchema.optional(),
    tls: z
      .strictObject({
        verify: flag.optional(),
        caFile: filePath.optional(),
        serverName: dnsName.optional(),
      })
      .optional(),
  }),
);

const execProbeSchema = shortOr(
  command.transform((parts) => ({ command: parts })),
  z.strictObject({ command, expectExit: integer(0, 255).optional() }),
);

const targetSchema = z
  .strictObject({
    http: httpSchema.optional(),
    tcp: hostPort().optional(),
    exec: execProbeSchema.optional(),
    required: flag.optional(),
    ...probeShape,
  })
  .superRefine(exactlyOne(["http", "tcp", "exec"]), always);

const hookTimeout = duration({ minMs: 100, maxMs: 3_600_000 }).optional();
const hookSchema = z.strictObject({ exec: command, timeout: hookTimeout });

const keySchema = z
  .strictObject({
    name: dnsName,
    algorithm: word(["hmac-sha256", "hmac-sha512"]).optional(),
    secretFile: filePath.optional(),
    secretEnv: envName.optional(),
  })
  .superRefine(exactlyOne(["secretFile", "secretEnv"]), always);

const routeSchema = z
  .strictObject({
    rfc2136: z
      .strictObject({
        zone: dnsName,
        server: oneOrMore(hostPort(53)),
        key: keySchema.optional(),
        ttl: ttl.optional(),
        timeout: hookTimeout,
      })
      .optional(),
    embedded: shortOr(
      dnsName.transform((zone) => ({ zone })),
      z.strictObject({ zone: dnsName }),
    ).optional(),
  })
  .superRefine(exactlyOne(["rfc2136", "embedded"]), always);

const announceSchema = z
  .strictObject({ webhook: httpUrl.optional(), exec: command.optional(), timeout: hookTimeout })
  .superRefine(exactlyOne(["webhook", "exec"]), always);

export const groupSchema = z.strictObject({
  mode: word(["automatic", "hold"]).optional(),
  sites: named(
    "site",
    z.strictObject({ targets: named("target", targetSchema), records: recordsSchema.optional() }),
    siteName,
  ),
  stability: duration({ minMs: 0 }).optional(),
  holdDown: duration({ minMs: 0 }).optional(),
  failback: shortOr(word(["manual"]), z.strictObject({ automatic: duration() })).optional(),
  fence: shortOr(word(["none"]), hookSchema).optional(),
  drain: hookSchema.optional(),
  promote: hookSchema.optional(),
  route: z.array(routeSchema).optional(),
  verify: z
    .strictObject({
      servers: oneOrMore(hostPort(53)).optional(),
      resolvers: oneOrMore(hostPort(53)).optional(),
      timeout: hookTimeout,
    })
    .optional(),
  announce: z.array(announceSchema).optional(),
  retry: z
    .strictObject({
      limit: integer(1, 100).optional(),
      backoff: duration({ maxMs: 3_600_000 }).optional(),
      backoffMax: duration({ maxMs: 3_600_000 }).optional(),
    })
    .optional(),
  onFailure: word(["next", "wait"]).optional(),
});

const zoneSchema = z.strictObject({
  nameServers: oneOrMore(dnsName),
  contact: contactName,
  ttl: ttl.optional(),
  negativeTtl: ttl.optional(),
  records: recordsSchema.optional(),
});

export const dnsSchema = z.strictObject({
  maxStaleness: duration({ minMs: 100 }).optional(),
  whenStale: word(["stale", "servfail"]).optional(),
  zones: named("zone", zoneSchema, dnsKey),
});

/** The groups by name; each one's inside is judged with `groupSchema`. */
export const groupsSchema = named("group", z.unknown());

export type WitnessesSection = z.output<typeof witnessesSchema>;
export type TimingsSection = z.output<typeof timingsSchema>;
export type ProbesSection = z.output<typeof probesSchema>;
export type GroupSection = z.output<typeof groupSchema>;
export type TargetSection = z.output<typeof targetSchema>;
export type RouteSection = z.output<typeof routeSchema>;
export type AnnounceSection = z.output<typeof announceSchema>;
export type HookSection = z.output<typeof hookSchema>;
export type RecordsSection = z.output<typeof recordsSchema>;
export type DnsSection = z.output<typeof dnsSchema>;
