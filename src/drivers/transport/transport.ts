/**
 * Messages between witnesses, one way, over gRPC streams: the door of the room.
 *
 * Each witness dials each other one; A's messages to B travel on streams that A opened, and B answers with
 * acknowledgements only. Nothing here is reliable by itself, on purpose: what cannot leave soon is dropped,
 * what comes late or twice is dropped, and Raft and the steadily re-sent views make up for it. What it does
 * promise: `onMessage` sees only messages in range, of this cluster, from a witness that is a peer now; queues
 * are bounded; and a healed link carries messages again within about a second. Peers come and go while it runs
 * (`updatePeers`). Of Raft's node ids nothing is known here: the core judges them. One kind of message is as
 * large as the state: a MsgSnap is streamed in chunks, goes on where a broken connection left it, and arrives whole
 * or not at all; `onSnapshotSent` tells which.
 */
import { performance } from "node:perf_hooks";
import { ServerCredentials } from "@grpc/grpc-js";
import type { LogIndex, WitnessId } from "../../core/base/ids.js";
import { isCount } from "../../core/base/ids.js";
import type { PeerAddress, PeerMessage } from "../../core/witness/contract.js";
import { addressText, type HostPort, parseAddress } from "./address.js";
import type { ConnectionOptions } from "./connection.js";
import { type RefusalReason, TransportError } from "./errors.js";
import { HostLookup } from "./host-lookup.js";
import { type ArrivedBody, Inbound } from "./inbound.js";
import { Listener } from "./listener.js";
import { QuietLog, type TransportLog } from "./log.js";
import { PeerLink } from "./peer-link.js";
import { IncomingSnapshots, type Origin } from "./snapshot-in.js";
import type { SnapshotProgress } from "./snapshot-out.js";
import { transportTiming } from "./timing.js";
import { encodeFrame, PROTOCOL_VERSION } from "./wire.js";
import { CHUNK_LIMIT, offerMessage } from "./wire-snapshot.js";

