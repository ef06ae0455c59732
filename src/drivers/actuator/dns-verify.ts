/**
 * The verify step: ask every authoritative server of the zone, and every resolver that the operator listed,
 * until all say what was ordered or time runs out.
 *
 * Each server is asked on its own, again and again, with short patience a question, so that one dead server neither
 * delays nor hides the others. Authoritative servers are asked for what they have themselves (AA bit, no recursion). A
 * resolver may honestly keep the old record until its TTL ends: that is said with the seconds left, because waiting
 * is the remedy and nothing is broken.
 */
import type { DnsRecordSet } from "../../core/model/config.js";
import type { StepOutcome } from "../../core/model/state.js";
import { Deadline, endpoint, parseEndpoint } from "../dns/endpoint.js";
import { DnsError, DnsFormatError } from "../dns/error.js";
import { canonicalName } from "../dns/name.js";
import { type QueryAnswer, type QueryType, queryDns, recordSet } from "../dns/query.js";
import { encodeValue, rdataKey, showValue, TYPE } from "../dns/rdata.js";

/** What must be seen, and by whom. */
export interface DnsVerifyRequest {
  readonly zone: string;
  /** "host:port" of the primary server(s), in order: asked for the zone's NS records. */
  readonly servers: readonly string[];
  /** "host:port" of the authoritative servers; empty: `servers` and all that the zone's NS records name. */
  readonly authoritative: readonly string[];
  /** "host:port" of resolvers that must follow too. */
  readonly resolvers: readonly string[];
  /** A set without values must not exist. */
  readonly records: readonly DnsRecordSet[];
  readonly timeoutMs: number;
  /** Pause between two questions to one server. Default 250. */
  readonly intervalMs?: number;
  /** Port of the servers that NS records name. Default 53. */
  readonly nameServerPort?: number;
}

/** What one server said last. */
export interface DnsVerifyReport {
  /** "host:port", or the NS name where no address was found. */
  readonly server: string;
  readonly role: "authoritative" | "resolver";
  /** Milliseconds from the start to the first agreement; null while it disagrees. */
  readonly agreedAfterMs: number | null;
  /** What it said last, or why it said nothing. One line. */
  readonly answer: string;
  /** It gave no answer at all when it was asked last: it may be down, or cut off from here. */
  readonly isSilent: boolean;
  /** Seconds for which a resolver may keep its old answer; null when unknown. */
  readonly oldTtlSeconds: number | null;
}

/** The outcome of a step, and what each server said. */
export interface DnsVerifyOutcome extends StepOutcome {
  readonly reports: readonly DnsVerifyReport[];
}

const QUESTION_TIMEOUT_MS = 1_000;
const DEFAULT_INTERVAL_MS = 250;

interface Expectation {
  readonly name: string;
  readonly type: DnsRecordSet["type"];
  readonly keys: string;
}

function expectations(records: readonly DnsRecordSet[]): Expectation[] {
  return records.map(({ name, type, values }) => ({
    name: canonicalName(name),
    type,
    keys: [...new Set(values.map((value) => rdataKey(TYPE[type], encodeValue(type, value))))]
      .sort()
      .join(" "),
  }));
}

/** An answer that never came; anything else is an answer, if a bad one. */
const SILENT_CODES: readonly string[] = ["dns_unreachable", "dns_timeout", "dns_closed", "dns_aborted"];

/** One look at one server: true with what it said, or false with what is wrong. */
interface Look {
  readonly isAgreed: boolean;
  readonly isSilent: boolean;
  readonly text: string;
  readonly ttlSeconds: number | null;
}

function judgeAnswer(expected: Expectation, answer: QueryAnswer, role: DnsVerifyReport["role"]): Look {
  const what = `${expected.name} ${expected.type}`;
  const wrong = (text: string, ttlSeconds: number | null = null): Look => ({
    isAgreed: false,
    isSilent: false,
    text: `${what}: ${text}`,
    ttlSeconds,
  });
  if (answer.rcode !== "NOERROR" && answer.rcode !== "NXDOMAIN") return wrong(answer.rcode);
  if (role === "authoritative" && !answer.authoritative) return wrong("not authoritative for the zone");
  const set = recordSet(answer.message, expected.name, TYPE[expected.type]);
  const keys = set
    .map((record) => rdataKey(record.type, record.rdata))
    .sort()
    .join(" ");
  const shown = set.map((record) => showValue(record.type, record.rdata)).join(", ");
  const text = set.length === 0 ? `no such record (${answer.rcode})` : shown;
  if (keys === expected.keys)
    return { isAgreed: true, isSilent: false, text: `${what}: ${text}`, ttlSeconds: null };
  // How long a resolver may repeat this: the TTL of the set, or of the SOA that came with "no such record".
  const ttls = (set.length > 0 ? answer.answers : answer.authorities).map((record) => record.ttl);
  return wrong(text, ttls.length === 0 ? null : Math.max(...ttls));
}

