/** Random DNS names, records and messages for the property tests of this folder. */
import fc from "fast-check";
import { type DnsMessage, EMPTY_MESSAGE, type ResourceRecord } from "../../../src/drivers/dns/message.js";
import { labelText, nameToWire } from "../../../src/drivers/dns/name.js";
import { CLASS, soaRdata, TYPE, txtRdata } from "../../../src/drivers/dns/rdata.js";

/** A host name that every DNS library can hold. */
export const plainName: fc.Arbitrary<string> = fc
  .array(fc.stringMatching(/^[A-Za-z0-9_-]{1,12}$/), { minLength: 1, maxLength: 5 })
  .map((labels) => labels.join("."));

/** A name of any bytes at all, in normal form. */
export const wildName: fc.Arbitrary<string> = fc
  .array(fc.uint8Array({ minLength: 1, maxLength: 63 }), { maxLength: 3 })
  .map((labels) => (labels.length === 0 ? "." : labels.map(labelText).join(".")));

const u16 = fc.integer({ min: 0, max: 0xffff });
const u32 = fc.integer({ min: 0, max: 0xffffffff });
const bytes = (length: number) =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((b) => Buffer.from(b));

/** Type and data of a record of the types that we write; names in it come from `names`. */
export function typedData(names: fc.Arbitrary<string>): fc.Arbitrary<{ type: number; rdata: Buffer }> {
  return fc.oneof(
    bytes(4).map((rdata) => ({ type: TYPE.A as number, rdata })),
    bytes(16).map((rdata) => ({ type: TYPE.AAAA as number, rdata })),
    names.map((name) => ({ type: TYPE.CNAME as number, rdata: nameToWire(name) })),
    names.map((name) => ({ type: TYPE.NS as number, rdata: nameToWire(name) })),
    fc
      .uint8Array({ maxLength: 600 })
      .map((text) => ({ type: TYPE.TXT as number, rdata: txtRdata(Buffer.from(text)) })),
    fc
      .tuple(names, names, u32, u32, u32, u32, u32)
      .map(([mname, rname, serial, refresh, retry, expire, minimum]) => ({
        type: TYPE.SOA as number,
        rdata: soaRdata({ mname, rname, serial, refresh, retry, expire, minimum }),
      })),
  );
}

/** A record as it could stand in a zone. */
export function record(names: fc.Arbitrary<string>): fc.Arbitrary<ResourceRecord> {
  return fc
    .tuple(names, typedData(names), u32)
    .map(([name, data, ttl]) => ({ name, class: CLASS.IN, ttl, ...data }));
}

/** A record as it can stand in an update too: without data, of class NONE or ANY, of unknown type. */
export const wildRecord: fc.Arbitrary<ResourceRecord> = fc.oneof(
  record(wildName),
  fc
    .tuple(wildName, u16, fc.constantFrom<number>(CLASS.ANY, CLASS.NONE))
    .map(([name, type, cls]) => ({ name, type, class: cls, ttl: 0, rdata: Buffer.alloc(0) })),
  fc
    .tuple(wildName, fc.integer({ min: 256, max: 0xffff }), u16, u32, fc.uint8Array({ maxLength: 80 }))
    .map(([name, type, cls, ttl, data]) => ({ name, type, class: cls, ttl, rdata: Buffer.from(data) })),
);

/** A whole message; `records` says what its sections are made of. */
export function message(
  names: fc.Arbitrary<string>,
  records: fc.Arbitrary<ResourceRecord>,
  opcode: fc.Arbitrary<number> = fc.constant(0),
): fc.Arbitrary<DnsMessage> {
  const section = fc.array(records, { maxLength: 4 });
  return fc
    .record({
      id: u16,
      isResponse: fc.boolean(),
      opcode,
      authoritative: fc.boolean(),
      truncated: fc.boolean(),
      recursionDesired: fc.boolean(),
      recursionAvailable: fc.boolean(),
      checkingDisabled: fc.boolean(),
      rcode: fc.integer({ min: 0, max: 10 }),
      questions: fc.array(
        fc
          .tuple(names, fc.constantFrom<number>(1, 2, 5, 6, 16, 28))
          .map(([name, type]) => ({ name, type, class: CLASS.IN as number })),
        { maxLength: 2 },
      ),
      answers: section,
      authorities: section,
      additionals: section,
    })
    .map((fields) => ({ ...EMPTY_MESSAGE, ...fields }));
}
