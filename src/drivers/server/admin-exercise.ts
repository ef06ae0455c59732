/**
 * One exercise: bytes that change nothing go through the whole of replication, and each is answered when it
 * is applied.
 *
 * Bounded both ways by not reading: while `OUTSTANDING_MAX` wait for their answer, or while the client does
 * not take answers, the stream is paused and HTTP/2 holds the client back. A refusal is an answer and not the
 * end of the stream. When the stream ends, whatever still waits is told to the backend through the signal.
 */
import { Metadata, type ServerDuplexStream, status } from "@grpc/grpc-js";
import type { AdminResponse, ExerciseRequest, Refusal } from "../../core/model/admin.js";
import type { WireObject } from "./admin-codec.js";
import { type GrpcStatus, toGrpcStatus } from "./grpc-status.js";

/** Requests of one stream that may wait for their answer at once. */
const OUTSTANDING_MAX = 256;
/** Largest `data`. Unit: bytes. */
const DATA_BYTES_MAX = 16 * 1024;

/** Where an exercise is done. */
export interface ExerciseBackend {
  request(request: ExerciseRequest, signal: AbortSignal): Promise<AdminResponse>;
}

/** Hooks of one exercise for its server. */
export interface ExerciseHooks {
  /** The stream has ended, whoever ended it; called once. */
  onEnd(): void;
  /** A bug. The stream was ended with INTERNAL. */
  onFault(error: unknown): void;
}

/** A running exercise, for the server that stops. */
export interface Exercise {
  /** Ends the stream with a refusal; what waits stays unanswered. */
  end(refusal: Refusal): void;
}

/** Serves one exercise until either side ends it; no hook is called before this returns. */
export function serveExercise(
  call: ServerDuplexStream<WireObject, WireObject>,
  backend: ExerciseBackend,
  hooks: ExerciseHooks,
): Exercise {
  const gone = new AbortController();
  let outstanding = 0;
  let blocked = false;
  let halfClosed = false;
  let ended = false;

  function stop(): void {
    if (ended) return;
    ended = true;
    gone.abort();
    hooks.onEnd();
  }

  function fail(error: GrpcStatus): void {
    if (ended) return;
    stop();
    call.emit("error", error);
  }

  function answer(tag: unknown, response: AdminResponse): void {
    outstanding -= 1;
    if (ended) return;
    blocked = !call.write({ tag, ...outcomeOf(response) });
    proceed();
  }

  /** Reads on when there is room, and ends when all that the client asked is answered. */
  function proceed(): void {
    if (ended) return;
    if (halfClosed && outstanding === 0) {
      stop();
      call.end();
    } else if (blocked || outstanding >= OUTSTANDING_MAX) call.pause();
    else if (call.isPaused()) call.resume();
  }

  function onRequest(wire: WireObject): void {
    if (ended) return;
    const { tag, data } = wire;
    outstanding += 1;
    if (!(data instanceof Uint8Array) || data.length > DATA_BYTES_MAX) {
      answer(tag, tooLarge(data instanceof Uint8Array ? data.length : 0));
      return;
    }
    const text = Buffer.from(data.buffer, data.byteOffset, data.length).toString("base64");
    backend.request({ kind: "exercise", data: text }, gone.signal).then(
      (response) => answer(tag, response),
      (error: unknown) => {
        hooks.onFault(error);
        fail({
          code: status.INTERNAL,
          details: "internal error; see the witness's log",
          metadata: new Metadata(),
        });
      },
    );
    if (outstanding >= OUTSTANDING_MAX) call.pause();
  }

  call.on("data", onRequest);
  call.on("drain", () => {
    blocked = false;
    proceed();
  });
  call.once("end", () => {
    halfClosed = true;
    proceed();
  });
  call.once("cancelled", stop);
  call.once("close", stop);
  call.once("error", stop);
  return { end: (refusal) => fail(toGrpcStatus(refusal)) };
}

function outcomeOf(response: AdminResponse): WireObject {
  switch (response.kind) {
    case "accepted":
      return { index: response.index };
    case "refused": {
      const { code, message, leader } = response;
      return { refused: leader === null ? { code, message } : { code, message, leader } };
    }
    default:
      throw new Error(`an exercise was answered with ${response.kind}`);
  }
}

function tooLarge(bytes: number): Refusal {
  return {
    kind: "refused",
    code: "invalid",
    message: `data has ${bytes} bytes: give at most ${DATA_BYTES_MAX}`,
    leader: null,
  };
}
