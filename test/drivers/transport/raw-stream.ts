/**
 * A stream to a witness that is driven by hand, for what no honest transport would send.
 */
import type { TestContext } from "node:test";
import { Client, credentials, type ServiceError } from "@grpc/grpc-js";
import { encodeFrame, type FrameBody, STREAM_PATH } from "../../../src/drivers/transport/wire.js";
import { diskOf } from "./helpers.js";

/** A stream opened by grpc-js's own client, which also shows that what we speak is gRPC. */
export function openStream(t: TestContext, port: number, options: object = {}) {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), {
    "grpc.max_send_message_length": -1,
    "grpc.use_local_subchannel_pool": 1,
    ...options,
  });
  const same = (bytes: Buffer): Buffer => bytes;
  const stream = client.makeBidiStreamRequest<Buffer, Buffer>(STREAM_PATH, same, same);
  const end: { error: ServiceError | null } = { error: null };
  const acks: Buffer[] = [];
  stream.on("error", (error: ServiceError) => {
    end.error = error;
  });
  stream.on("data", (ack: Buffer) => acks.push(ack));
  t.after(() => {
    stream.cancel();
    client.close();
  });
  const write = (body: FrameBody, seq = body.kind === "message" ? 1 : 0): void => {
    stream.write(encodeFrame({ seq, sentMs: 1, body }));
  };
  return { stream, end, acks, write };
}

/** A hello of w1 to w2, with what the test changes. */
export const hello = (more: object = {}): FrameBody => ({
  kind: "hello",
  hello: { protocol: 2, cluster: "test", from: "w1", to: "w2", life: 5, disk: diskOf(1), ...more },
});
