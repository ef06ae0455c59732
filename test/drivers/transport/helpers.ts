/** Small parts that the transport tests share: a quiet logger that remembers, messages, waiting, free ports. */
import { createServer } from "node:net";
import { logIndex, NO_NODE, nodeId, term, witnessId } from "../../../src/core/base/ids.js";
import type { Entry, Message, MessageType } from "../../../src/core/raft/types.js";
import type { PeerAddress, PeerMessage } from "../../../src/core/witness/contract.js";
import type { TransportLog } from "../../../src/drivers/transport/log.js";
import {
  openTransport,
  type Transport,
  type TransportOptions,
} from "../../../src/drivers/transport/transport.js";

/** Every line of a transport, in order. */
export class MemoryLog implements TransportLog {
  readonly lines: { level: string; fields: object; message: string }[] = [];
  debug = this.at("debug");
  info = this.at("info");
  warn = this.at("warn");
  error = this.at("error");
  private at(level: string) {
    return (fields: object, message: string): void => {
      this.lines.push({ level, fields, message });
    };
  }
}

/** A raft message between nodes with everything else at zero. */
export function raftMessage(
  type: MessageType,
  from: number,
  to: number,
  more: Partial<Message> = {},
): Message {
  return {
    type,
    from: nodeId(from),
    to: nodeId(to),
    term: term(1),
    logTerm: term(0),
    index: logIndex(0),
    entries: [],
    commit: logIndex(0),
    vote: NO_NODE,
    reject: false,
    rejectHint: logIndex(0),
    context: new Uint8Array(0),
    responses: [],
    snapshot: null,
    recovering: false,
    ...more,
  };
}

/** A heartbeat whose commit index tells it from others. */
export function heartbeat(from: number, to: number, commit: number): PeerMessage {
  return { kind: "raft", message: raftMessage("MsgHeartbeat", from, to, { commit: logIndex(commit) }) };
}

/** An append of one entry of so many bytes at `index`. */
export function append(from: number, to: number, index: number, bytes: number): PeerMessage {
  const entry: Entry = {
    term: term(1),
    index: logIndex(index),
    type: "EntryNormal",
    data: new Uint8Array(bytes).fill(index),
  };
  const more = { index: logIndex(index - 1), logTerm: term(1), entries: [entry] };
  return { kind: "raft", message: raftMessage("MsgApp", from, to, more) };
}

/** The number that `heartbeat` was given, or null. */
export function commitOf(message: PeerMessage): number | null {
  return message.kind === "raft" ? message.message.commit : null;
}

export interface Member {
  readonly transport: Transport;
  readonly got: { from: string; message: PeerMessage; disk: string }[];
  readonly log: MemoryLog;
}

/** The disk of member `w<number>`. */
export function diskOf(number: number): string {
  return `00000000-0000-4000-8000-${String(number).padStart(12, "0")}`;
}

/** Peers as the transport takes them. */
export function peersOf(peers: readonly (readonly [number, ...string[]])[]): PeerAddress[] {
  return peers.map(([peer, ...addresses]) => ({ witness: witnessId(`w${peer}`), addresses }));
}

/** Opens a member named `w<number>` that dials the given peers, `[number, address…]`. */
export async function member(
  number: number,
  peers: readonly (readonly [number, ...string[]])[],
  more: Partial<TransportOptions> = {},
): Promise<Member> {
  const got: Member["got"] = [];
  const log = new MemoryLog();
  const transport = await openTransport({
    cluster: "test",
    self: witnessId(`w${number}`),
    disk: diskOf(number),
    life: 1000 + number,
    listen: ["127.0.0.1:0"],
    peers: peersOf(peers),
    heartbeatMs: 50,
    onMessage: (from, message, disk) => got.push({ from, message, disk }),
    log,
    ...more,
  });
  return { transport, got, log };
}

/** Waits until `condition` holds; fails with `what` after `limitMs`. */
export async function until(condition: () => boolean, what: string, limitMs = 8000): Promise<void> {
  const endMs = performance.now() + limitMs;
  while (!condition()) {
    if (performance.now() > endMs) throw new Error(`gave up waiting: ${what}`);
    await sleep(5);
  }
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Ports that were free a moment ago. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
