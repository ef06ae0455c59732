/** A small document for tests of the whole core: two sites with three services each, three witnesses, one group. */
import { siteId, witnessId } from "../../src/core/base/ids.js";
import type { ClusterConfig, GroupConfig, TargetConfig } from "../../src/core/model/config.js";

const A = siteId("a");
const B = siteId("b");

function target(id: string): TargetConfig {
  return {
    id,
    required: true,
    probe: { kind: "tcp", host: "192.0.2.1", port: 80 },
    intervalMs: 100,
    timeoutMs: 100,
    fall: 3,
    rise: 2,
    falseAlarm: 1e-6,
  };
}

const SHOP: GroupConfig = {
  id: "shop",
  mode: "automatic",
  sites: [A, B].map((site) => ({
    site,
    targets: ["web", "api", "db"].map(target),
    records: [{ name: "www.example.test", type: "A", values: [site === A ? "192.0.2.10" : "198.51.100.20"] }],
  })),
  stabilityMs: 1000,
  holdDownMs: 3000,
  failback: { kind: "manual" },
  fence: { kind: "none" },
  drain: { command: ["/bin/true"], timeoutMs: 1000 },
  promote: { command: ["/bin/true"], timeoutMs: 1000 },
  route: [
    {
      kind: "rfc2136",
      zone: "example.test",
      servers: ["192.0.2.53:53"],
      key: null,
      ttlSeconds: 30,
      timeoutMs: 1000,
    },
  ],
  verify: { servers: [], resolvers: [], timeoutMs: 1000 },
  announce: [],
  retry: { limit: 5, backoffMs: 100, backoffMaxMs: 1000 },
  onFailure: "next",
};

/** The document; `change` alters its group. */
export function twoSites(change: Partial<GroupConfig> = {}): ClusterConfig {
  return {
    cluster: "test",
    version: 1,
    witnesses: ["w-a", "w-b", "w-c"].map((id, i) => ({
      id: witnessId(id),
      site: [A, B][i] ?? null,
      peers: [`192.0.2.${i + 1}:7400`],
      admin: `192.0.2.${i + 1}:7401`,
      dns: null,
    })),
    sites: [{ id: A }, { id: B }],
    groups: [{ ...SHOP, ...change }],
    timings: {
      profile: "fast",
      tickMs: 25,
      heartbeatMs: 50,
      electionMinMs: 300,
      electionMaxMs: 600,
      viewIntervalMs: 200,
      viewTimeoutMs: 1500,
    },
    dns: null,
  };
}
