/**
 * An update of epoch n is held back on its way to the name server; epoch n+1 passes; then the update of epoch
 * n arrives, byte for byte. The name server itself has to refuse it: nobody else could.
 *
 * The document names the name server's own address for all. What the first leader sends there is taken aside
 * at its site (address translation) and comes through a proxy of the test; the others reach the server
 * directly.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type DnsProxy, isUpdate, startDnsProxy } from "../support/dns-proxy.js";
import { ADDRESS, GROUP, WITNESSES } from "./document.js";
import { PLACE, skipSites, withSites } from "./sites.js";
import { until } from "./until.js";

const SITE_OF = { "w-a": PLACE.a, "w-b": PLACE.b, "w-c": PLACE.tieBreaker } as const;
/** RFC 2136: prerequisites that assert a set that is not so. */
const NXRRSET = 8;
const YXRRSET = 7;

for (const kind of ["bind", "knot"] as const) {
  test(`an update of epoch 2 arrives at ${kind} after epoch 3: the server refuses it`, {
    skip: skipSites(kind),
    timeout: 600_000,
  }, async (t) => {
    let proxy: DnsProxy | null = null;
    try {
      await withSites({ nameServer: kind }, async (scene) => {
        const { cluster, lab, nameServer } = scene;
        await cluster.settled("w-c", "a");
        await cluster.calm("w-c");
        const first = await cluster.leader();
        proxy = await startDnsProxy(scene.nameServerHost, nameServer.port, lab.managementHost);
        lab.redirect(SITE_OF[first], nameServer, Number(proxy.address.split(":")[1]));
        proxy.fate = (message) => (isUpdate(message) ? "hold" : "pass");
        const { held } = proxy;

        assert.equal(await cluster.switchover(first, "b", "the update is held back"), 2);
        await until("the update of epoch 2 is held back", () => held.length > 0);
        assert.deepEqual(scene.dig(), [ADDRESS.a], "it has not arrived");
        // The leader is cut off from its peers, lives on, and waits for an answer that does not come.
        lab.isolate(SITE_OF[first]);
        const others = WITNESSES.filter((id) => id !== first);
        const [next] = others;
        assert.ok(next !== undefined);
        await cluster.leader(others);
        await cluster.settled(next, "b");
        assert.deepEqual(
          scene.digEpoch(),
          [`"epoch=2 site=b group=${GROUP}"`],
          "the next leader finished epoch 2",
        );
        lab.heal();
        await cluster.leader();
        assert.equal(await cluster.switchover(next, "a", "back again"), 3);
        await cluster.settled(next, "a");

        const codes = (await proxy.release()).map((answer) => answer.readUInt8(3) & 0xf);
        t.diagnostic(`answers to ${codes.length} late update(s) of epoch 2: ${codes.join(", ")}`);
        assert.ok(codes.length > 0);
        for (const code of codes)
          assert.ok(code === NXRRSET || code === YXRRSET, `refused by its prerequisites, not ${code}`);
        assert.deepEqual(scene.dig(), [ADDRESS.a]);
        assert.deepEqual(scene.digEpoch(), [`"epoch=3 site=a group=${GROUP}"`]);
      });
    } finally {
      await (proxy as DnsProxy | null)?.close();
    }
  });
}