async function look(
  server: string,
  role: DnsVerifyReport["role"],
  expected: readonly Expectation[],
  deadline: Deadline,
  signal: AbortSignal,
): Promise<Look> {
  const texts: string[] = [];
  for (const one of expected) {
    const answer = await askOnce(server, one.name, one.type, role === "resolver", deadline, signal);
    if (answer instanceof DnsError) {
      const isSilent = SILENT_CODES.includes(answer.code);
      return { isAgreed: false, isSilent, text: answer.message, ttlSeconds: null };
    }
    const result = judgeAnswer(one, answer, role);
    if (!result.isAgreed) return result;
    texts.push(result.text);
  }
  return { isAgreed: true, isSilent: false, text: texts.join("; "), ttlSeconds: null };
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const onEnd = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onEnd);
      resolve();
    };
    const timer = setTimeout(onEnd, ms);
    signal.addEventListener("abort", onEnd);
    if (signal.aborted) onEnd();
  });
}

/** Addresses of a name server's name: glue from the answer that named it, else from the first resolver that knows. */
async function addressesOf(
  name: string,
  glue: QueryAnswer,
  askers: readonly { readonly server: string; readonly recursion: boolean }[],
  deadline: Deadline,
  signal: AbortSignal,
): Promise<string[]> {
  const owner = canonicalName(name);
  const own = [...glue.additionals, ...glue.answers]
    .filter(
      (record) => canonicalName(record.name) === owner && (record.type === "A" || record.type === "AAAA"),
    )
    .map((record) => record.value);
  if (own.length > 0) return own;
  for (const { server, recursion } of askers) {
    const found: string[] = [];
    for (const type of ["A", "AAAA"] as const) {
      const answer = await askOnce(server, name, type, recursion, deadline, signal);
      if (answer instanceof DnsError) continue;
      found.push(...answer.answers.filter((record) => record.type === type).map((record) => record.value));
    }
    if (found.length > 0) return found;
  }
  return [];
}

/** One question within the budget; no answer is a value here. */
async function askOnce(
  server: string,
  name: string,
  type: QueryType,
  recursion: boolean,
  deadline: Deadline,
  signal: AbortSignal,
): Promise<QueryAnswer | DnsError> {
  try {
    const timeoutMs = Math.min(QUESTION_TIMEOUT_MS, deadline.leftMs);
    return await queryDns(server, name, type, { timeoutMs, recursion, signal });
  } catch (error) {
    if (error instanceof DnsError) return error;
    throw error;
  }
}

function missing(server: string, answer: string): DnsVerifyReport {
  return { server, role: "authoritative", agreedAfterMs: null, answer, isSilent: false, oldTtlSeconds: null };
}

/** Who is authoritative: the listed servers, or the primary and all that the zone's NS records name. */
async function discover(
  request: DnsVerifyRequest,
  deadline: Deadline,
  signal: AbortSignal,
): Promise<{ readonly servers: string[]; readonly lost: DnsVerifyReport[] }> {
  if (request.authoritative.length > 0) return { servers: [...request.authoritative], lost: [] };
  const servers = new Set(request.servers.map((server) => parseEndpoint(server).text));
  const lost: DnsVerifyReport[] = [];
  const askers = [
    ...request.servers.map((server) => ({ server, recursion: false })),
    ...request.resolvers.map((server) => ({ server, recursion: true })),
  ];
  // Without the list nobody can say that all agree, so the list is asked for until it comes.
  const reasons = new Map<string, string>();
  for (;;) {
    for (const primary of request.servers) {
      const answer = await askOnce(primary, request.zone, "NS", false, deadline, signal);
      const names =
        answer instanceof DnsError
          ? []
          : answer.answers.filter((record) => record.type === "NS").map((record) => record.value);
      if (answer instanceof DnsError || names.length === 0) {
        const what =
          answer instanceof DnsError ? answer.message : `no NS records of ${request.zone} (${answer.rcode})`;
        // The last question is cut short by the end of time; the reason before it tells more.
        if (deadline.leftMs > 0 || !reasons.has(primary)) reasons.set(primary, what);
        continue;
      }
      const found = await Promise.all(
        names.map((name) => addressesOf(name, answer, askers, deadline, signal)),
      );
      for (const [at, name] of names.entries()) {
        const addresses = found[at] ?? [];
        for (const address of addresses) servers.add(endpoint(address, request.nameServerPort ?? 53).text);
        if (addresses.length === 0)
          lost.push(missing(name, "an NS record names it, but no address of it was found"));
      }
      return { servers: [...servers], lost };
    }
    if (signal.aborted || deadline.leftMs === 0) {
      const why = (server: string): string => reasons.get(server) ?? "was not asked";
      return { servers: [], lost: request.servers.map((server) => missing(server, why(server))) };
    }
    await sleep(Math.min(request.intervalMs ?? DEFAULT_INTERVAL_MS, deadline.leftMs), signal);
  }
}

