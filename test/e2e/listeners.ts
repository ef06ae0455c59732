/**
 * Two servers that a test plays for the witnesses: one that takes webhooks, and a resolver that can fall
 * silent.
 */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A webhook as it came. */
export interface ReceivedWebhook {
  readonly idempotencyKey: string | undefined;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface WebhookReceiver {
  readonly url: string;
  readonly received: readonly ReceivedWebhook[];
  /** True: requests are taken and not answered. */
  holding: boolean;
  close(): Promise<void>;
}

/** Takes webhooks on a free port of that address. */
export async function startWebhookReceiver(host: string): Promise<WebhookReceiver> {
  const received: ReceivedWebhook[] = [];
  const held = new Set<ServerResponse>();
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => void chunks.push(chunk));
    request.on("end", () => {
      received.push({
        idempotencyKey: request.headers["idempotency-key"] as string | undefined,
        body: JSON.parse(Buffer.concat(chunks).toString("utf8")) as Record<string, unknown>,
      });
      if (receiver.holding) held.add(response);
      else response.end("thanks");
    });
  });
  server.listen(0, host);
  await once(server, "listening");
  const receiver: WebhookReceiver = {
    url: `http://${host}:${(server.address() as AddressInfo).port}/switched`,
    received,
    holding: false,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return receiver;
}

export interface Resolver {
  /** `host:port`. */
  readonly address: string;
  /** True: questions get no answer. */
  silent: boolean;
  close(): Promise<void>;
}

/** A resolver that passes each question on (UDP) and keeps no cache. */
export async function startResolver(
  host: string,
  upstream: { host: string; port: number },
): Promise<Resolver> {
  const socket = createSocket("udp4");
  socket.bind(0, host);
  await once(socket, "listening");
  socket.on("message", (question, asker) => {
    if (resolver.silent) return;
    const asking = createSocket("udp4");
    const close = setTimeout(() => asking.close(), 2000);
    asking.once("message", (answer) => {
      clearTimeout(close);
      asking.close();
      socket.send(answer, asker.port, asker.address);
    });
    asking.send(question, upstream.port, upstream.host);
  });
  const resolver: Resolver = {
    address: `${host}:${socket.address().port}`,
    silent: false,
    close: () => new Promise((resolve) => socket.close(() => resolve())),
  };
  return resolver;
}
