/**
 * A small file system of its own for a test: to fill it, or to mount it read-only, without touching the
 * machine's.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmdirSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";

export interface SmallDisk {
  readonly path: string;
  /** Takes what is free but for so many bytes. */
  fill(leaveBytes: number): void;
  /** Gives back what `fill` took. */
  free(): void;
  readOnly(): void;
}

/** Mounts a tmpfs for the test; null (after marking the test as skipped) where that is not possible. */
export function mountSmallDisk(t: TestContext, size: string): SmallDisk | null {
  const path = mkdtempSync(join(tmpdir(), "pointsman-mount-"));
  const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", `size=${size}`, "pointsman-test", path]);
  t.after(() => {
    if (mounted.status === 0) execFileSync("umount", ["--lazy", path]);
    rmdirSync(path);
  });
  if (mounted.status !== 0) {
    if (process.env["CI"] === "true") throw new Error(`CI must be able to mount: ${String(mounted.stderr)}`);
    t.skip("needs root and the right to mount a tmpfs");
    return null;
  }
  return {
    path,
    fill(leaveBytes) {
      const { bavail, bsize } = statfsSync(path);
      try {
        writeFileSync(join(path, "filler"), Buffer.alloc(Math.max(0, bavail * bsize - leaveBytes), 1));
      } catch (error) {
        // The witness wrote meanwhile, and the disk is full sooner: that is what was asked for.
        if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
      }
    },
    free: () => rmSync(join(path, "filler"), { force: true }),
    readOnly: () => void execFileSync("mount", ["-o", "remount,ro", path]),
  };
}
