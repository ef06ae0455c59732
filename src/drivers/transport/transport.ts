/**
 * Messages between witnesses, one way, over gRPC streams: the door of the room.
 *
 * Each witness dials each other one; A's messages to B travel on streams that A opened, and B answers with
 * acknowledgements only. Nothing here is reliable by itself, on purpose: what cannot leave soon is dropped,
 * what comes late or twice is dropped, and Raft and the steadily re-sent views make up for it. What it does
 * promise: `onMessage` sees only messages in range, of this cluster, from the witness they name; queues are
 * bounded; and a healed link carries messages again within about a second.
 */
import { performance } from "node:perf_hooks";
import { ServerCredentials } from "@grpc/grpc-js";
import { assert } from "../../core/base/assert.js";
import type { NodeId, WitnessId } from "../../core/base/ids.js";
import { isCount } from "../../core/base/ids.js";
import type { PeerMessage } from "../../core/witness/contract.js";
import { parseAddress } from "./address.js";
import type { ConnectionOptions } from "./connection.js";
import { type RefusalReason, TransportError } from "./errors.js";
import { HostLookup } from "./host-lookup.js";
import { Inbound } from "./inbound.js";
import { Listener } from "./listener.js";
import { QuietLog, type TransportLog } from "./log.js";
import { type PeerConfig, PeerLink } from "./peer-link.js";
import { transportTiming } from "./timing.js";
import { encodeFrame, PROTOCOL_VERSION } from "./wire.js";

export interface TransportOptions {
  readonly cluster: string;
  readonly self: WitnessId;
  /** This witness's place in the configuration; messages to another node are refused. */
  readonly selfNodeId: NodeId;
  /** Random number of this process life, from 0 to 2^53 - 1. */
  readonly life: number;
  /** `host:port` of each address of this witness. */
  readonly listen: readonly string[];
  readonly peers: readonly PeerConfig[];
  /** Raft's heartbeat interval; every timing of the transport follows from it. */
  readonly heartbeatMs: number;
  /** Monotonic clock. Unit: ms. */
  readonly nowMs?: () => number;
  /** Called for each message that passed every check. Never while `send` or `openTransport` runs. */
  readonly onMessage: (from: WitnessId, message: PeerMessage) => void;
  readonly log: TransportLog;
  readonly limits?: Partial<TransportLimits>;
  /** TLS between witnesses; absent: plain TCP. */
  readonly security?: TransportSecurity;
}

export interface TransportLimits {
  /** Largest frame, in and out. */
  readonly frameBytes: number;
  /** Waiting messages of one peer: urgent, bulk, and bytes of each of the two. */
  readonly urgentMessages: number;
  readonly bulkMessages: number;
  readonly queueBytes: number;
  /** A message that is older than this is dropped, waiting or arrived. Default: ten heartbeats, at least 1 s. */
  readonly staleMs: number;
  /** Inbound streams of one peer. */
  readonly streamsPerPeer: number;
}

/** The place for TLS: credentials of the server, and what wraps an outgoing socket. */
export interface TransportSecurity {
  readonly server: ServerCredentials;
  readonly client: NonNullable<ConnectionOptions["secure"]>;
}

