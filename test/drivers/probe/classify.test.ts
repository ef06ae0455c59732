/**
 * What each error of sockets, names and TLS says about a target, and what it does not.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { classify, oneLine, whereOf } from "../../../src/drivers/probe/classify.js";

const raised = (code: string) => Object.assign(new Error(`it said ${code}`), { code });

test("each error counts as the word of the target, as silence, or as our own trouble", () => {
  const table = {
    definite: [
      "ECONNREFUSED",
      "ECONNRESET",
      "EPIPE",
      "EPROTO",
      "CERT_HAS_EXPIRED",
      "DEPTH_ZERO_SELF_SIGNED_CERT",
    ],
    ambiguous: ["ETIMEDOUT", "EHOSTUNREACH", "ENETUNREACH", "EHOSTDOWN", "EAI_AGAIN"],
    failed: [
      "EMFILE",
      "ENFILE",
      "EADDRNOTAVAIL",
      "ENOBUFS",
      "EPERM",
      "EACCES",
      "ENETDOWN",
      "ENOTFOUND",
      "ENEWCODE",
    ],
  };
  for (const [kind, codes] of Object.entries(table)) {
    for (const code of codes) assert.equal(classify(raised(code), "h:1", 1).kind, kind, code);
  }
  assert.equal(classify(raised("HPE_INVALID_CONSTANT"), "h:1", 1).kind, "definite");
  assert.equal(classify(raised("ERR_TLS_CERT_ALTNAME_INVALID"), "h:1", 1).kind, "definite");
  assert.equal(classify("odd", "h:1", 1).kind, "failed");
});

test("of several addresses the one that answered is believed", () => {
  const all = (...codes: string[]) => classify(new AggregateError(codes.map(raised)), "h:1", 1);
  assert.equal(all("ENETUNREACH", "ECONNREFUSED").kind, "definite");
  assert.equal(all("EADDRNOTAVAIL", "ETIMEDOUT").kind, "ambiguous");
  assert.equal(all("EADDRNOTAVAIL", "EMFILE").kind, "failed");
});

test("foreign text becomes one harmless line", () => {
  assert.equal(oneLine("a\n\tb\u001b[31m \u202ec"), "a b [31m c");
  assert.equal(oneLine("x".repeat(500)).length, 200);
  assert.equal(whereOf("2001:db8::1", 80), "[2001:db8::1]:80");
});
