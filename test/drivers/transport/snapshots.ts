/**
 * What tests of snapshots share: states of any size, the messages that carry them, and a relay that counts bytes
 * and breaks connections.
 */
import { connect, createServer, type Socket } from "node:net";
import type { TestContext } from "node:test";
import { crc32c } from "../../../src/core/base/crc32c.js";
import { logIndex, nodeId, term, witnessId } from "../../../src/core/base/ids.js";
import { encodeState } from "../../../src/core/model/snapshot.js";
import { type AuditRecord, EMPTY_STATE, type State } from "../../../src/core/model/state.js";
import type { PeerMessage } from "../../../src/core/witness/contract.js";
import { type OfferMessage, offerMessage } from "../../../src/drivers/transport/wire-snapshot.js";
import { raftMessage } from "./helpers.js";

/** A state at `index` with so many audit records, each of about so many bytes. */
export function stateOf(index: number, records: number, recordBytes: number): State {
  const history = Array.from(
    { length: records },
    (_, at): AuditRecord => ({
      index: logIndex(index),
      seq: at,
      term: term(1),
      atMs: at,
      wallMs: at,
      leader: witnessId("w1"),
      kind: "note",
      group: null,
      epoch: null,
      step: null,
      message: `record ${at} of the state at ${index}`,
      detail: [String.fromCharCode(97 + (at % 26)).repeat(recordBytes)],
    }),
  );
  return { ...EMPTY_STATE, appliedIndex: logIndex(index), appliedTerm: term(1), history };
}

/** The MsgSnap of a leader in `leaderTerm` that carries the state. */
export function snapMessage(state: State, leaderTerm = 1): OfferMessage {
  const confState = {
    voters: [nodeId(1), nodeId(2)],
    learners: [],
    votersOutgoing: [],
    learnersNext: [],
    autoLeave: false,
  };
  const snapshot = { index: state.appliedIndex, term: state.appliedTerm, confState, data: state };
  return offerMessage(raftMessage("MsgSnap", 1, 2, { term: term(leaderTerm), snapshot }));
}

/** The same as a peer's message. */
export function snap(state: State, leaderTerm = 1): PeerMessage {
  return { kind: "raft", message: snapMessage(state, leaderTerm) };
}

/** The state of a message that carries one, or null. */
export function stateIn(message: PeerMessage): State | null {
  return message.kind === "raft" ? ((message.message.snapshot?.data ?? null) as State | null) : null;
}

/** Length and checksum of the encoding, by which two states are told apart. */
export function fingerprint(state: State): { bytes: number; checksum: number } {
  let bytes = 0;
  let checksum = 0;
  for (const part of encodeState(state)) {
    bytes += part.length;
    checksum = crc32c(part, checksum);
  }
  return { bytes, checksum };
}

/** A TCP relay in front of a port. */
export interface Relay {
  readonly address: string;
  /** Bytes that came from the side that dials. */
  readonly bytes: () => number;
  /** Resets every connection. */
  readonly reset: () => void;
  /** Resets every connection, and each new one until it is opened again. */
  readonly block: (isBlocked: boolean) => void;
}

/** Opens a relay to a port of this machine; it ends with the test. */
export async function relayTo(t: TestContext, port: number): Promise<Relay> {
  let bytes = 0;
  let blocked = false;
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    if (blocked) {
      near.on("error", () => {});
      near.resetAndDestroy();
      return;
    }
    const far = connect(port, "127.0.0.1");
    near.on("data", (data: Buffer) => {
      bytes += data.length;
    });
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on("error", () => {});
      from.on("close", () => {
        sockets.delete(from);
        to.destroy();
      });
      from.pipe(to);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const reset = (): void => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const { port: listening } = server.address() as { port: number };
  const block = (isBlocked: boolean): void => {
    blocked = isBlocked;
    if (isBlocked) reset();
  };
  return { address: `127.0.0.1:${listening}`, bytes: () => bytes, reset, block };
}
