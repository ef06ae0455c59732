/**
 * The handlers of the admin service: border check, backend, answer.
 *
 * A call ends once: with the backend's answer, or because the client went away or its deadline passed (then
 * the backend is told through the signal and its late answer is dropped), or at `CALL_TIMEOUT_MS` for clients
 * that set no deadline. A write that ends without an answer may have been decided, and the client hears
 * exactly that.
 */
import {
  Metadata,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  status,
} from "@grpc/grpc-js";
import { assert } from "../../core/base/assert.js";
import {
  type AdminRequest,
  type AdminResponse,
  type ExerciseRequest,
  isWrite,
  type Refusal,
} from "../../core/model/admin.js";
import type { AuditRecord, State } from "../../core/model/state.js";
import type { PublishedEvent } from "../../core/witness/contract.js";
import { serveBackup } from "./admin-backup.js";
import type { WireObject } from "./admin-codec.js";
import { type Exercise, serveExercise } from "./admin-exercise.js";
import { historyAnswer } from "./admin-history.js";
import type { AdminMethodName } from "./admin-proto.js";
import {
  isRefusal,
  parseHistoryQuery,
  parseRequest,
  parseWatchQuery,
  type RequestMethod,
} from "./admin-requests.js";
import { serveWatch, type Watch } from "./admin-watch.js";
import { accepted, explanation, historyPage, statusReport } from "./admin-wire.js";
import { membersReport } from "./admin-wire-members.js";
import { type GrpcStatus, toGrpcStatus } from "./grpc-status.js";

/** What the runtime gives: the witness behind the API. */
export interface AdminBackend {
  /** Resolves with the answer; `signal` says that nobody waits for it any more. */
  request(request: AdminRequest | ExerciseRequest, signal: AbortSignal): Promise<AdminResponse>;
  /** The retained records, oldest first. */
  history(): readonly AuditRecord[];
  /** The replicated state as it is applied here; never mutated. */
  state(): State;
  /** Calls the listener with every published event from now on; the returned function ends that. */
  subscribe(listener: (event: PublishedEvent) => void): () => void;
}

