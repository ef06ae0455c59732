/**
 * One tiny service of the demo: an HTTP server that says who it is. Run as a process of its own, so that it
 * can be killed like a real one: `node service.js PORT NAME [HOST]`; it listens on loopback unless HOST says
 * otherwise.
 */
import { createServer } from "node:http";

const [port, name, host = "127.0.0.1"] = process.argv.slice(2);
if (port === undefined || name === undefined) {
  console.error("usage: service.js PORT NAME [HOST]");
  process.exit(2);
}
const server = createServer((request, response) => {
  const known = request.url === "/health" || request.url === "/";
  response.writeHead(known ? 200 : 404, { "content-type": "application/json" });
  response.end(`${JSON.stringify({ service: name, ok: known })}\n`);
});
server.on("error", (error) => {
  console.error(`service ${name}: ${error.message}`);
  process.exit(1);
});
server.listen(Number(port), host, () => process.send?.("ready"));
process.on("disconnect", () => process.exit(0));
// As process 1 of a container it would otherwise not notice these.
for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => process.exit(0));
