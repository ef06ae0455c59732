/**
 * Loads admin.proto and names its methods.
 *
 * The file is read at run time from the package's `proto/` folder (four levels above the compiled file), so
 * what grpcurl or another language generates from is what runs here. The loader options belong together with
 * admin-codec.ts.
 */
import { fileURLToPath } from "node:url";
import type { MethodDefinition, ServiceDefinition } from "@grpc/grpc-js";
import { loadSync, type Options, type PackageDefinition } from "@grpc/proto-loader";
import { assert } from "../../core/base/assert.js";
import type { WireObject } from "./admin-codec.js";

/** `proto/` of this package. */
const PROTO_ROOT: string = fileURLToPath(new URL("../../../../proto", import.meta.url));

/** Full name of the service; also its name for the health service. */
export const ADMIN_SERVICE = "pointsman.v1.Admin";

/** One method: takes and gives plain objects as admin-codec.ts expects them. */
export type AdminMethod = MethodDefinition<WireObject, WireObject>;

export type AdminMethodName =
  | "Status"
  | "Explain"
  | "History"
  | "Watch"
  | "Backup"
  | "Switchover"
  | "Hold"
  | "Resume"
  | "TransferLeader"
  | "Exercise"
  | "Members"
  | "AddMember"
  | "PromoteMember"
  | "RemoveMember"
  | "ReplaceMember";

const OPTIONS: Options = {
  keepCase: false,
  longs: String,
  enums: String,
  defaults: true,
  oneofs: true,
  includeDirs: [PROTO_ROOT],
};

let loaded: PackageDefinition | null = null;

/** Everything that admin.proto defines; loaded once a process. */
export function adminPackage(): PackageDefinition {
  loaded ??= loadSync("pointsman/v1/admin.proto", OPTIONS);
  return loaded;
}

/** The service as grpc-js wants it. */
export function adminService(): ServiceDefinition {
  const definition = adminPackage()[ADMIN_SERVICE];
  // A message or enum definition carries `format`; a service does not.
  assert(
    definition !== undefined && !("format" in definition),
    `admin.proto defines no service ${ADMIN_SERVICE}`,
  );
  return definition as ServiceDefinition;
}

/** One method of the service. */
export function adminMethod(name: AdminMethodName): AdminMethod {
  const method = adminService()[name];
  assert(method !== undefined, `admin.proto defines no method ${name}`);
  return method as AdminMethod;
}
