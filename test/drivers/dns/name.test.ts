/**
 * Domain names as text and as bytes, hostile ones included.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseEndpoint } from "../../../src/drivers/dns/endpoint.js";
import { DnsFormatError } from "../../../src/drivers/dns/error.js";
import {
  canonicalName,
  isWithin,
  nameToWire,
  normalName,
  parseLabels,
  readName,
} from "../../../src/drivers/dns/name.js";
import {
  encodeValue,
  rdataKey,
  showValue,
  TYPE,
  txtBytes,
  txtRdata,
} from "../../../src/drivers/dns/rdata.js";
import { wildName } from "./arbitrary.js";

test("a name of any bytes comes back from the wire as it went", () => {
  fc.assert(
    fc.property(wildName, (name) => {
      assert.equal(normalName(name), name);
      const wire = nameToWire(name);
      assert.deepEqual(readName(wire, 0), { name, next: wire.length });
    }),
  );
});

test("an escaped dot is no label border, so a\\.b is not a.b", () => {
  assert.deepEqual(parseLabels("a\\.b.test").map(String), ["a.b", "test"]);
  assert.equal(isWithin("x\\.example.test", "example.test"), false);
  assert.equal(isWithin("x.example.test", "example.test"), true);
  assert.equal(isWithin("xexample.test", "example.test"), false);
  assert.equal(isWithin("example.test", "example.test"), true);
});

test("names that cannot exist are refused with what is wrong", () => {
  for (const [name, reason] of [
    ["a..b", /empty label/],
    [".a", /empty label/],
    [`${"x".repeat(64)}.test`, /64 bytes/],
    [Array(130).fill("a").join("."), /261 bytes/],
    ["a\\", /lone backslash/],
    ["a\\999b", /past \\255/],
  ] as const) {
    assert.throws(() => normalName(name), reason);
  }
});

test("only ASCII letters lose their case in comparisons", () => {
  assert.equal(canonicalName("WWW.Example.TEST."), "www.example.test");
  assert.equal(canonicalName("\\195\\132"), "\\195\\132");
});

test("IPv6 text is written as RFC 5952 says and read in every legal form", () => {
  for (const [text, expected] of [
    ["2001:DB8:0:0:0:0:0:1", "2001:db8::1"],
    ["2001:db8::0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["::", "::"],
    ["1::", "1::"],
    ["::ffff:192.0.2.1", "::ffff:c000:201"],
    ["1:0:0:2::3", "1:0:0:2::3"],
  ] as const) {
    assert.equal(showValue(TYPE.AAAA, encodeValue("AAAA", text)), expected, text);
  }
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
      const data = Buffer.from(bytes);
      assert.deepEqual(encodeValue("AAAA", showValue(TYPE.AAAA, data)), data);
    }),
  );
});

test("values that are no addresses are refused by name", () => {
  for (const [type, value] of [
    ["A", "192.0.2"],
    ["A", "192.0.2.256"],
    ["A", "2001:db8::1"],
    ["AAAA", "192.0.2.1"],
    ["AAAA", "fe80::1%eth0"],
    ["AAAA", "1::2::3"],
  ] as const) {
    assert.throws(
      () => encodeValue(type, value),
      (error: Error) => {
        return error instanceof DnsFormatError && error.message.includes(value);
      },
    );
  }
});

test("a long text is cut into strings of 255 bytes and is one value again", () => {
  for (const length of [0, 1, 255, 256, 510, 1000]) {
    const text = Buffer.alloc(length, "x");
    const rdata = txtRdata(text);
    assert.equal(rdata.length, length + Math.max(1, Math.ceil(length / 255)));
    assert.deepEqual(txtBytes(rdata), text);
  }
  const cutElsewhere = Buffer.from("\x02ab\x01c", "latin1");
  assert.equal(rdataKey(TYPE.TXT, cutElsewhere), rdataKey(TYPE.TXT, txtRdata("abc")));
});

test("server addresses are read in all their forms and refused when they are none", () => {
  assert.deepEqual(parseEndpoint("192.0.2.1"), { host: "192.0.2.1", port: 53, text: "192.0.2.1:53" });
  assert.deepEqual(parseEndpoint("ns1.test:5300"), { host: "ns1.test", port: 5300, text: "ns1.test:5300" });
  assert.deepEqual(parseEndpoint("[2001:db8::1]:54"), {
    host: "2001:db8::1",
    port: 54,
    text: "[2001:db8::1]:54",
  });
  assert.deepEqual(parseEndpoint("::1"), { host: "::1", port: 53, text: "[::1]:53" });
  for (const text of ["", "a b:53", "host:0", "host:70000", "[host]:53", "1.2.3.4:x"]) {
    assert.throws(() => parseEndpoint(text), DnsFormatError, text);
  }
});
