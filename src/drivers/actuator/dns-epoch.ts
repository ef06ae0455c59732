/**
 * The epoch record: the fencing token, written where the names are.
 *
 * Beside each name that a group moves stands `_pointsman.<name> TXT "epoch=41 site=a group=shop"`. Every change of the
 * name asserts the old epoch record and writes the new one in the same update, so the server itself refuses what a
 * deposed leader sends late. It also tells a person with `dig` who pointed the name where.
 */
import { txtBytes, txtRdata } from "../dns/rdata.js";

/** What an epoch record says. */
export interface EpochMark {
  readonly epoch: number;
  readonly site: string;
  readonly group: string;
}

/** The owner of the epoch record of `name`. */
export function epochRecordName(name: string): string {
  return name === "." ? "_pointsman" : `_pointsman.${name}`;
}

/** The text of an epoch record. */
export function formatEpochMark(mark: EpochMark): string {
  return `epoch=${mark.epoch} site=${mark.site} group=${mark.group}`;
}

/** The data of an epoch record. */
export function encodeEpochMark(mark: EpochMark): Buffer {
  return txtRdata(formatEpochMark(mark));
}

/** Reads an epoch record; null when it is not one of ours. */
export function parseEpochMark(rdata: Buffer): EpochMark | null {
  const match = /^epoch=(\d{1,16}) site=(\S+) group=(\S+)$/.exec(txtBytes(rdata).toString("utf8"));
  if (match === null) return null;
  const [, digits = "", site = "", group = ""] = match;
  const epoch = Number(digits);
  return Number.isSafeInteger(epoch) ? { epoch, site, group } : null;
}
