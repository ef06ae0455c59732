/**
 * The route step by RFC 2136: read, judge, and change the names of a group by one compare-and-swap at the
 * primary server.
 *
 * Read and write go to the same server over the same connection, signed with the same key. The update asserts what was
 * read (epoch record and every owned set), so it is idempotent, safe to repeat after a silence, and refused by the
 * server when it comes from the past; see `dns-switch.ts`. When the server says that the state changed meanwhile,
 * it is read and judged again.
 *
 * The outcome is honest about silence: `failed` only when nothing was changed for sure, `unknown` when an
 * update may still be on its way. A "no" to one of several copies does not speak for the others. A signed
 * "yes" is enough where the server has no reason to leave something out; else it is read back.
 */
import type { DnsRecordSet } from "../../core/model/config.js";
import type { StepOutcome } from "../../core/model/state.js";
import { Deadline, type Endpoint, parseEndpoint } from "../dns/endpoint.js";
import { DnsError, DnsFormatError } from "../dns/error.js";
import { type AskContext, ask, refusal } from "../dns/exchange.js";
import { openHedged } from "../dns/hedge.js";
import { PACE } from "../dns/pace.js";
import { queryMessage, recordSet } from "../dns/query.js";
import { RCODE } from "../dns/rcode.js";
import { TYPE } from "../dns/rdata.js";
import type { TsigKey } from "../dns/tsig.js";
import { openUdp } from "../dns/udp.js";
import { sendUpdate } from "../dns/update.js";
import { epochRecordName, formatEpochMark } from "./dns-epoch.js";
import {
  buildUpdate,
  isMarked,
  judgeState,
  mayBeIgnored,
  type NameState,
  planSwitch,
  type SiteRecords,
  type Switch,
  showSets,
} from "./dns-switch.js";

/** An order to point a group's names at a site. */
export interface DnsRouteRequest {
  readonly group: string;
  readonly epoch: number;
  /** The target of the ticket. */
  readonly site: string;
  readonly zone: string;
  /** "host:port" of the zone's primary server, or of several ways to it, tried in order. */
  readonly servers: readonly string[];
  readonly key: TsigKey | null;
  readonly ttlSeconds: number;
  /** What must stand for `site`; a set without values must not exist. */
  readonly records: readonly DnsRecordSet[];
  /** What stands for each site of the group, to tell own records from a stranger's. A site may come twice. */
  readonly knownValues: readonly SiteRecords[];
  /** Budget for all of it: every server, every retry. */
  readonly timeoutMs: number;
}

/** How to reach the servers; the defaults are right outside tests and odd networks. */
export interface DnsRouteOptions {
  /** Wall clock for signatures. Default `Date.now`. */
  readonly wallClockMs?: () => number;
  /** Default "hedged" (dns/hedge.ts); "udp" still goes to TCP for what does not fit. */
  readonly transport?: "hedged" | "udp";
}

/** How often a state that changed under our hands is read again before the step is given back. */
const ROUNDS_MAX = 3;

/**
 * How long a server may be without a word before the next of the list has its turn; it has another at the
 * end. Unit: ms.
 */
const FIRST_WORD_MS = 1000;

const PREREQUISITE_CODES: readonly string[] = ["dns_nxrrset", "dns_yxrrset", "dns_nxdomain", "dns_yxdomain"];
/** Failures that a second try within the same step may cure. */
const TRANSIENT_CODES: readonly string[] = ["dns_timeout", "dns_closed", "dns_answer_not_authentic"];

function done(message: string, detail: string): StepOutcome {
  return { kind: "done", code: "ok", message, retriable: false, detail };
}

function failed(code: string, message: string, retriable: boolean, detail = ""): StepOutcome {
  return { kind: "failed", code, message, retriable, detail };
}

