/**
 * Signatures against vectors that BIND's own code made: requests signed by `nsupdate`, answers signed by `named` 9.18,
 * captured between the two with a key of the bytes 0 to 31.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type DnsMessage, decodeMessage, encodeMessage } from "../../../src/drivers/dns/message.js";
import {
  readTsig,
  signMessage,
  type TsigAlgorithm,
  type TsigKey,
  tsigRecord,
  verifyAnswer,
} from "../../../src/drivers/dns/tsig.js";

const VECTORS: readonly { algorithm: TsigAlgorithm; request: string; answer: string }[] = [
  {
    algorithm: "hmac-sha256",
    request:
      "716228000001000100010001076578616d706c650474657374000006000103617070c00c000100fe000000000000c01e000100010000003c0004c000020106766563746f720000fa00ff00000000003d0b686d61632d7368613235360000006b0211c8012c002078f9b5e77a168cf390171ab8fd3f9d319cd1aabb0d8df0225abfb06fb4b4e199716200000000",
    answer:
      "7162a8000001000000000001076578616d706c650474657374000006000106766563746f720000fa00ff00000000003d0b686d61632d7368613235360000006b0211c8012c0020b736d96e2262b96124901b27d854cd2e33b689c2071050137d0f741a4afe0dd1716200000000",
  },
  {
    algorithm: "hmac-sha512",
    request:
      "502128000001000100010001076578616d706c650474657374000006000103617070c00c000100fe000000000000c01e000100010000003c0004c000020106766563746f720000fa00ff00000000005d0b686d61632d7368613531320000006b0211c8012c00409c8ec7240709db76d6fae00b51509c943734cf1389342a6e244b02b303974a338d73e207c0433c53be5cd77f4cc0239b92f49d4aa410e2d82c9482e61d8a6036502100000000",
    answer:
      "5021a8000001000000000001076578616d706c650474657374000006000106766563746f720000fa00ff00000000005d0b686d61632d7368613531320000006b0211c8012c0040a7a35e8cddcb2d3068ba6fafec3ca78ba9739615e4cf14ebd752acd73f7763544e33fee68eeb58ec51e29d1547e91277eb79d4e05a93e3c956a456ee608aff85502100000000",
  },
];

function vector(at: number) {
  const one = VECTORS[at];
  assert.ok(one !== undefined);
  const key: TsigKey = {
    name: "vector",
    algorithm: one.algorithm,
    secret: Buffer.from(Array.from({ length: 32 }, (_, i) => i)),
  };
  const request = Buffer.from(one.request, "hex");
  const decoded = decodeMessage(request);
  const last = decoded.additionals.at(-1);
  assert.ok(last !== undefined);
  const tsig = readTsig(last);
  const plain = Buffer.from(request.subarray(0, decoded.lastRecordOffset));
  plain.writeUInt16BE(0, 10);
  return { key, request, plain, tsig, answer: Buffer.from(one.answer, "hex") };
}

test("we sign a request byte for byte as nsupdate does", () => {
  for (const at of VECTORS.keys()) {
    const { key, request, plain, tsig } = vector(at);
    const signed = signMessage(plain, key, { timeSeconds: tsig.timeSigned, fudgeSeconds: tsig.fudgeSeconds });
    assert.equal(signed.bytes.toString("hex"), request.toString("hex"));
    assert.deepEqual(signed.mac, tsig.mac);
  }
});

test("an answer signed by BIND is authentic for its request, and for no other", () => {
  for (const at of VECTORS.keys()) {
    const { key, tsig, answer } = vector(at);
    assert.deepEqual(verifyAnswer(answer, key, tsig.mac, tsig.timeSigned), { kind: "authentic", error: 0 });
    const otherMac = Buffer.from(tsig.mac);
    otherMac[0] = (otherMac[0] ?? 0) ^ 1;
    assert.equal(verifyAnswer(answer, key, otherMac, tsig.timeSigned).kind, "forged");
    const otherKey = { ...key, secret: Buffer.alloc(32) };
    assert.equal(verifyAnswer(answer, otherKey, tsig.mac, tsig.timeSigned).kind, "forged");
  }
});

/** A message without what the signature is not about: its id (matched by the transport) and the case of names. */
function meaning(message: DnsMessage): unknown {
  const lower = (_: string, value: unknown): unknown =>
    typeof value === "string" ? value.toLowerCase() : value;
  const additionals = message.additionals.map((record) => (record.type === 250 ? readTsig(record) : record));
  return JSON.parse(JSON.stringify({ ...message, id: 0, additionals }, lower));
}

