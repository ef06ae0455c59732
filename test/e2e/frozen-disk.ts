/**
 * A file system of its own that can be frozen: the process lives, its writes hang, and nothing fails. That is how a
 * stalled disk looks from inside, which neither a signal nor a full disk does.
 *
 * Invariant: it is thawed and unmounted when the test ends, also when the test process is killed: whoever writes to a
 * frozen file system cannot even be ended. So a process of its own does it, when the pipe from the test is closed.
 */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";

export interface FrozenDisk {
  readonly path: string;
  /** From now on writes and syncs wait. */
  freeze(): void;
  /** They go on; nothing happens when they do already. */
  thaw(): void;
}

/** Unit: bytes of the image, which is sparse. */
const IMAGE_BYTES = 48 << 20;

/** Waits for the end of its input, whatever signals come. */
const KEEPER = `trap '' HUP INT TERM; read -r _; fsfreeze --unfreeze "$0"; umount --lazy "$0"`;

/**
 * Mounts an ext4 image for the test; null (after marking the test as skipped) where that is not possible. With CI=true
 * it must be, unless the kernel has no loop devices.
 */
export function mountFrozenDisk(t: TestContext): FrozenDisk | null {
  const root = mkdtempSync(join(tmpdir(), "pointsman-frozen-"));
  const [image, path] = [join(root, "image"), join(root, "mount")];
  writeFileSync(image, "");
  truncateSync(image, IMAGE_BYTES);
  const made = spawnSync("sh", [
    "-c",
    'mkfs.ext4 -q "$0" && mkdir "$1" && mount -o loop "$0" "$1"',
    image,
    path,
  ]);
  const isMounted = made.status === 0;
  const keeper = isMounted
    ? spawn("sh", ["-c", KEEPER, path], { stdio: ["pipe", "ignore", "ignore"] })
    : null;
  t.after(async () => {
    if (keeper !== null) {
      const ended = once(keeper, "exit");
      keeper.stdin.end();
      await ended;
    }
    rmSync(root, { recursive: true, force: true });
  });
  if (!isMounted) {
    if (process.env["CI"] === "true" && existsSync("/dev/loop-control")) {
      throw new Error(`CI must be able to mount an image: ${String(made.stderr)}`);
    }
    t.skip("needs root, loop devices and mkfs.ext4");
    return null;
  }
  let isFrozen = false;
  return {
    path,
    freeze() {
      execFileSync("fsfreeze", ["--freeze", path]);
      isFrozen = true;
    },
    thaw() {
      if (isFrozen) execFileSync("fsfreeze", ["--unfreeze", path]);
      isFrozen = false;
    },
  };
}
