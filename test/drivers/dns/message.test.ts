/** The codec against the npm library `dns-packet` as oracle, against itself, and against garbage. */
import assert from "node:assert/strict";
import { test } from "node:test";
import dnsPacket from "dns-packet";
import fc from "fast-check";
import { DnsFormatError } from "../../../src/drivers/dns/error.js";
import {
  type DecodedMessage,
  type DnsMessage,
  decodeMessage,
  EMPTY_MESSAGE,
  encodeMessage,
  type ResourceRecord,
} from "../../../src/drivers/dns/message.js";
import { nameToWire } from "../../../src/drivers/dns/name.js";
import { CLASS, readSoa, showValue, TYPE, txtBytes, typeName } from "../../../src/drivers/dns/rdata.js";
import { message, plainName, record, wildName, wildRecord } from "./arbitrary.js";

const plainMessage = message(plainName, record(plainName));
const wildMessage = message(wildName, wildRecord, fc.integer({ min: 0, max: 15 }));

interface OracleRecord {
  readonly name: string;
  readonly type: string;
  readonly class: string;
  readonly ttl: number;
  readonly data: unknown;
}

/** One of our records as the library shows it. */
function asOracle(one: ResourceRecord): OracleRecord {
  const data = (): unknown => {
    if (one.type === TYPE.TXT) return txtBytes(one.rdata).toString("hex");
    if (one.type !== TYPE.SOA) return showValue(one.type, one.rdata);
    return readSoa(one.rdata);
  };
  return { name: one.name, type: typeName(one.type), class: "IN", ttl: one.ttl, data: data() };
}

function fromOracle(one: OracleRecord): OracleRecord {
  const { name, type, ttl } = one;
  const data = one.type === "TXT" ? Buffer.concat(one.data as Buffer[]).toString("hex") : one.data;
  return { name, type, class: one.class, ttl, data };
}

function sections(from: DnsMessage): ResourceRecord[][] {
  return [from.answers, from.authorities, from.additionals].map((list) => [...list]);
}

const oracleSections = (from: dnsPacket.DecodedPacket): OracleRecord[][] =>
  [from.answers, from.authorities, from.additionals].map((list) => (list ?? []) as unknown as OracleRecord[]);

function stripped(decoded: DecodedMessage): DnsMessage {
  const { lastRecordOffset, ...rest } = decoded;
  assert.ok(lastRecordOffset >= -1);
  return rest;
}

test("the library reads in our bytes what we wrote, compression included", () => {
  fc.assert(
    fc.property(plainMessage, (ours) => {
      const theirs = dnsPacket.decode(encodeMessage(ours));
      assert.equal(theirs.id, ours.id);
      assert.equal(theirs.type, ours.isResponse ? "response" : "query");
      assert.equal(theirs.flag_aa, ours.authoritative);
      assert.equal(theirs.flag_tc, ours.truncated);
      assert.equal(theirs.flag_rd, ours.recursionDesired);
      assert.equal(theirs.flag_ra, ours.recursionAvailable);
      assert.equal(theirs.flag_cd, ours.checkingDisabled);
      assert.deepEqual(
        theirs.questions?.map(({ name, type }) => ({ name, type })),
        ours.questions.map(({ name, type }) => ({ name, type: typeName(type) })),
      );
      assert.deepEqual(
        oracleSections(theirs).map((list) => list.map(fromOracle)),
        sections(ours).map((list) => list.map(asOracle)),
      );
    }),
    { numRuns: 400 },
  );
});

test("we read in the library's bytes what it wrote", () => {
  fc.assert(
    fc.property(plainMessage, (model) => {
      const theirs = sections(model).map((list) =>
        list.map((one) => {
          const shown = asOracle(one);
          return one.type === TYPE.TXT ? { ...shown, data: [txtBytes(one.rdata).subarray(0, 255)] } : shown;
        }),
      );
      const [answers, authorities, additionals] = theirs;
      const bytes = dnsPacket.encode({
        id: model.id,
        type: model.isResponse ? "response" : "query",
        flags: model.authoritative ? dnsPacket.AUTHORITATIVE_ANSWER : 0,
        questions: model.questions.map(({ name, type }) => ({ name, type: typeName(type) })),
        answers,
        authorities,
        additionals,
      } as unknown as dnsPacket.Packet);
      const ours = decodeMessage(bytes);
      assert.equal(ours.id, model.id);
      assert.equal(ours.authoritative, model.authoritative);
      assert.deepEqual(
        sections(ours).map((list) => list.map(asOracle)),
        theirs.map((list) => list.map((one) => fromOracle(one as OracleRecord))),
      );
    }),
    { numRuns: 400 },
  );
});