export interface TransportOptions {
  readonly cluster: string;
  readonly self: WitnessId;
  /** The UUID of this witness's disk; peers hear it when a stream opens. */
  readonly disk: string;
  /** Random number of this process life, from 0 to 2^53 - 1. */
  readonly life: number;
  /** `host:port` of each address of this witness. */
  readonly listen: readonly string[];
  /** The peers to begin with; `updatePeers` changes them. */
  readonly peers: readonly PeerAddress[];
  /** Raft's heartbeat interval; every timing of the transport follows from it. */
  readonly heartbeatMs: number;
  /** Monotonic clock. Unit: ms. */
  readonly nowMs?: () => number;
  /**
   * Called for each message that passed every check; `disk` is what its sender said of its disk. Never while
   * `send` or `openTransport` runs.
   */
  readonly onMessage: (from: WitnessId, message: PeerMessage, disk: string) => void;
  /**
   * Called once for each MsgSnap that `send` began to stream and that no newer one replaced. True: the peer has
   * it whole and hands it to its core. False: it was given up (docs/errors.md), and the log says why. Never while
   * `send` or `updatePeers` runs.
   */
  readonly onSnapshotSent?: (to: WitnessId, index: LogIndex, ok: boolean) => void;
  /**
   * A snapshot of which a peer has confirmed nothing for so long is given up; some election timeouts. Default:
   * fifty heartbeats, at least 10 s.
   */
  readonly snapshotPatienceMs?: number;
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
  /** Largest encoding of a snapshot that is taken. */
  readonly snapshotBytes: number;
  /** What is here of a snapshot that brings nothing for so long is dropped. */
  readonly snapshotAgeMs: number;
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

/** A snapshot on its way, and how far it is. */
export interface OutgoingSnapshotProgress extends SnapshotProgress {
  readonly to: WitnessId;
}

export interface Transport {
  /**
   * Sends or queues one message; returns at once, promises nothing. `urgent`: small and better new than
   * complete: it overtakes bulk, and a newer one of its kind replaces it while it waits. A message to a
   * witness that is no peer is dropped: it may have been removed while the message waited for the disk. A MsgSnap,
   * whose `snapshot.data` must be a `State` that nobody changes any more, is streamed: while one is under way to the
   * peer, another one takes its place if it is of a later index or term, and is dropped else.
   */
  send(to: WitnessId, message: PeerMessage, options: { readonly urgent: boolean }): void;
  /**
   * Who the peers are from now on, and where; this witness itself is left out. New ones are dialled. Of those
   * that are gone every connection ends and what waits for them is dropped. Those that stay keep the connections
   * to the addresses that stay. An address that cannot be used is told in the log and left out.
   */
  updatePeers(peers: readonly PeerAddress[]): void;
  stats(): readonly PeerStats[];
  /**
   * Stops the snapshots that are on their way: this witness leads no longer, and whoever does sends its own.
   * Nothing comes back for them.
   */
  abandonSnapshots(): void;
  /** The snapshots that are on their way to peers. */
  snapshots(): readonly OutgoingSnapshotProgress[];
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
  snapshotBytes: 1024 * 1024 * 1024,
  snapshotAgeMs: 120_000,
};

/** What a chunk carries: small enough that a slow line is not taken up for long. Unit: bytes. */
const CHUNK_BYTES = 64 * 1024;

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
    self: options.self,
    peers: options.peers.map(({ witness }) => witness),
    staleMs: limits.staleMs,
    ackMs: timing.ackMs,
    streamsPerPeer: limits.streamsPerPeer,
    nowMs,
    quiet,
    onArrival: (origin, body, seq) => {
      if (phase === "open") onArrival(origin, body, seq);
    },
    onAlive: (remote) => listener?.onAlive(remote),
  });
  const links = new Map<WitnessId, PeerLink>();
  const incoming = new IncomingSnapshots({
    limitBytes: limits.snapshotBytes,
    ageMs: limits.snapshotAgeMs,
    nowMs,
    log: options.log,
    answer: (to, status) => links.get(to)?.sendStatus(status),
    onSnapshot: (message, { from, disk }) => options.onMessage(from, { kind: "raft", message }, disk),
  });
  const onArrival = (origin: Origin, body: ArrivedBody, seq: number): void => {
    switch (body.kind) {
      case "message":
        return options.onMessage(origin.from, body.message, origin.disk);
      case "offer":
        return incoming.onOffer(origin, body.offer);
      case "chunk":
        return incoming.onChunk(origin, body.chunk);
      case "status":
        if (body.status.life === options.life)
          links.get(origin.from)?.onStatus(origin.life, seq, body.status);
    }
  };
  const onSnapshotSent = (to: WitnessId, index: LogIndex, ok: boolean): void =>
    queueMicrotask(() => {
      if (phase === "open") options.onSnapshotSent?.(to, index, ok);
    });
  let transfers = 0;
  const sending = {
    // A frame must hold a chunk and what is around it.
    chunkBytes: Math.min(CHUNK_BYTES, CHUNK_LIMIT, limits.frameBytes - 1024),
    retryMs: Math.max(500, 5 * options.heartbeatMs),
    patienceMs: options.snapshotPatienceMs ?? Math.max(10_000, 50 * options.heartbeatMs),
    nextTransfer: () => ++transfers,
    onSent: onSnapshotSent,
  };
  // Where the numbers of a removed peer's messages ended: should it come back, it still remembers them.
  const seqs = new Map<WitnessId, number>();
  const addLink = (peer: WitnessId, addresses: readonly HostPort[]): void => {
    const linkOptions = {
      peer,
      addresses,
      firstSeq: seqs.get(peer) ?? 1,
      hello: () => helloFrame(options, peer, nowMs()),
      lookup: hosts.lookup,
      timing,
      limits: { ...limits, bytes: limits.queueBytes },
      secure: options.security?.client ?? null,
      nowMs,
      log: options.log,
      quiet,
      snapshots: sending,
    };
    links.set(peer, new PeerLink(linkOptions));
  };
  for (const { witness, addresses } of options.peers)
    addLink(
      witness,
      addresses.map((text) => parseAddress(text, `address of peer ${witness}`)),
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
    for (const one of links.values()) one.sweep(atMs);
    incoming.sweep(atMs);
    opened.sweep(atMs);
  };
  const timer = setInterval(sweep, timing.sweepMs);
  sweep();
  phase = "open";

  return {
    send(to, message, { urgent }) {
      const link = links.get(to);
      if (message.kind !== "raft" || message.message.type !== "MsgSnap") link?.send(message, urgent);
      else if (link !== undefined) link.sendSnapshot(offerMessage(message.message));
      else onSnapshotSent(to, offerMessage(message.message).snapshot.index, false);
    },
    updatePeers(peers) {
      if (phase === "closed") return;
      const wanted = new Map(
        peers.flatMap(({ witness, addresses }) =>
          witness === options.self ? [] : [[witness, usable(witness, addresses, options.log)] as const],
        ),
      );
      for (const [peer, gone] of [...links]) {
        if (wanted.has(peer)) continue;
        links.delete(peer);
        seqs.set(peer, gone.nextSeq);
        gone.remove();
        options.log.info({ peer }, "peer removed");
      }
      inbound.updatePeers([...wanted.keys()]);
      incoming.updatePeers([...wanted.keys()]);
      for (const [peer, addresses] of wanted) {
        const kept = links.get(peer);
        if (kept !== undefined) kept.updateAddresses(addresses);
        else {
          addLink(peer, addresses);
          options.log.info({ peer, addresses: addresses.map(addressText) }, "peer added");
        }
      }
    },
    abandonSnapshots() {
      for (const link of links.values()) link.abandonSnapshot("this witness leads no longer");
    },
    snapshots: () =>
      [...links].flatMap(([to, { snapshotProgress }]) =>
        snapshotProgress === null ? [] : [{ to, ...snapshotProgress }],
      ),
    stats: () => [...links.values()].map((one) => peerStats(one, inbound, nowMs())),
    strangers: () => ({ ...inbound.strangers }),
    ports: opened.ports,
    async close() {
      if (phase === "closed") return;
      phase = "closed";
      clearInterval(timer);
      for (const one of links.values()) one.close();
      await opened.close();
    },
  };
}