/** One line a server, for the audit record. */
function showReport(report: DnsVerifyReport): string {
  const when =
    report.agreedAfterMs === null ? "disagrees" : `agreed after ${Math.round(report.agreedAfterMs)} ms`;
  return `${report.role} ${report.server}: ${when}: ${report.answer}`;
}

function conclude(reports: readonly DnsVerifyReport[], tookMs: number, isAborted: boolean): DnsVerifyOutcome {
  const detail = reports.map(showReport).join("\n");
  const open = reports.filter((report) => report.agreedAfterMs === null);
  const count = `${reports.length} ${reports.length === 1 ? "server" : "servers"}`;
  if (open.length === 0) {
    const message = `all ${count} agree after ${Math.round(tookMs)} ms`;
    return { kind: "done", code: "ok", message, retriable: false, detail, reports };
  }
  const failed = (code: string, message: string): DnsVerifyOutcome => ({
    kind: "failed",
    code,
    message,
    retriable: true,
    detail,
    reports,
  });
  if (isAborted) return failed("dns_aborted", `verification was given up after ${Math.round(tookMs)} ms`);
  const who = open.map((report) => `${report.server} (${report.answer})`).join("; ");
  const waits = open.map((report) => report.oldTtlSeconds ?? 0);
  const isCacheOnly = open.every((report) => report.role === "resolver" && report.oldTtlSeconds !== null);
  if (isCacheOnly) {
    return failed(
      "dns_resolver_cached",
      `all authoritative servers agree, but of the resolvers ${open.length} still have an older answer in their cache: ${who}; ` +
        `nothing is broken, it ends by itself within ${Math.max(...waits)} s; a lower TTL makes that shorter next time`,
    );
  }
  return failed(
    "dns_not_converged",
    `${open.length} of ${count} do not give the ordered records after ${Math.round(tookMs)} ms: ${who}; for a secondary, ` +
      "check that it is notified and may transfer the zone; a server that is gone for good must leave the zone's NS records",
  );
}

/**
 * Asks all servers until they agree. `onProgress` is told of each change of what a server says. The outcome
 * is `done`, or `failed` with `dns_not_converged`, `dns_resolver_cached`, `dns_aborted` or
 * `dns_invalid_request`; never throws for what the world does.
 */
export async function verifyDns(
  request: DnsVerifyRequest,
  signal: AbortSignal,
  onProgress: (report: DnsVerifyReport) => void = () => {},
): Promise<DnsVerifyOutcome> {
  const startedAt = performance.now();
  const deadline = Deadline.in(request.timeoutMs);
  const tookMs = (): number => performance.now() - startedAt;
  try {
    const expected = expectations(request.records);
    const { servers, lost } = await discover(request, deadline, signal);
    const watch = async (server: string, role: DnsVerifyReport["role"]): Promise<DnsVerifyReport> => {
      let report: DnsVerifyReport = {
        server,
        role,
        agreedAfterMs: null,
        answer: "not asked yet",
        isSilent: true,
        oldTtlSeconds: null,
      };
      for (;;) {
        const { leftMs } = deadline;
        const seen = await look(server, role, expected, deadline, signal);
        // The last question is cut short by the end of time, by a timer that may be a moment early; what the server
        // said before tells more.
        const isLast = deadline.leftMs === 0 || (seen.isSilent && leftMs < QUESTION_TIMEOUT_MS);
        const isCut = isLast && !seen.isAgreed && report.answer !== "not asked yet";
        if (!isCut) {
          const isNews = seen.isAgreed || seen.text !== report.answer;
          const agreedAfterMs = seen.isAgreed ? tookMs() : null;
          const { isSilent, ttlSeconds } = seen;
          report = { server, role, agreedAfterMs, answer: seen.text, isSilent, oldTtlSeconds: ttlSeconds };
          if (isNews) onProgress(report);
        }
        if (seen.isAgreed || signal.aborted || deadline.leftMs === 0) return report;
        await sleep(Math.min(request.intervalMs ?? DEFAULT_INTERVAL_MS, deadline.leftMs), signal);
      }
    };
    const reports = await Promise.all([
      ...servers.map((server) => watch(server, "authoritative")),
      ...request.resolvers.map((server) => watch(parseEndpoint(server).text, "resolver")),
    ]);
    return conclude([...reports, ...lost], tookMs(), signal.aborted);
  } catch (error) {
    if (!(error instanceof DnsFormatError)) throw error;
    const message = `verify step: ${error.message}`;
    return {
      kind: "failed",
      code: "dns_invalid_request",
      message,
      retriable: false,
      detail: "",
      reports: [],
    };
  }
}
