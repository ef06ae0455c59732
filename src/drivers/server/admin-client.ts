/**
 * The other end of the admin API: one connection to one witness, for the command line and for programs of ours.
 *
 * It answers the one question that matters after a failed write: may it have happened? A connection is made
 * ready before anything is sent, so `admin_unreachable` means that nothing was. After that, a write that ends
 * without the witness's own word is the refusal `unknown_outcome`, whatever the network said. grpc-js has no
 * connect timeout of its own and would read proxy variables from the environment; both are settled here.
 */
import { Client, connectivityState, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { assertNever } from "../../core/base/assert.js";
import { type AdminRequest, type AdminResponse, isWrite, type Refusal } from "../../core/model/admin.js";
import type { WireObject } from "./admin-codec.js";
import { type AdminMethodName, adminMethod } from "./admin-proto.js";
import type { HistoryQuery, WatchQuery } from "./admin-requests.js";
import {
  accepted,
  type BackupChunk,
  backupChunk,
  explanation,
  type HistoryPage,
  historyPage,
  statusReport,
  type WatchMessage,
  watchMessage,
} from "./admin-wire.js";
import { membersReport } from "./admin-wire-members.js";
import { fromGrpcStatus } from "./grpc-status.js";

/** Stable codes of a call that got no word from the witness; docs/errors.md explains each. */
export const ADMIN_CLIENT_CODES = {
  admin_unreachable: "no connection to that address in time; nothing was sent",
  admin_no_answer: "the connection broke or the time ran out before a read was answered",
  admin_failed: "what answers at that address is no witness of this release, or failed",
} as const satisfies Record<string, string>;

export type AdminClientCode = keyof typeof ADMIN_CLIENT_CODES;

/** A call that got no word from the witness; never thrown for a write that may have happened. */
export class AdminClientError extends Error {
  override readonly name = "AdminClientError";
  readonly code: AdminClientCode;
  /** Another witness, or the same one later, may answer. */
  readonly retriable: boolean;

  constructor(code: AdminClientCode, message: string, cause: unknown) {
    super(message, { cause });
    this.code = code;
    this.retriable = code !== "admin_failed";
  }
}

/** One connection to one witness. */
export interface AdminConnection {
  readonly address: string;
  /** Refusals are values; throws `AdminClientError` as described there. */
  request(request: AdminRequest, timeoutMs: number): Promise<AdminResponse>;
  history(query: HistoryQuery, timeoutMs: number): Promise<HistoryPage | Refusal>;
  /**
   * Yields until the consumer breaks, `signal` aborts, or the stream ends. Returns the refusal with which the witness
   * ended it; throws `AdminClientError` when the connection broke.
   */
  watch(query: WatchQuery, signal: AbortSignal): AsyncGenerator<WatchMessage, Refusal | null, undefined>;
  /**
   * Yields the chunks of a backup; `silenceMs` without one ends it. Returns the refusal with which the witness
   * ended it; throws `AdminClientError` when the connection broke.
   */
  backup(silenceMs: number): AsyncGenerator<BackupChunk, Refusal | null, undefined>;
  close(): void;
}

const CHANNEL_OPTIONS = {
  "grpc.enable_http_proxy": 0,
  "grpc.use_local_subchannel_pool": 1,
  "grpc.service_config_disable_resolution": 1,
  "grpc.enable_retries": 0,
  "grpc.keepalive_time_ms": 5_000,
  "grpc.keepalive_timeout_ms": 5_000,
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 1_000,
  "grpc.max_receive_message_length": 64 * 1024 * 1024,
};

/** Connects to a witness; throws `AdminClientError` `admin_unreachable` when that takes longer than `timeoutMs`. */
export async function connectAdmin(address: string, timeoutMs: number): Promise<AdminConnection> {
  let client: Client;
  try {
    client = new Client(address, credentials.createInsecure(), CHANNEL_OPTIONS);
  } catch (thrown) {
    throw new AdminClientError("admin_unreachable", `${address} is no address: give host:port`, thrown);
  }
  const failure = await ready(client, Date.now() + timeoutMs);
  if (failure === null) return connection(client, address);
  client.close();
  throw new AdminClientError(
    "admin_unreachable",
    `no witness answers at ${address} (${failure}): is it running, and is this its admin address?`,
    null,
  );
}

/**
 * Null when the channel is ready, else why not. A refusal of the host ends the wait at once, silence does at
 * the end.
 */
function ready(client: Client, deadline: number): Promise<string | null> {
  const channel = client.getChannel();
  return new Promise((resolve) => {
    const look = (): void => {
      const state = channel.getConnectivityState(true);
      if (state === connectivityState.READY) resolve(null);
      else if (state === connectivityState.TRANSIENT_FAILURE) resolve("refused or no route");
      else {
        channel.watchConnectivityState(state, deadline, (late) => {
          if (late === undefined) look();
          else resolve("silence");
        });
      }
    };
    look();
  });
}

function connection(client: Client, address: string): AdminConnection {
  function unary(
    name: AdminMethodName,
    wire: WireObject,
    timeoutMs: number,
  ): Promise<WireObject | ServiceError> {
    const method = adminMethod(name);
    return new Promise((resolve) => {
      client.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        wire,
        new Metadata(),
        { deadline: Date.now() + timeoutMs },
        (error, answer) => resolve(error ?? answer ?? {}),
      );
    });
  }

  return {
    address,
    close: () => client.close(),

    async request(request, timeoutMs) {
      const { method, wire } = wireRequest(request);
      const answer = await unary(method, wire, timeoutMs);
      if (!(answer instanceof Error)) return decodeAnswer(request, answer, address);
      const refusal = fromGrpcStatus(answer);
      if (refusal !== null) return refusal;
      if (isWrite(request) && answer.code !== status.UNIMPLEMENTED)
        return lostWrite(answer, address, timeoutMs);
      throw noWord(answer, address);
    },

    async history(query, timeoutMs) {
      const wire = { ...wireQuery(query), limit: query.limit };
      const answer = await unary("History", wire, timeoutMs);
      if (!(answer instanceof Error)) return decoded(address, () => historyPage.decode(answer, "history"));
      const refusal = fromGrpcStatus(answer);
      if (refusal !== null) return refusal;
      throw noWord(answer, address);
    },

    async *backup(silenceMs) {
      const method = adminMethod("Backup");
      const call = client.makeServerStreamRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        {},
      );
      const timer = setTimeout(() => call.cancel(), silenceMs);
      try {
        for await (const wire of call) {
          timer.refresh();
          yield decoded(address, () => backupChunk.decode(wire, "chunk"));
        }
        return null;
      } catch (error) {
        if (!isServiceError(error)) throw error;
        const refusal = fromGrpcStatus(error);
        if (refusal !== null) return refusal;
        throw noWord(error, address);
      } finally {
        clearTimeout(timer);
        call.cancel();
      }
    },

    async *watch(query, signal) {
      const method = adminMethod("Watch");
      const call = client.makeServerStreamRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        wireQuery(query),
      );
      const cancel = () => call.cancel();
      signal.addEventListener("abort", cancel, { once: true });
      if (signal.aborted) cancel();
      try {
        for await (const wire of call) yield decoded(address, () => watchMessage.decode(wire, "event"));
        return null;
      } catch (error) {
        if (signal.aborted) return null;
        if (!isServiceError(error)) throw error;
        const refusal = fromGrpcStatus(error);
        if (refusal !== null) return refusal;
        throw noWord(error, address);
      } finally {
        signal.removeEventListener("abort", cancel);
        call.cancel();
      }
    },
  };
}

