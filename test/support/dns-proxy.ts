/**
 * A TCP proxy in front of a name server that knows where one DNS message ends: it can hold an update back and
 * release the very same bytes later, lose answers, break connections, or damage what passes. This is how
 * tests play the line that delays a deposed leader's order.
 */
import { createConnection, createServer, type Socket } from "node:net";

/**
 * What happens to a request: it passes; it is kept for `release`; it passes but its answer waits for
 * `deliver`, or is lost; the line breaks.
 */
export type Fate = "pass" | "hold" | "hold_answer" | "lose_answer" | "break";

/** A running proxy. Set `fate` and `damage` at any time. */
export interface DnsProxy {
  /** "host:port". */
  readonly address: string;
  /** Decides on each request; the bytes are the message without its length. */
  fate: (message: Buffer) => Fate;
  /** Changes each answer on its way back. */
  damage: (answer: Buffer) => Buffer;
  /** Requests held back so far. */
  readonly held: readonly Buffer[];
  /** Sends the held requests to the server, each on a connection of its own, and gives the answers. */
  release(): Promise<Buffer[]>;
  /** Sends the answers that were held back to the clients that wait for them, and says how many. */
  deliver(): number;
  /** Answers held back so far. */
  readonly heldAnswers: number;
  close(): Promise<void>;
}

/** True for a dynamic update (opcode 5). */
export function isUpdate(message: Buffer): boolean {
  return ((message.readUInt8(2) >> 3) & 0xf) === 5;
}

/** Calls `onMessage` for each whole message of a stream. */
function splitMessages(socket: Socket, onMessage: (message: Buffer) => void): void {
  let received: Buffer = Buffer.alloc(0);
  socket.on("data", (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
    while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
      const end = 2 + received.readUInt16BE(0);
      onMessage(Buffer.from(received.subarray(2, end)));
      received = received.subarray(end);
    }
  });
}

function frame(message: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length, 0);
  return Buffer.concat([length, message]);
}

/** Sends one message as it is and gives the answer: how a test replays captured bytes. */
export function sendRaw(host: string, port: number, message: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host, port });
    socket.setTimeout(5_000, () => socket.destroy(new Error(`no answer from ${host}:${port}`)));
    socket.on("error", reject);
    splitMessages(socket, (answer) => {
      resolve(answer);
      socket.destroy();
    });
    socket.write(frame(message));
  });
}

/** Starts a proxy in front of `host:port` on a free port of `listenHost`. */
export async function startDnsProxy(host: string, port: number, listenHost = "127.0.0.1"): Promise<DnsProxy> {
  const sockets = new Set<Socket>();
  const held: Buffer[] = [];
  const heldAnswers: (() => void)[] = [];
  const keep = (socket: Socket): void => {
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => sockets.delete(socket));
  };
  const server = createServer((client) => {
    const upstream = createConnection({ host, port });
    const lost = new Set<number>();
    const late = new Set<number>();
    keep(client);
    keep(upstream);
    client.on("close", () => upstream.destroy());
    upstream.on("close", () => client.destroy());
    splitMessages(client, (message) => {
      const fate = proxy.fate(message);
      if (fate === "break") {
        client.resetAndDestroy();
      } else if (fate === "hold") {
        held.push(message);
      } else {
        if (fate === "lose_answer") lost.add(message.readUInt16BE(0));
        if (fate === "hold_answer") late.add(message.readUInt16BE(0));
        upstream.write(frame(message));
      }
    });
    splitMessages(upstream, (answer) => {
      const id = answer.readUInt16BE(0);
      if (lost.has(id)) return;
      const send = (): void => void client.write(frame(proxy.damage(answer)));
      if (late.delete(id)) heldAnswers.push(send);
      else send();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, listenHost, resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the proxy has no port");
  const proxy: DnsProxy = {
    address: `${listenHost}:${address.port}`,
    fate: () => "pass",
    damage: (answer) => answer,
    held,
    release: async () => {
      const answers: Buffer[] = [];
      for (const message of held.splice(0)) answers.push(await sendRaw(host, port, message));
      return answers;
    },
    get heldAnswers() {
      return heldAnswers.length;
    },
    deliver: () => {
      const answers = heldAnswers.splice(0);
      for (const send of answers) send();
      return answers.length;
    },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return proxy;
}
