/**
 * The admin server of a witness: the service pointsman.v1.Admin, the standard health service, and reflection,
 * on one port.
 *
 * Door of the room. It knows nothing of Raft or policy: requests go to an `AdminBackend`, answers come back as data
 * (core/model/admin.ts). admin-calls.ts holds the handlers, admin-watch.ts the stream, admin-requests.ts the border,
 * admin-wire.ts the messages, grpc-status.ts the refusals, admin-client.ts the other end.
 *
 * Health: "" (the process) and "pointsman.v1.Admin" follow `setServing`, for load balancers and orchestrators.
 */
import { logVerbosity, Server, ServerCredentials, type ServerOptions, setLogVerbosity } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { ReflectionService } from "@grpc/reflection";
import { HealthImplementation, protoPath as healthProtoPath } from "grpc-health-check";
import { type AdminBackend, type AdminLog, adminCalls } from "./admin-calls.js";
import { listenError } from "./admin-error.js";
import { ADMIN_SERVICE, adminPackage, adminService } from "./admin-proto.js";

export type { AdminBackend, AdminLog } from "./admin-calls.js";

/** Largest request: names and a line of text. */
const REQUEST_BYTES_MAX = 64 * 1024;
/** Largest answer: a history of 2,000 records with hook output. */
const RESPONSE_BYTES_MAX = 64 * 1024 * 1024;

const OPTIONS: ServerOptions = {
  "grpc.max_receive_message_length": REQUEST_BYTES_MAX,
  "grpc.max_send_message_length": RESPONSE_BYTES_MAX,
  "grpc.max_concurrent_streams": 256,
  // Finds clients that vanished without a word within half a minute, so that their watches end.
  "grpc.keepalive_time_ms": 20_000,
  "grpc.keepalive_timeout_ms": 10_000,
  // Otherwise two witnesses configured with one port would share it, and half of the requests would go astray.
  "grpc.so_reuseport": 0,
};

const LAST_BYTES_MS = 100;

/** A running admin server. */
export interface AdminServer {
  /** The port that it listens on (the one given, or the one chosen for port 0). */
  readonly port: number;
  /** What the health service answers from now on. */
  setServing(healthy: boolean): void;
  /**
   * Refuses new calls, ends the watches with `stopping`, waits up to `graceMs` for the calls in work, then closes all
   * connections. Never rejects; a second call waits for the first.
   */
  close(graceMs: number): Promise<void>;
}

/** Starts to listen on `address` ("host:port"); throws `AdminServerError` when that fails. */
export async function startAdminServer(options: {
  readonly address: string;
  readonly backend: AdminBackend;
  readonly log: AdminLog;
  readonly version: string;
}): Promise<AdminServer> {
  const { address, backend, log, version } = options;
  quietGrpc();
  const server = new Server(OPTIONS);
  const calls = adminCalls(backend, log, version);
  server.addService(adminService(), calls.handlers);

  const health = new HealthImplementation({ "": "NOT_SERVING", [ADMIN_SERVICE]: "NOT_SERVING" });
  health.addToServer(server);
  new ReflectionService({ ...adminPackage(), ...loadSync(healthProtoPath) }).addToServer(server);

  const port = await bind(server, address);
  log.info({ address, port }, "admin API listens");
  let closing: Promise<void> | null = null;

  function setServing(healthy: boolean): void {
    const status = healthy && closing === null ? "SERVING" : "NOT_SERVING";
    health.setStatus("", status);
    health.setStatus(ADMIN_SERVICE, status);
  }

  async function shutDown(graceMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      timer = setTimeout(resolve, graceMs);
      server.tryShutdown(() => resolve());
      // Health watches of clients never end by themselves, so our own calls decide, with a moment for their last bytes.
      void calls.drain().then(() => setTimeout(resolve, LAST_BYTES_MS));
    });
    clearTimeout(timer);
    server.forceShutdown();
  }

  return {
    port,
    setServing,
    close(graceMs) {
      closing ??= shutDown(graceMs);
      setServing(false);
      return closing;
    },
  };
}

/**
 * grpc-js writes failures to stderr in a form of its own, among our JSON lines; whatever it says there also
 * comes back as an error with a code. GRPC_VERBOSITY brings it back for those who debug.
 */
function quietGrpc(): void {
  if (process.env["GRPC_VERBOSITY"] === undefined) setLogVerbosity(logVerbosity.NONE);
}

function bind(server: Server, address: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const fail = (thrown: unknown) => reject(listenError(thrown, address));
    try {
      server.bindAsync(address, ServerCredentials.createInsecure(), (error, port) =>
        error === null ? resolve(port) : fail(error),
      );
    } catch (thrown) {
      fail(thrown);
    }
  });
}