test("any message comes back as it was: every class, names of any bytes, data of unknown types", () => {
  fc.assert(
    fc.property(wildMessage, (ours) => {
      assert.deepEqual(stripped(decodeMessage(encodeMessage(ours))), ours);
    }),
    { numRuns: 400 },
  );
});

test("bytes that are no message are refused by one kind of error, never by another and never for long", () => {
  const read = (bytes: Uint8Array): void => {
    const startedAt = performance.now();
    try {
      decodeMessage(Buffer.from(bytes));
    } catch (error) {
      assert.ok(error instanceof DnsFormatError, String(error));
    }
    assert.ok(performance.now() - startedAt < 1_000);
  };
  fc.assert(fc.property(fc.uint8Array({ maxLength: 600 }), read), { numRuns: 2_000 });
  const damaged = fc
    .tuple(wildMessage, fc.nat(), fc.integer({ min: 0, max: 255 }), fc.nat())
    .map(([ours, at, value, cut]) => {
      const bytes = encodeMessage(ours);
      bytes[at % bytes.length] = value;
      return cut % 3 === 0 ? bytes.subarray(0, cut % bytes.length) : bytes;
    });
  fc.assert(fc.property(damaged, read), { numRuns: 1_000 });
});

test("a packet that is nothing but pointers to pointers is refused at the first long chain", () => {
  // One record full of pointers, each to the one before it; then records whose owner is the end of that chain.
  const chain = Buffer.alloc(16_000);
  for (let at = 2; at < chain.length; at += 2) chain.writeUInt16BE(0xc000 | (23 + at - 2), at);
  const first = Buffer.concat([
    Buffer.from([0, 0xff, 0xff, 0, 1, 0, 0, 0, 0]),
    Buffer.from([62, 128]),
    chain,
  ]);
  const second = Buffer.from([0xfe, 0x95, 0xff, 0xff, 0, 1, 0, 0, 0, 0, 0, 0]);
  const header = Buffer.alloc(12);
  header.writeUInt16BE(4_000, 6);
  const bytes = Buffer.concat([header, first, ...Array.from({ length: 3_999 }, () => second)]);
  assert.throws(() => decodeMessage(bytes), /hops too often/);
});

test("names are compressed, in questions, owners and data", () => {
  const questions = [{ name: "www.pm.test", type: TYPE.A, class: CLASS.IN }];
  const rdata = nameToWire("app.pm.test");
  const answers = [{ name: "www.pm.test", type: TYPE.CNAME, class: CLASS.IN, ttl: 5, rdata }];
  const bytes = encodeMessage({ ...EMPTY_MESSAGE, questions, answers });
  // Header 12, question 13 + 4, owner 2, fixed part 10, "app" and a pointer 6.
  assert.equal(bytes.length, 12 + 17 + 2 + 10 + 6);
});

test("a pointer to itself, forwards, or past the end is refused", () => {
  for (const target of [12, 14, 0x3fff]) {
    const bytes = Buffer.alloc(18);
    bytes.writeUInt16BE(1, 4);
    bytes.writeUInt16BE(0xc000 | target, 12);
    assert.throws(() => decodeMessage(bytes), DnsFormatError, `pointer to ${target}`);
  }
});

test("bytes after the last record are refused: a signature must not hide in front of them", () => {
  const bytes = encodeMessage({
    ...decodeMessage(Buffer.alloc(12)),
    questions: [{ name: "a.test", type: TYPE.A, class: CLASS.IN }],
  });
  assert.throws(() => decodeMessage(Buffer.concat([bytes, Buffer.from([0])])), /follow the last record/);
});