test("an answer with any single bit turned over is not believed", () => {
  for (const at of VECTORS.keys()) {
    const { key, tsig, answer } = vector(at);
    for (let bit = 0; bit < answer.length * 8; bit++) {
      const damaged = Buffer.from(answer);
      damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      let kind: string;
      try {
        kind = verifyAnswer(damaged, key, tsig.mac, tsig.timeSigned).kind;
      } catch {
        continue;
      }
      if (kind !== "authentic") continue;
      assert.deepEqual(
        meaning(decodeMessage(damaged)),
        meaning(decodeMessage(answer)),
        `bit ${bit} went unseen`,
      );
    }
  }
});

test("an answer signed at another time than ours is told as clock skew, with both clocks", () => {
  const { key, tsig, answer } = vector(0);
  assert.deepEqual(verifyAnswer(answer, key, tsig.mac, tsig.timeSigned + 300).kind, "authentic");
  assert.deepEqual(verifyAnswer(answer, key, tsig.mac, tsig.timeSigned - 301), {
    kind: "bad_time",
    judge: "us",
    serverTime: tsig.timeSigned,
    ourTime: tsig.timeSigned - 301,
  });
});

test("BADTIME carries the server's clock and is believed only when signed", () => {
  const { key, tsig, answer } = vector(0);
  const plain = Buffer.from(answer.subarray(0, decodeMessage(answer).lastRecordOffset));
  plain.writeUInt16BE(0, 10);
  const other = Buffer.alloc(6);
  other.writeUIntBE(tsig.timeSigned + 9_999, 0, 6);
  const options = { timeSeconds: tsig.timeSigned, requestMac: tsig.mac, error: 18, other };
  const signed = signMessage(plain, key, options).bytes;
  assert.deepEqual(verifyAnswer(signed, key, tsig.mac, tsig.timeSigned), {
    kind: "bad_time",
    judge: "server",
    serverTime: tsig.timeSigned + 9_999,
    ourTime: tsig.timeSigned,
  });
  const wrong = signMessage(plain, { ...key, secret: Buffer.alloc(32) }, options).bytes;
  assert.equal(verifyAnswer(wrong, key, tsig.mac, tsig.timeSigned).kind, "forged");
});

test("an answer without a signature, with two, or with a cut one, is told apart from an authentic one", () => {
  const { key, tsig, answer } = vector(0);
  const offset = decodeMessage(answer).lastRecordOffset;
  const plain = Buffer.from(answer.subarray(0, offset));
  plain.writeUInt16BE(0, 10);
  assert.deepEqual(verifyAnswer(plain, key, tsig.mac, tsig.timeSigned), { kind: "unsigned" });
  const hidden = signMessage(answer, key, { timeSeconds: tsig.timeSigned, requestMac: tsig.mac }).bytes;
  assert.equal(verifyAnswer(hidden, key, tsig.mac, tsig.timeSigned).kind, "forged");
  const message = decodeMessage(answer);
  const [signature] = message.additionals;
  assert.ok(signature !== undefined);
  const whole = readTsig(signature);
  for (const mac of [whole.mac.subarray(0, 16), Buffer.alloc(0)]) {
    const cut = encodeMessage({ ...message, additionals: [tsigRecord({ ...whole, mac })] });
    assert.equal(
      verifyAnswer(cut, key, tsig.mac, tsig.timeSigned).kind,
      "forged",
      `${mac.length} bytes of 32`,
    );
  }
});
