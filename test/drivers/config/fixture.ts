/**
 * A small document that is right, and ways to break it: each test of the configuration changes one thing.
 */
import assert from "node:assert/strict";
import type { ClusterConfig } from "../../../src/core/model/config.js";
import { type ConfigWarning, parseConfig } from "../../../src/drivers/config/config.js";
import type { ConfigProblem } from "../../../src/drivers/config/problem.js";

/** Right, with the warnings `unfenced` and `no_resolvers`. The lines are counted by tests. */
export const GOOD = `cluster: acme
version: 1
witnesses:
  w-a: { site: a, peer: [10.1.0.5:7400, 10.9.0.5:7400], admin: 10.1.0.5:7401, dns: 10.1.0.5:53 }
  w-b: { site: b, peer: [10.2.0.5:7400, 10.9.1.5:7400], admin: 10.2.0.5:7401 }
  w-c: { peer: [10.3.0.5:7400, 10.9.2.5:7400], admin: 10.3.0.5:7401 }
sites: [a, b]
timings: { profile: wan }
dns:
  zones:
    gtm.example.com:
      nameServers: ns1.gtm.example.com
      contact: host.master@example.com
      records: { ns1.gtm.example.com: { A: 10.1.0.5 } }
groups:
  shop:
    sites:
      a:
        targets:
          web: { http: "http://10.1.0.10/health" }
          db: { exec: [/bin/check, 10.1.0.10], interval: 5s }
        records:
          www.example.com: { A: 10.1.0.10 }
          api.gtm.example.com: { A: 10.1.0.10, AAAA: "2001:db8::10" }
      b:
        targets:
          web: { http: "http://10.2.0.10/health" }
          api: { tcp: "[2001:db8::11]:9000" }
        records:
          www.example.com: { A: 10.2.0.10 }
          api.gtm.example.com: { A: 10.2.0.10, AAAA: "2001:db8::11" }
    route:
      - rfc2136:
          zone: example.com
          server: 10.0.0.53
          key: { name: pointsman., secretFile: /etc/pointsman/tsig.key }
      - embedded: gtm.example.com
`;

/** The document with pieces of text replaced; each piece must be there. */
export function changed(...changes: readonly (readonly [string, string])[]): string {
  return changes.reduce((text, [from, to]) => {
    assert.ok(text.includes(from), `the fixture does not hold ${from}`);
    return text.replace(from, to);
  }, GOOD);
}

/** The configuration of a document that must be right. */
export function accept(text: string): {
  config: ClusterConfig;
  hash: string;
  warnings: readonly ConfigWarning[];
} {
  const result = parseConfig(text, "test.yaml");
  assert.ok(result.kind === "accepted", JSON.stringify(result, null, 2));
  return result;
}

/** The errors of a document that must be wrong. */
export function refuse(text: string): readonly ConfigProblem[] {
  const result = parseConfig(text, "test.yaml");
  assert.ok(result.kind === "refused", "the document was accepted");
  return result.errors;
}
