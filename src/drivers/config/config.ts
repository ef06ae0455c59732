/**
 * The door of the configuration: text in, `ClusterConfig` out, or everything that is wrong with it at once.
 *
 * document.ts reads YAML, schema.ts judges each section's shape, build.ts fills in defaults, check.ts holds the parts
 * against each other, advise.ts warns of what is legal and unwise. Nothing here throws on any text.
 */
import { isUtf8 } from "node:buffer";
import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import type { ClusterConfig, EmbeddedDnsConfig, GroupConfig } from "../../core/model/config.js";
import { type Advice, adviseConfig } from "./advise.js";
import { buildDns, buildGroup, buildSites, buildTimings, buildWitnesses } from "./build.js";
import { checkDraft } from "./check.js";
import { DOCUMENT_BYTES_MAX, readDocument } from "./document.js";
import { parseSection } from "./finding.js";
import { type ConfigProblem, type Finding, formatProblem } from "./problem.js";
import { PROFILES } from "./profile.js";
import {
  dnsSchema,
  groupSchema,
  groupsSchema,
  leadersSchema,
  probesSchema,
  rootSchema,
  sitesSchema,
  timingsSchema,
  witnessesSchema,
} from "./schema.js";

/** A warning with the line of what it is about. */
export interface ConfigWarning extends Advice {
  readonly file: string;
  readonly line: number;
}

/** What became of a document. */
export type ConfigResult =
  | {
      readonly kind: "accepted";
      readonly config: ClusterConfig;
      /** SHA-256 of the canonical JSON of `config`, in hex: equal for documents that mean the same. */
      readonly hash: string;
      readonly warnings: readonly ConfigWarning[];
    }
  /** In the order of the document. */
  | { readonly kind: "refused"; readonly errors: readonly ConfigProblem[] };

/** Reads and judges the file. A file that cannot be read is an error like any other; never rejects. */
export async function loadConfig(path: string): Promise<ConfigResult> {
  let bytes: Buffer;
  try {
    const info = await stat(path);
    // Devices and pipes may never end.
    if (!info.isFile())
      return refusedFile(path, "is no regular file", "Give the path of the configuration file.");
    if (info.size > DOCUMENT_BYTES_MAX) {
      const message = `is ${info.size} bytes long, more than ${DOCUMENT_BYTES_MAX}`;
      return refusedFile(path, message, "Is this the right file?");
    }
    bytes = await readFile(path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    const [message, remedy] = READ_ERRORS[code] ?? [
      `cannot be read (${code})`,
      "Check path and permissions.",
    ];
    return refusedFile(path, message, remedy);
  }
  if (!isUtf8(bytes)) return refusedFile(path, "is not UTF-8", "Save it as UTF-8.");
  return parseConfig(bytes.toString("utf8"), path);
}

const READ_ERRORS: Record<string, readonly [string, string]> = {
  ENOENT: ["does not exist", "Give the path of the configuration with --config."],
  EACCES: ["may not be read by this user", "Check its owner and mode."],
};

function refusedFile(file: string, message: string, remedy: string): ConfigResult {
  const error: ConfigProblem = {
    code: "unreadable",
    file,
    line: 0,
    column: 0,
    path: "",
    message,
    remedy,
    value: null,
  };
  return { kind: "refused", errors: [error] };
}

/** Judges a document. `file` is only a name for messages. Never throws. */
export function parseConfig(text: string, file: string): ConfigResult {
  const document = readDocument(text, file);
  if ("problems" in document) return { kind: "refused", errors: inOrder(document.problems) };
  const findings: Finding[] = [];
  const config = readConfig(document.value, findings);
  if (config === null) return { kind: "refused", errors: inOrder(findings.map(document.locate)) };
  const warnings = adviseConfig(config).map((advice) => ({
    ...advice,
    file,
    line: document.lineOf(advice.path),
  }));
  warnings.sort((a, b) => a.line - b.line);
  return { kind: "accepted", config, hash: hashConfig(config), warnings };
}

/** Reads each section on its own, so that all mistakes show at once. Null when there are findings. */
function readConfig(value: unknown, findings: Finding[]): ClusterConfig | null {
  const root = parseSection(rootSchema, value, [], findings);
  const raw = (typeof value === "object" && value !== null && !Array.isArray(value) ? value : null) as Record<
    string,
    unknown
  > | null;
  if (raw === null) return null;
  const witnesses = parseSection(witnessesSchema, raw["witnesses"], ["witnesses"], findings);
  const sites = parseSection(sitesSchema, raw["sites"], ["sites"], findings);
  const leaders =
    raw["leaders"] === undefined
      ? undefined
      : parseSection(leadersSchema, raw["leaders"], ["leaders"], findings);
  const timings = parseSection(
    timingsSchema,
    raw["timings"] === undefined ? {} : raw["timings"],
    ["timings"],
    findings,
  );
  const probes = parseSection(
    probesSchema,
    raw["probes"] === undefined ? {} : raw["probes"],
    ["probes"],
    findings,
  );
  const dns = raw["dns"] === undefined ? ("absent" as const) : readDns(raw["dns"], findings);
  // Where the profile cannot be read, any stands in for it: the document is refused anyway.
  const defaults = { profile: PROFILES[timings?.profile ?? "wan"], probes: probes ?? {} };
  const groups: GroupConfig[] = [];
  for (const [id, group] of Object.entries(
    parseSection(groupsSchema, raw["groups"], ["groups"], findings) ?? {},
  )) {
    const path = ["groups", id];
    const section = parseSection(groupSchema, group, path, findings);
    if (section !== null) groups.push(buildGroup(id, section, defaults, path, findings));
  }
  const draft = {
    witnesses: witnesses === null ? null : buildWitnesses(witnesses),
    sites,
    leaders: leaders ?? [],
    timings: timings === null ? null : buildTimings(timings),
    dns,
    groups,
  };
  findings.push(...checkDraft(draft));
  if (findings.length > 0 || root === null) return null;
  if (draft.witnesses === null || draft.timings === null || sites === null) return null;
  return {
    cluster: root.cluster,
    version: root.version,
    witnesses: draft.witnesses,
    sites: buildSites(sites),
    ...(leaders === undefined ? {} : { leaders: draft.leaders }),
    groups,
    timings: draft.timings,
    dns: dns === "absent" ? null : dns,
  };
}

function readDns(value: unknown, findings: Finding[]): EmbeddedDnsConfig | null {
  const section = parseSection(dnsSchema, value, ["dns"], findings);
  return section === null ? null : buildDns(section, findings);
}

/** By place, each finding once. */
function inOrder(problems: readonly ConfigProblem[]): ConfigProblem[] {
  const once = new Map(problems.map((problem) => [formatProblem(problem), problem]));
  return [...once.values()].sort((a, b) => a.line - b.line || a.column - b.column);
}

/** SHA-256 in hex of the configuration's canonical JSON: keys sorted, no blanks. */
export function hashConfig(config: ClusterConfig): string {
  return createHash("sha256").update(canonicalJson(config)).digest("hex");
}

function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) => {
    if (typeof inner !== "object" || inner === null || Array.isArray(inner)) return inner;
    const entries = Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    return Object.fromEntries(entries);
  });
}
