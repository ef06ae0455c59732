/**
 * The `Backup` stream: the replicated state in parts, as it was at one place in the log.
 *
 * A majority confirms first that nothing decided before the question is missing. States are replaced and never
 * mutated, so the one that is taken then is written part by part, at the pace of the reader, while the witness
 * lives on; only the parts under way are in memory. The end carries the digest of everything: a reader that did
 * not get it has no backup.
 */
import { createHash } from "node:crypto";
import type { ServerWritableStream } from "@grpc/grpc-js";
import { crc32c } from "../../core/base/crc32c.js";
import type { AdminResponse } from "../../core/model/admin.js";
import { encodeState } from "../../core/model/snapshot.js";
import type { State } from "../../core/model/state.js";
import type { WireObject } from "./admin-codec.js";
import { type BackupChunk, backupChunk } from "./admin-wire.js";
import { toGrpcStatus } from "./grpc-status.js";

/** Serves one backup; resolves when the stream has ended, in whichever way. */
export async function serveBackup(
  call: ServerWritableStream<WireObject, WireObject>,
  confirm: () => Promise<AdminResponse>,
  source: { state(): State },
  gone: AbortSignal,
): Promise<void> {
  const confirmed = await confirm();
  const state = source.state();
  if (confirmed.kind !== "status" || state.config === null) {
    const refusal =
      confirmed.kind === "refused"
        ? confirmed
        : ({
            kind: "refused",
            code: "not_ready",
            message: "no configuration is replicated yet: there is nothing to back up",
            leader: null,
          } as const);
    call.emit("error", toGrpcStatus(refusal));
    return;
  }
  async function write(chunk: BackupChunk): Promise<void> {
    if (call.write(backupChunk.encode(chunk) as WireObject)) return;
    await new Promise<void>((resolve) => {
      call.once("drain", resolve);
      gone.addEventListener("abort", () => resolve(), { once: true });
    });
  }
  const digest = createHash("sha256");
  const { appliedIndex: index, appliedTerm: term } = state;
  const { witness } = confirmed.status;
  await write({ kind: "start", cluster: state.config.cluster, witness, index, term, wallMs: Date.now() });
  let parts = 0;
  for (const data of encodeState(state)) {
    if (gone.aborted) return;
    digest.update(data);
    parts += 1;
    await write({ kind: "part", data, crc: crc32c(data) });
  }
  await write({ kind: "end", parts, sha256: digest.digest() });
  call.end();
}