function wireRequest(request: AdminRequest): { method: AdminMethodName; wire: WireObject } {
  const { kind, ...wire } = request;
  switch (kind) {
    case "status":
      return { method: "Status", wire };
    case "explain":
      return { method: "Explain", wire };
    case "switchover":
      return { method: "Switchover", wire };
    case "hold":
      return { method: "Hold", wire };
    case "resume":
      return { method: "Resume", wire };
    case "transfer":
      return { method: "TransferLeader", wire };
    case "members":
      return { method: "Members", wire };
    case "member_add":
      return { method: "AddMember", wire };
    case "member_promote":
      return { method: "PromoteMember", wire };
    case "member_remove":
      return { method: "RemoveMember", wire };
    case "member_replace":
      return { method: "ReplaceMember", wire };
    default:
      return assertNever(kind, "admin request");
  }
}

function wireQuery(query: WatchQuery): WireObject {
  return {
    group: query.group ?? "",
    sinceIndex: query.since?.index,
    sinceSeq: query.since?.seq ?? undefined,
  };
}

function decodeAnswer(request: AdminRequest, wire: WireObject, address: string): AdminResponse {
  return decoded<AdminResponse>(address, () => {
    switch (request.kind) {
      case "status":
        return { kind: "status", status: statusReport.decode(wire, "status") };
      case "explain":
        return { kind: "explain", explanation: explanation.decode(wire, "explanation") };
      case "members":
        return { kind: "members", report: membersReport.decode(wire, "members") };
      default:
        return { kind: "accepted", ...accepted.decode(wire, "accepted") };
    }
  });
}

function decoded<T>(address: string, decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    throw new AdminClientError(
      "admin_failed",
      `${address} sent an answer that makes no sense: ${text}`,
      error,
    );
  }
}

function lostWrite(error: ServiceError, address: string, timeoutMs: number): Refusal {
  const why = error.code === status.DEADLINE_EXCEEDED ? `no answer within ${timeoutMs} ms` : error.details;
  return {
    kind: "refused",
    code: "unknown_outcome",
    message: `${address} was asked, then: ${why}. It may have happened: look at the status before trying again`,
    leader: null,
  };
}

function noWord(error: ServiceError, address: string): AdminClientError {
  switch (error.code) {
    case status.UNAVAILABLE:
    case status.DEADLINE_EXCEEDED:
    case status.CANCELLED:
      return new AdminClientError("admin_no_answer", `${address} gave no answer: ${error.details}`, error);
    case status.UNIMPLEMENTED:
      return new AdminClientError(
        "admin_failed",
        `${address} does not know this request (${error.details}): is it a witness, and of this release?`,
        error,
      );
    default:
      return new AdminClientError("admin_failed", `${address} failed: ${error.details}`, error);
  }
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && "code" in error && "details" in error && "metadata" in error;
}
