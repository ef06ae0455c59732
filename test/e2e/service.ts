/**
 * One service of a site: a tiny HTTP server as a process of its own, so that it can be killed like a real one.
 * `node service.js HOST PORT NAME`; it ends with its parent, because the IPC channel closes.
 */
import { createServer } from "node:http";

const [host, port, name] = process.argv.slice(2);
const server = createServer((request, response) => {
  response.writeHead(request.url === "/health" ? 200 : 404, { "content-type": "application/json" });
  response.end(`${JSON.stringify({ service: name })}\n`);
});
server.listen(Number(port), host, () => process.send?.("ready"));
process.on("disconnect", () => process.exit(0));
