/**
 * A witness's transport alone, as a process of its own: sends a heartbeat every 50 ms, prints a line for each
 * that arrives.
 *
 * `node link-node.js '{"number":1,"listen":[…],"peers":[[2,"host:port"]],"heartbeatMs":50}'`. A heartbeat
 * carries the sender's CLOCK_MONOTONIC in ms as its commit index, which every process of one machine shares,
 * so that age can be told on arrival. Lines: `ready`, then `got <peer> <sentMs> <nowMs>`; `stats` on standard
 * input is answered by `stats <json>`.
 */
import { witnessId } from "../../../src/core/base/ids.js";
import { commitOf, heartbeat, member } from "./helpers.js";

const { number, listen, peers, heartbeatMs } = JSON.parse(process.argv[2] ?? "{}") as {
  number: number;
  listen: string[];
  peers: [number, ...string[]][];
  heartbeatMs: number;
};
const clockMs = (): number => Number(process.hrtime.bigint() / 1_000_000n);
const { transport } = await member(number, peers, {
  listen,
  heartbeatMs,
  life: Math.floor(Math.random() * 2 ** 53),
  onMessage: (from, message) => console.log(`got ${from} ${commitOf(message)} ${clockMs()}`),
  log: {
    debug: () => {},
    info: (fields, message) => console.error("info", JSON.stringify(fields), message),
    warn: (fields, message) => console.error("warn", JSON.stringify(fields), message),
    error: (fields, message) => console.error("error", JSON.stringify(fields), message),
  },
});
setInterval(() => {
  for (const [peer] of peers) {
    transport.send(witnessId(`w${peer}`), heartbeat(number, peer, clockMs()), { urgent: true });
  }
}, 50);
process.stdin.on("data", () => {
  const { rss } = process.memoryUsage();
  const handles = process.getActiveResourcesInfo().length;
  console.log(`stats ${JSON.stringify({ peers: transport.stats(), rss, handles })}`);
});
process.stdin.on("end", () => process.exit());
console.log("ready");
