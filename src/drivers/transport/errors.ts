/**
 * What can go wrong with the transport as a whole, and why one witness refuses another.
 *
 * A connection that breaks is no error here: it is replaced and counted. Only what a person has to mend comes
 * out as `TransportError`, when the transport is opened.
 */

export type TransportErrorCode =
  /** A listen or peer address is not `host:port`. */
  | "TRANSPORT_ADDRESS_INVALID"
  | "TRANSPORT_PORT_IN_USE"
  /** No interface of this machine has the address, or the name has none. */
  | "TRANSPORT_ADDRESS_UNAVAILABLE"
  | "TRANSPORT_LISTEN_FAILED"
  /** Options contradict each other: a peer twice, or itself as peer. */
  | "TRANSPORT_OPTIONS_INVALID";

/** A failure that keeps the transport from opening. The message names the field, the value and the remedy. */
export class TransportError extends Error {
  override readonly name = "TransportError";
  readonly code: TransportErrorCode;
  /** True when the same options may work later. */
  readonly retriable: boolean;

  constructor(code: TransportErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? {} : { cause });
    this.code = code;
    this.retriable = code === "TRANSPORT_PORT_IN_USE" || code === "TRANSPORT_LISTEN_FAILED";
  }
}

/** What the operating system said about `listen`, as ours. */
export function listenError(address: string, error: unknown): TransportError {
  const code = (error as NodeJS.ErrnoException).code;
  switch (code) {
    case "EADDRINUSE":
      return new TransportError(
        "TRANSPORT_PORT_IN_USE",
        `listen address ${address} is in use by another process; stop it (ss -ltnp shows it) or choose another port in \`peers\``,
        error,
      );
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return new TransportError(
        "TRANSPORT_ADDRESS_UNAVAILABLE",
        `listen address ${address} belongs to no interface of this machine (${code}); ` +
          "check `peer` of this witness and that the interface is up",
        error,
      );
    default:
      return new TransportError(
        "TRANSPORT_LISTEN_FAILED",
        `cannot listen on ${address}: ${String(error)}; ports below 1024 need a privilege`,
        error,
      );
  }
}

/** Why a stream or a message was refused. Stable: it opens the text of the gRPC status and names the counter. */
export const REFUSAL_REASONS = {
  foreign_cluster: "the other side belongs to another cluster; check `cluster` and the addresses in `peer`",
  wrong_witness: "the stream was meant for another witness; two addresses in `peer` are swapped or stale",
  unknown_peer: "the other side is no member here: it was removed, or is not added yet",
  newer_protocol: "the other side speaks a newer protocol; upgrade this witness",
  older_protocol: "the other side speaks an older protocol; upgrade it",
  bad_hello: "the stream did not open with a hello; something else than a witness is connected",
  malformed: "a message was out of range; the versions differ or the other side is broken",
  too_many_streams: "one peer keeps too many streams open",
  too_large: "a message was larger than the limit",
  stale:
    "everything on the stream came too late; the sender's clock jumped or the line is slower than its traffic",
} as const satisfies Record<string, string>;

export type RefusalReason = keyof typeof REFUSAL_REASONS;

/** The reason that opens the text of a gRPC status, or null if it is none of ours. */
export function refusalReason(details: string): RefusalReason | null {
  const word = /^([a-z_]+):/.exec(details)?.[1];
  return word !== undefined && Object.hasOwn(REFUSAL_REASONS, word) ? (word as RefusalReason) : null;
}

/** Why a snapshot did not reach a peer. Stable: it stands in the log. */
export const SNAPSHOT_FAILURES = {
  snapshot_checksum:
    "a part of a snapshot, or the whole, arrived with another checksum than it was sent with",
  snapshot_too_large: "a snapshot is larger than the receiver takes",
  snapshot_undecodable: "a snapshot is no state that the receiver's release can read; upgrade the receiver",
  snapshot_stuck: "the peer confirmed nothing of a snapshot for long; it is sent again when the peer answers",
  snapshot_peer_removed: "the peer was removed while a snapshot was on its way to it",
} as const satisfies Record<string, string>;

export type SnapshotFailure = keyof typeof SNAPSHOT_FAILURES;