/** The addresses that can be dialled; the others are told. What is replicated must not be able to stop a witness. */
function usable(peer: WitnessId, addresses: readonly string[], log: TransportLog): HostPort[] {
  return addresses.flatMap((text) => {
    try {
      return [parseAddress(text, `address of peer ${peer}`)];
    } catch (error) {
      if (!(error instanceof TransportError)) throw error;
      log.error({ peer, code: error.code }, `${error.message}; the peer is not dialled there`);
      return [];
    }
  });
}

function helloFrame(options: TransportOptions, to: WitnessId, nowMs: number): Buffer {
  const { cluster, self: from, life, disk } = options;
  const hello = { protocol: PROTOCOL_VERSION, cluster, from, to, life, disk };
  return encodeFrame({ seq: 0, sentMs: nowMs, body: { kind: "hello", hello } });
}

function checkOptions({ self, disk, life, peers, heartbeatMs, listen }: TransportOptions): void {
  const bad = (message: string): never => {
    throw new TransportError("TRANSPORT_OPTIONS_INVALID", message);
  };
  const ids = [self, ...peers.map(({ witness }) => witness)];
  if (new Set(ids).size !== ids.length)
    bad(`witness ids repeat: ${ids.join(", ")}; give each witness its own`);
  if (disk === "") bad("disk is empty; give the UUID of the data directory");
  if (!isCount(life)) bad(`life is ${life}, not an integer from 0 to 2^53 - 1`);
  if (!(heartbeatMs > 0)) bad(`heartbeatMs is ${heartbeatMs}, not above 0`);
  if (listen.length === 0) bad("listen is empty; give at least one host:port");
  const silent = peers.find((peer) => peer.addresses.length === 0);
  if (silent !== undefined)
    bad(`peer ${silent.witness} has no address; give at least one host:port in \`peer\``);
}

function peerStats(link: PeerLink, inbound: Inbound, nowMs: number): PeerStats {
  const sender = inbound.senders.get(link.peer);
  const heard = [sender?.lastHeardMs, link.lastAckMs].filter((at) => typeof at === "number");
  const { superseded, overflow, stale } = link.queue.drops;
  return {
    peer: link.peer,
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
