/**
 * The closed list of codes of `backup`, `restore` and `unsafe-recover`. Stable; docs/errors.md holds the same, and a
 * test compares the two.
 */
import { CliError, EXIT, type ExitName } from "./exit-codes.js";

/** Each code with its exit and what it means. */
export const RECOVERY_CODES = {
  backup_exists: ["refused", "a file of that name is there"],
  backup_unwritable: ["refused", "the file cannot be written"],
  backup_broken: ["unreachable", "the stream ended early, or a part of it arrived damaged; no file was left"],
  backup_unreadable: ["refused", "the backup cannot be read"],
  backup_damaged: ["refused", "the backup is cut, or a byte of it is not what was written"],
  backup_newer: ["refused", "a newer release wrote the backup"],
  restore_cluster: ["config", "the document has the name of the cluster that the backup is of"],
  restore_version: ["config", "the document is not of a higher version than the one that was saved"],
  restore_directory: ["storage", "the new directory cannot be made"],
  restore_not_empty: ["storage", "the new directory holds something"],
  recover_not_accepted: ["usage", "`--i-accept-data-loss` is missing; it was only shown what would be done"],
  recover_cluster: ["config", "`--cluster` is not the name in the document"],
  recover_witnesses: ["config", "the document does not list the surviving witness alone"],
  recover_no_data: ["storage", "there is no data directory of a witness at that place"],
  recover_empty: ["storage", "the directory holds no replicated document: there is nothing to go on with"],
  recover_unreadable: ["storage", "an entry of the log cannot be read by this release"],
  recover_kept: ["storage", "a directory that an earlier recovery kept is in the way"],
  recover_directory: ["storage", "the data directory cannot be copied, or not be renamed"],
} as const satisfies Readonly<Record<string, readonly [ExitName, string]>>;

export type RecoveryCode = keyof typeof RECOVERY_CODES;

/** The end of the command with that code. */
export function recoveryError(
  code: RecoveryCode,
  message: string,
  facts: Readonly<Record<string, unknown>> = {},
): CliError {
  return new CliError(EXIT[RECOVERY_CODES[code][0]], code, message, facts);
}
