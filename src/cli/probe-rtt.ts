/**
 * The round trip to an address, measured by the TCP handshake: one packet there and one back, no permission needed.
 */
import { connect } from "node:net";
import { performance } from "node:perf_hooks";
import { parseAddress } from "../drivers/transport/address.js";

const SAMPLES = 5;
const TIMEOUT_MS = 2_000;

/** The median of a few handshakes in ms, or why none succeeded. `address` is `host:port`. */
export async function measureConnectRtt(address: string): Promise<number | { readonly problem: string }> {
  const rtts: number[] = [];
  let problem = "no answer";
  for (let sample = 0; sample < SAMPLES; sample++) {
    const result = await handshake(address);
    if (typeof result === "number") rtts.push(result);
    else {
      problem = result;
      if (rtts.length === 0) break;
    }
  }
  const median = rtts.sort((a, b) => a - b)[Math.floor(rtts.length / 2)];
  return median === undefined ? { problem } : Math.round(median * 1000) / 1000;
}

function handshake(address: string): Promise<number | string> {
  const { host, port } = parseAddress(address, "peer");
  return new Promise((resolve) => {
    const begun = performance.now();
    const socket = connect({ host, port });
    const end = (result: number | string) => {
      socket.destroy();
      resolve(result);
    };
    socket.setTimeout(TIMEOUT_MS, () => end(`no answer within ${TIMEOUT_MS} ms`));
    socket.once("connect", () => end(performance.now() - begun));
    socket.once("error", (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
  });
}