/** Reads all that an order owns. Throws `DnsError`. */
async function readState(order: Switch, context: AskContext): Promise<NameState[]> {
  const server = context.channel.server.text;
  const read = async (name: string, type: number): Promise<Buffer[]> => {
    const answer = await ask(queryMessage(name, type, { recursion: false, edns: false }), context);
    const error = refusal(answer, server, [RCODE.NOERROR, RCODE.NXDOMAIN]);
    if (error !== null) throw error;
    if (!answer.authoritative) {
      throw new DnsError(
        "dns_not_authoritative",
        `name server ${server} does not speak for ${name}: name the primary server of zone ${order.zone} ` +
          "(a resolver cannot be updated, and a zone cut below the zone hides the name)",
        { server, maybeDone: false, retriable: false },
      );
    }
    return recordSet(answer, name, type).map((record) => record.rdata);
  };
  // All at once: over TCP this costs one round trip, however many sets there are.
  return Promise.all(
    order.names.map(async ({ name, types }) => {
      const [epochData, ...sets] = await Promise.all([
        read(epochRecordName(name), TYPE.TXT),
        ...types.map((type) => read(name, type)),
      ]);
      return { name, epochData, sets: new Map(types.map((type, at) => [type, sets[at] ?? []])) };
    }),
  );
}

/** One line a name: what stood there and what stands there now. */
function story(order: Switch, before: readonly NameState[], server: Endpoint): string {
  return before
    .map((state) => {
      const to = showSets(order.wanted.get(state.name));
      return `${state.name}: ${showSets(state.sets)} -> ${to} (${formatEpochMark(order.mark)}, at ${server.text})`;
    })
    .join("\n");
}

function pointing({ names, mark }: Switch): string {
  return `${names.length === 1 ? "1 name points" : `${names.length} names point`} at ${mark.site} in epoch ${mark.epoch}`;
}

/** What the judgement means as an outcome, or null when there is something to change. */
function settled(order: Switch, states: readonly NameState[], server: Endpoint): StepOutcome | null {
  const judgement = judgeState(order, states);
  switch (judgement.kind) {
    case "already":
      return done(
        `the names already point at ${order.mark.site} in epoch ${order.mark.epoch}`,
        story(order, states, server),
      );
    case "stale":
      return failed(
        "stale_epoch",
        `${judgement.name} was switched in epoch ${judgement.found.epoch} (site ${judgement.found.site}), this order is ` +
          `of epoch ${order.mark.epoch}: it comes from the past and was not carried out`,
        false,
      );
    case "foreign":
      return failed("foreign_change", judgement.message, false);
    case "update":
      return null;
  }
}

/**
 * The server said yes, but cannot be held to it: look once whether it is so. Silence here does not take the
 * yes back.
 */
async function confirm(
  order: Switch,
  before: readonly NameState[],
  context: AskContext,
): Promise<StepOutcome> {
  const { server } = context.channel;
  const message = pointing(order);
  let states: NameState[];
  try {
    states = await readState(order, context);
  } catch (error) {
    if (!(error instanceof DnsError)) throw error;
    return done(message, `${story(order, before, server)}\nnot read back: ${error.message}`);
  }
  const judgement = judgeState(order, states);
  if (judgement.kind === "already") return done(message, story(order, before, server));
  if (judgement.kind === "stale") return settled(order, states, server) ?? done(message, "");
  if (!states.every((state) => isMarked(order, state))) {
    return {
      kind: "unknown",
      code: "dns_not_visible",
      message: `name server ${server.text} accepted the update but still shows the old state: it caches, or forwards updates`,
      retriable: true,
      detail: story(order, before, server),
    };
  }
  const shown = states.map((state) => `${state.name} has ${showSets(state.sets)}`).join("; ");
  return failed(
    "dns_not_applied",
    `name server ${server.text} accepted the update but applied it in part: ${shown}; a CNAME is ignored in silence where ` +
      "other records (MX, TXT, NS) stand at the name: move those, or use A and AAAA",
    false,
    story(order, before, server),
  );
}

/** What is remembered across servers: an update that may still be on its way. */
interface Memory {
  maybeDone: DnsError | null;
}