/** What is known of one peer, for status, metrics and people. Counters grow only. */
export interface PeerStats {
  readonly peer: WitnessId;
  readonly connectionsUp: number;
  readonly connectionsWanted: number;
  /** Smoothed, of the best address; null before the first acknowledgement. */
  readonly rttMs: number | null;
  /** Estimated share of packets lost each way, from late acknowledgements, 0 to 1. */
  readonly lossEstimate: number;
  /** Since the last frame or acknowledgement of the peer; null: never. Unit: ms. */
  readonly lastHeardAgeMs: number | null;
  readonly sent: number;
  readonly received: number;
  readonly queued: { readonly messages: number; readonly bytes: number };
  /** Not sent or not delivered, by reason. `superseded` and `duplicates` are the rule, not the exception. */
  readonly dropped: {
    readonly superseded: number;
    readonly overflow: number;
    readonly staleUnsent: number;
    readonly staleReceived: number;
    readonly tooLarge: number;
    readonly duplicates: number;
  };
  readonly dials: number;
  /** Connections that had worked and were lost or replaced. */
  readonly replaced: number;
  /** What this witness refused of the peer, by reason. */
  readonly refusedFrom: Readonly<Partial<Record<RefusalReason, number>>>;
  /** What the peer refused of this witness, by reason. */
  readonly refusedBy: Readonly<Partial<Record<RefusalReason | "other", number>>>;
  /** How the last connection ended, in words; null: none has. */
  readonly lastTrouble: string | null;
}

export interface Transport {
  /**
   * Sends or queues one message; returns at once, promises nothing. `urgent`: small and better new than
   * complete: it overtakes bulk, and a newer one of its kind replaces it while it waits. Asserts that `to` is
   * a peer.
   */
  send(to: WitnessId, message: PeerMessage, options: { readonly urgent: boolean }): void;
  stats(): readonly PeerStats[];
  /** Streams refused before their sender was known, by reason. */
  strangers(): Readonly<Partial<Record<RefusalReason, number>>>;
  /** Ports listened on, in the order of `listen`. */
  readonly ports: readonly number[];
  /** Ends every connection and stops listening. */
  close(): Promise<void>;
}

const DEFAULT_LIMITS: Omit<TransportLimits, "staleMs"> = {
  frameBytes: 4 * 1024 * 1024,
  urgentMessages: 256,
  bulkMessages: 256,
  queueBytes: 8 * 1024 * 1024,
  streamsPerPeer: 16,
};

/** A sweep that comes so much too late tells of this process's own sleep, not of the peers. Unit: ms. */
const OWN_GAP_MS = 150;

/**
 * Listens and begins to dial. Throws `TransportError` when an address cannot be used or the options
 * contradict each other.
 */
export async function openTransport(options: TransportOptions): Promise<Transport> {
  checkOptions(options);
  const nowMs = options.nowMs ?? (() => performance.now());
  const timing = transportTiming(options.heartbeatMs);
  const staleMs = Math.max(1000, 10 * options.heartbeatMs);
  const limits: TransportLimits = { ...DEFAULT_LIMITS, staleMs, ...options.limits };
  const quiet = new QuietLog(options.log, nowMs);
  const hosts = new HostLookup(nowMs);
  let listener: Listener | null = null;
  // Between two listening addresses a peer may already speak: the caller is not ready before this returns.
  let phase: "opening" | "open" | "closed" = "opening";

  const inbound = new Inbound({
    cluster: options.cluster,
    self: { id: options.self, nodeId: options.selfNodeId },
    peers: options.peers,
    staleMs: limits.staleMs,
    ackMs: timing.ackMs,
    streamsPerPeer: limits.streamsPerPeer,
    nowMs,
    quiet,
    onMessage: (from, message) => {
      if (phase === "open") options.onMessage(from, message);
    },
    onAlive: (remote) => listener?.onAlive(remote),
  });
  const links = new Map(
    options.peers.map((peer) => [
      peer.id,
      new PeerLink({
        peer,
        hello: () => helloFrame(options, peer, nowMs()),
        lookup: hosts.lookup,
        timing,
        limits: { ...limits, bytes: limits.queueBytes },
        secure: options.security?.client ?? null,
        nowMs,
        log: options.log,
        quiet,
      }),
    ]),
  );
  listener = await Listener.open({
    addresses: options.listen.map((text) => parseAddress(text, "listen", true)),
    credentials: options.security?.server ?? ServerCredentials.createInsecure(),
    frameBytes: limits.frameBytes,
    timing,
    nowMs,
    onStream: (stream) => inbound.accept(stream),
  });
  const opened = listener;

  let lastSweepMs = nowMs();
  let excused = false;
  const sweep = (): void => {
    const atMs = nowMs();
    const gapMs = atMs - lastSweepMs - timing.sweepMs;
    lastSweepMs = atMs;
    // After a gap of our own the acknowledgements are waiting to be read: look once more before blaming a
    // peer, but only once.
    excused = gapMs > OWN_GAP_MS && !excused;
    if (excused) return;
    for (const link of links.values()) link.sweep(atMs);
    opened.sweep(atMs);
  };
  const timer = setInterval(sweep, timing.sweepMs);
  sweep();
  phase = "open";

  return {
    send(to, message, { urgent }) {
      const link = links.get(to);
      assert(link !== undefined, () => `${to} is no peer of ${options.self}`);
      link.send(message, urgent);
    },
    stats: () => [...links.values()].map((link) => peerStats(link, inbound, nowMs())),
    strangers: () => ({ ...inbound.strangers }),
    ports: opened.ports,
    async close() {
      if (phase === "closed") return;
      phase = "closed";
      clearInterval(timer);
      for (const link of links.values()) link.close();
      await opened.close();
    },
  };
}