/** What the server needs of a log. */
export interface AdminLog {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** Unary calls in work at once; more are refused with `busy`. */
const CALLS_MAX = 256;
/** Watches at once. */
const WATCHES_MAX = 128;
/** Exercises at once. */
const EXERCISES_MAX = 64;
/** The longest that a unary call is worked on, whatever deadline the client set. */
const CALL_TIMEOUT_MS = 60_000;

type UnaryHandler = (
  call: ServerUnaryCall<WireObject, WireObject>,
  callback: sendUnaryData<WireObject>,
) => void;
type StreamHandler = (call: ServerWritableStream<WireObject, WireObject>) => void;
type DuplexHandler = (call: ServerDuplexStream<WireObject, WireObject>) => void;
type StreamName = "Watch" | "Backup";
type Handlers = Record<Exclude<AdminMethodName, StreamName | "Exercise">, UnaryHandler> &
  Record<StreamName, StreamHandler> & { Exercise: DuplexHandler };

const STOPPING: Refusal = {
  kind: "refused",
  code: "stopping",
  message: "this witness is stopping; ask another one",
  leader: null,
};

/** The handlers with what is in work, for a server that stops. */
export interface AdminCalls {
  readonly handlers: Handlers;
  /** Refuses new calls and ends the streams; resolves when no call is in work. */
  drain(): Promise<void>;
}

/** The handlers of all methods over one backend. */
export function adminCalls(backend: AdminBackend, log: AdminLog, version: string): AdminCalls {
  const watches = new Set<Watch>();
  const exercises = new Set<Exercise>();
  let active = 0;
  let draining = false;
  let onIdle: (() => void) | null = null;

  const initial = new Metadata();
  initial.set("pointsman-version", version);

  function leave(): void {
    active -= 1;
    if (active === 0) onIdle?.();
  }

  function admit(full: boolean): Refusal | null {
    if (draining) return STOPPING;
    if (!full) return null;
    return {
      kind: "refused",
      code: "busy",
      message: `this witness serves ${active} calls, ${watches.size} watches and ${exercises.size} exercises, which is its limit; try again`,
      leader: null,
    };
  }

  function internal(error: unknown, method: string): GrpcStatus {
    log.error({ err: error, method }, "admin call failed");
    return {
      code: status.INTERNAL,
      details: "internal error; see the witness's log",
      metadata: new Metadata(),
    };
  }

  function unary(
    method: string,
    work: (wire: WireObject, signal: AbortSignal) => Promise<WireObject | Refusal>,
  ) {
    return (call: ServerUnaryCall<WireObject, WireObject>, callback: sendUnaryData<WireObject>): void => {
      const refusal = admit(active >= CALLS_MAX);
      if (refusal !== null) {
        callback(toGrpcStatus(refusal));
        return;
      }
      active += 1;
      const gone = new AbortController();
      const timer = setTimeout(() => gone.abort(), CALL_TIMEOUT_MS);
      call.once("cancelled", () => gone.abort());
      call.sendMetadata(initial);
      const finish = (answer: () => void): void => {
        clearTimeout(timer);
        leave();
        // After a cancellation grpc-js drops what is sent; nothing is left to tell the client.
        answer();
      };
      work(call.request, gone.signal).then(
        (answer) =>
          finish(() => (isRefusal(answer) ? callback(toGrpcStatus(answer)) : callback(null, answer))),
        (error: unknown) => finish(() => callback(internal(error, method))),
      );
    };
  }

  function request(method: RequestMethod): UnaryHandler {
    return unary(method, async (wire, signal) => {
      const parsed = parseRequest(method, wire);
      if (isRefusal(parsed)) return parsed;
      return encodeResponse(await answerOf(backend, parsed, signal));
    });
  }

  function watch(call: ServerWritableStream<WireObject, WireObject>): void {
    const query = parseWatchQuery(call.request);
    const refusal = admit(watches.size >= WATCHES_MAX) ?? (isRefusal(query) ? query : null);
    if (refusal !== null || isRefusal(query)) {
      call.emit("error", toGrpcStatus(refusal ?? STOPPING));
      return;
    }
    call.sendMetadata(initial);
    const peer = call.getPeer();
    let running: Watch | null = null;
    let over = false;
    running = serveWatch(call, query, backend, {
      onEnd: () => {
        over = true;
        if (running !== null) watches.delete(running);
        log.debug({ peer }, "admin watch ended");
      },
      onFault: (error) => void internal(error, "Watch"),
    });
    if (!over) watches.add(running);
    log.debug({ peer, watches: watches.size }, "admin watch started");
  }

  function backup(call: ServerWritableStream<WireObject, WireObject>): void {
    const refusal = admit(active >= CALLS_MAX);
    if (refusal !== null) {
      call.emit("error", toGrpcStatus(refusal));
      return;
    }
    active += 1;
    call.sendMetadata(initial);
    const gone = new AbortController();
    call.once("cancelled", () => gone.abort());
    const asked: AdminRequest = { kind: "status", linearizable: true };
    serveBackup(call, () => answerOf(backend, asked, gone.signal), backend, gone.signal)
      .catch((error: unknown) => call.emit("error", internal(error, "Backup")))
      .finally(leave);
  }

  function exercise(call: ServerDuplexStream<WireObject, WireObject>): void {
    const refusal = admit(exercises.size >= EXERCISES_MAX);
    if (refusal !== null) {
      call.emit("error", toGrpcStatus(refusal));
      return;
    }
    if (call.cancelled) return;
    call.sendMetadata(initial);
    const running: Exercise = serveExercise(call, backend, {
      onEnd: () => void exercises.delete(running),
      onFault: (error) => void internal(error, "Exercise"),
    });
    exercises.add(running);
  }

  return {
    handlers: {
      Backup: backup,
      Status: request("Status"),
      Explain: request("Explain"),
      History: unary("History", async (wire) => {
        const query = parseHistoryQuery(wire);
        return isRefusal(query) ? query : wireOf(historyPage.encode(historyAnswer(backend.history(), query)));
      }),
      Watch: watch,
      Switchover: request("Switchover"),
      Hold: request("Hold"),
      Resume: request("Resume"),
      TransferLeader: request("TransferLeader"),
      Exercise: exercise,
      Members: request("Members"),
      AddMember: request("AddMember"),
      PromoteMember: request("PromoteMember"),
      RemoveMember: request("RemoveMember"),
      ReplaceMember: request("ReplaceMember"),
    },
    drain() {
      draining = true;
      for (const running of [...watches, ...exercises]) running.end(STOPPING);
      return new Promise((resolve) => {
        onIdle = resolve;
        if (active === 0) resolve();
      });
    },
  };
}

/** The backend's answer, or what is true when nobody waits for it any more. */
function answerOf(backend: AdminBackend, request: AdminRequest, signal: AbortSignal): Promise<AdminResponse> {
  return new Promise((resolve, reject) => {
    signal.addEventListener("abort", () => resolve(unanswered(request)), { once: true });
    if (signal.aborted) {
      resolve(unanswered(request));
      return;
    }
    backend.request(request, signal).then(resolve, reject);
  });
}

function unanswered(request: AdminRequest): Refusal {
  const read = !isWrite(request);
  return {
    kind: "refused",
    code: read ? "no_leader" : "unknown_outcome",
    message: read
      ? "the cluster gave no answer in time; ask again without requiring a majority"
      : "the cluster gave no answer in time; the request may have been decided: look at the status before trying again",
    leader: null,
  };
}

function encodeResponse(response: AdminResponse): WireObject | Refusal {
  switch (response.kind) {
    case "status":
      return wireOf(statusReport.encode(response.status));
    case "explain":
      return wireOf(explanation.encode(response.explanation));
    case "members":
      return wireOf(membersReport.encode(response.report));
    case "accepted":
      return wireOf(accepted.encode(response));
    case "refused":
      return response;
  }
}

function wireOf(encoded: unknown): WireObject {
  assert(typeof encoded === "object" && encoded !== null, "a message encodes to an object");
  return encoded as WireObject;
}