/** Read, judge, update at one server, again while the state changes under our hands. Throws `DnsError`. */
async function switchAt(
  order: Switch,
  context: AskContext,
  firstWordBy: Deadline,
  memory: Memory,
): Promise<StepOutcome> {
  const earlier = memory.maybeDone;
  let last: DnsError | null = null;
  for (let round = 1; round <= ROUNDS_MAX; round++) {
    const states = await readState(order, round === 1 ? { ...context, deadline: firstWordBy } : context);
    const outcome = settled(order, states, context.channel.server);
    if (outcome !== null) return outcome;
    // The server answered that it failed, and what stands there now shows that it told the truth.
    if (last?.code === "dns_servfail" && last.copies === 1) {
      memory.maybeDone = earlier;
      throw last;
    }
    try {
      await sendUpdate(buildUpdate(order, states), context);
    } catch (error) {
      if (!(error instanceof DnsError)) throw error;
      if (error.maybeDone) memory.maybeDone = error;
      if (!PREREQUISITE_CODES.includes(error.code) && error.code !== "dns_servfail") throw error;
      last = error;
      continue;
    }
    if (context.key === null || mayBeIgnored(order, states)) return confirm(order, states, context);
    return done(pointing(order), story(order, states, context.channel.server));
  }
  return {
    kind: memory.maybeDone === null ? "failed" : "unknown",
    code: "dns_contended",
    message:
      `the records changed ${ROUNDS_MAX} times between reading and writing (last: ${last?.message ?? "none"}); ` +
      "another program writes to them, or a wildcard record answers for a name that does not exist",
    retriable: true,
    detail: "",
  };
}

/**
 * Points the names of a group at a site. Never throws for what the world does: every end is an outcome, with the codes
 * of `dns/rcode.ts` and `dns/error.ts`, and `stale_epoch`, `foreign_change`, `dns_contended`, `dns_not_applied`,
 * `dns_not_visible`, `dns_invalid_request`.
 */
export async function routeDns(
  request: DnsRouteRequest,
  signal: AbortSignal,
  options: DnsRouteOptions = {},
): Promise<StepOutcome> {
  let order: Switch;
  let servers: Endpoint[];
  try {
    const mark = { epoch: request.epoch, site: request.site, group: request.group };
    const { zone, ttlSeconds, records, knownValues } = request;
    order = planSwitch({ zone, ttlSeconds, mark, records, known: knownValues });
    servers = request.servers.map(parseEndpoint);
    if (servers.length === 0) throw new DnsFormatError("the order names no server");
  } catch (error) {
    if (!(error instanceof DnsFormatError)) throw error;
    return failed("dns_invalid_request", `group ${request.group}, DNS route: ${error.message}`, false);
  }
  const deadline = Deadline.in(request.timeoutMs);
  const memory: Memory = { maybeDone: null };
  const errors = new Map<string, DnsError>();
  const attempt = async (
    server: Endpoint,
    until: Deadline,
    firstWordBy: Deadline,
  ): Promise<StepOutcome | null> => {
    const channel =
      options.transport === "udp"
        ? openUdp(server, PACE.pauseMs(server.text))
        : openHedged(server, until, PACE);
    try {
      const wallClockMs = options.wallClockMs ?? Date.now;
      return await switchAt(
        order,
        { channel, key: request.key, wallClockMs, deadline: until, signal },
        firstWordBy,
        memory,
      );
    } catch (error) {
      if (!(error instanceof DnsError)) throw error;
      errors.set(server.text, error);
      return null;
    } finally {
      channel.close();
    }
  };
  // Two passes: the second, with what time is left, for servers whose failure may have been the network's.
  for (const [at, server] of servers.entries()) {
    const until = deadline.within(deadline.leftMs / (servers.length - at + 1));
    const isLast = at === servers.length - 1;
    const outcome = await attempt(server, until, isLast ? until : until.within(FIRST_WORD_MS));
    if (outcome !== null) return outcome;
  }
  const again = servers.filter((server) => TRANSIENT_CODES.includes(errors.get(server.text)?.code ?? ""));
  for (const [at, server] of again.entries()) {
    if (signal.aborted || deadline.leftMs === 0) break;
    const until = deadline.within(deadline.leftMs / (again.length - at));
    const outcome = await attempt(server, until, until);
    if (outcome !== null) return outcome;
  }
  const all = [...errors.values()];
  const detail = all.map((error) => error.message).join("\n");
  if (memory.maybeDone !== null) {
    const { code } = memory.maybeDone;
    const message = `${memory.maybeDone.message}; the update was sent and may have been carried out`;
    return { kind: "unknown", code, message, retriable: true, detail };
  }
  const first = all.find((error) => !error.retriable) ?? all[0];
  if (first === undefined) return failed("dns_timeout", "no time was left to ask any server", true);
  return failed(
    first.code,
    first.message,
    all.some((error) => error.retriable),
    detail,
  );
}