function helloFrame(options: TransportOptions, peer: PeerConfig, nowMs: number): Buffer {
  const { cluster, self: from, life } = options;
  const hello = { protocol: PROTOCOL_VERSION, cluster, from, to: peer.id, life };
  return encodeFrame({ seq: 0, sentMs: nowMs, body: { kind: "hello", hello } });
}

function checkOptions({ self, selfNodeId, life, peers, heartbeatMs, listen }: TransportOptions): void {
  const bad = (message: string): never => {
    throw new TransportError("TRANSPORT_OPTIONS_INVALID", message);
  };
  const ids = [self, ...peers.map((peer) => peer.id)];
  const nodes = [selfNodeId, ...peers.map((peer) => peer.nodeId)];
  if (new Set(ids).size !== ids.length)
    bad(`witness ids repeat: ${ids.join(", ")}; give each witness its own`);
  if (new Set(nodes).size !== nodes.length) bad(`node ids repeat: ${nodes.join(", ")}`);
  if (!isCount(life)) bad(`life is ${life}, not an integer from 0 to 2^53 - 1`);
  if (!(heartbeatMs > 0)) bad(`heartbeatMs is ${heartbeatMs}, not above 0`);
  if (listen.length === 0) bad("listen is empty; give at least one host:port");
  const silent = peers.find((peer) => peer.addresses.length === 0);
  if (silent !== undefined) bad(`peer ${silent.id} has no address; give at least one host:port in \`peer\``);
}

function peerStats(link: PeerLink, inbound: Inbound, nowMs: number): PeerStats {
  const sender = inbound.senders.get(link.peer.id);
  const heard = [sender?.lastHeardMs, link.lastAckMs].filter((at) => typeof at === "number");
  const { superseded, overflow, stale } = link.queue.drops;
  return {
    peer: link.peer.id,
    connectionsUp: link.connectionsUp(nowMs),
    connectionsWanted: link.connectionsWanted,
    ...link.roundTrips(),
    lastHeardAgeMs: heard.length === 0 ? null : nowMs - Math.max(...heard),
    sent: link.sent.messages,
    received: sender?.received.messages ?? 0,
    queued: { messages: link.queue.messages, bytes: link.queue.bytes },
    dropped: {
      superseded,
      overflow,
      staleUnsent: stale,
      staleReceived: sender?.received.stale ?? 0,
      tooLarge: link.sent.tooLarge,
      duplicates: sender?.received.duplicates ?? 0,
    },
    dials: link.sent.dials,
    replaced: link.sent.replaced,
    refusedFrom: { ...sender?.received.refused },
    refusedBy: { ...link.sent.refused },
    lastTrouble: link.lastTrouble,
  };
}
