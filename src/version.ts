/** The version of this package, from its own package.json: the one place where it stands. */
import { readFileSync } from "node:fs";

/** Such as "0.1.0". */
export function packageVersion(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  const { version } = JSON.parse(text) as { version: string };
  return version;
}
