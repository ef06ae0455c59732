/**
 * One watch: retained records after a place, then live events, on one gRPC stream.
 *
 * No gap and no repetition: subscribing and reading the retained records happen in one synchronous turn, and
 * a live record that does not come after the last queued one is dropped (a witness that replays its log
 * publishes old records again). No growth: what the client has not taken waits in a bounded queue; a client
 * that lets it fill is told the place from which to resume, and let go. No leak: whichever side ends the
 * stream, the subscription ends with it.
 */
import { Metadata, type ServerWritableStream, status } from "@grpc/grpc-js";
import type { Refusal } from "../../core/model/admin.js";
import type { AuditRecord } from "../../core/model/state.js";
import type { PublishedEvent } from "../../core/witness/contract.js";
import type { WireObject } from "./admin-codec.js";
import { isAfter, placeOf, truncatedBefore } from "./admin-history.js";
import type { Place, WatchQuery } from "./admin-requests.js";
import { type WatchMessage, watchMessage } from "./admin-wire.js";
import { type GrpcStatus, RESUME_INDEX_KEY, RESUME_SEQ_KEY, toGrpcStatus } from "./grpc-status.js";

/** Live events that may wait for one client. */
export const WATCH_QUEUE_MAX = 1000;

/** Where a watch gets its events. */
export interface WatchSource {
  history(): readonly AuditRecord[];
  subscribe(listener: (event: PublishedEvent) => void): () => void;
}

/** Hooks of one watch for its server. */
export interface WatchHooks {
  /** The stream has ended, whoever ended it; called once. */
  onEnd(): void;
  /** A bug: the event could not be encoded. The stream was ended with INTERNAL. */
  onFault(error: unknown): void;
}

/** A running watch, for the server that stops. */
export interface Watch {
  /** Ends the stream with a refusal that carries the place to resume from. */
  end(refusal: Refusal): void;
}

/** Serves one watch until either side ends it. */
export function serveWatch(
  call: ServerWritableStream<WireObject, WireObject>,
  query: WatchQuery,
  source: WatchSource,
  hooks: WatchHooks,
): Watch {
  const history = source.history();
  const last = history.at(-1);
  const start: Place = query.since ?? (last === undefined ? { index: 0, seq: null } : placeOf(last));
  const wanted = (group: string | null) => query.group === null || group === query.group;

  const queue: WatchMessage[] = [
    {
      kind: "started",
      afterIndex: start.index,
      afterSeq: start.seq,
      truncatedBeforeIndex: query.since === null ? null : truncatedBefore(history, query.since),
    },
    ...history
      .filter((record) => wanted(record.group) && isAfter(record, start))
      .map((record) => ({ kind: "audit", record }) as const),
  ];
  const queueMax = queue.length + WATCH_QUEUE_MAX;
  let queued: Place = last !== undefined && isAfter(last, start) ? placeOf(last) : start;
  let written: Place = start;
  let blocked = false;
  let ended = false;

  function stop(): void {
    if (ended) return;
    ended = true;
    queue.length = 0;
    unsubscribe();
    hooks.onEnd();
  }

  function fail(error: GrpcStatus): void {
    if (ended) return;
    stop();
    // What was written before still goes out first; the stream keeps its order.
    call.emit("error", error);
  }

  function end(refusal: Refusal): void {
    const answer = toGrpcStatus(refusal);
    answer.metadata.set(RESUME_INDEX_KEY, String(written.index));
    if (written.seq !== null) answer.metadata.set(RESUME_SEQ_KEY, String(written.seq));
    fail(answer);
  }

  function pump(): void {
    while (!ended && !blocked) {
      const next = queue.shift();
      if (next === undefined) return;
      blocked = !call.write(watchMessage.encode(next) as WireObject);
      if (next.kind === "audit") written = placeOf(next.record);
    }
  }

  /** Nothing that goes wrong here may reach the witness that publishes. */
  function guarded(action: () => void): void {
    try {
      action();
    } catch (error) {
      hooks.onFault(error);
      fail({
        code: status.INTERNAL,
        details: "internal error; see the witness's log",
        metadata: new Metadata(),
      });
    }
  }

  function onEvent(event: PublishedEvent): void {
    if (ended || !concerns(event, wanted)) return;
    if (event.kind === "audit") {
      if (!isAfter(event.record, queued)) return;
      queued = placeOf(event.record);
    }
    if (queue.length >= queueMax) {
      end({
        kind: "refused",
        code: "busy",
        message: `this watch fell ${queue.length} events behind and was ended; resume after index ${written.index}`,
        leader: null,
      });
      return;
    }
    queue.push(event);
    guarded(pump);
  }

  const unsubscribe = source.subscribe(onEvent);
  call.on("drain", () => {
    blocked = false;
    guarded(pump);
  });
  call.once("cancelled", stop);
  call.once("close", stop);
  if (call.cancelled) stop();
  guarded(pump);
  return { end };
}

function concerns(event: PublishedEvent, wanted: (group: string | null) => boolean): boolean {
  switch (event.kind) {
    case "audit":
      return wanted(event.record.group);
    case "routed":
      return wanted(event.group);
    case "role":
    case "warning":
      // About the witness, not about a group.
      return wanted(null);
  }
}
