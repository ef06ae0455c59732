/**
 * TCP probe: a completed handshake means that somebody listens. The connection is reset at once, so that neither side
 * keeps it in TIME_WAIT ten times a second.
 */
import { connect } from "node:net";
import type { TcpProbe } from "../../core/model/config.js";
import type { ProbeResult } from "../../core/model/observation.js";
import { attempt } from "./attempt.js";
import { classify, whereOf } from "./classify.js";
import type { NameCache } from "./name-cache.js";

/** Connects and hangs up. Never rejects. */
export function probeTcp(
  spec: TcpProbe,
  options: { readonly timeoutMs: number; readonly signal: AbortSignal; readonly names: NameCache },
): Promise<ProbeResult> {
  const { host, port } = spec;
  const where = whereOf(host, port);
  const stage = () => `no connection to ${where}`;
  return attempt(options.timeoutMs, options.signal, stage, (self) => {
    const socket = connect({ host: host.replace(/^\[|\]$/g, ""), port, lookup: options.names.lookup });
    self.onEnd(() => socket.resetAndDestroy());
    // An error after the end (the reset of a half-open connection) has nobody left to interest.
    socket.on("error", (error) => self.end(classify(error, where, self.elapsedMs())));
    socket.on("connect", () => {
      const rttMs = self.elapsedMs();
      // Linux lets a connect to a closed local port meet itself, if the kernel happens to choose that very port.
      const meetsItself =
        socket.localPort === socket.remotePort && socket.localAddress === socket.remoteAddress;
      if (meetsItself) self.end({ kind: "definite", rttMs, text: `nobody listens at ${where}` });
      else self.end({ kind: "ok", rttMs, text: `connected to ${where}` });
    });
  });
}
