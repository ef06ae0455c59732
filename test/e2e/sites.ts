/**
 * The main job's scene in network namespaces: site 1 and site 2 with a witness and three services each, site
 * 3 with the tie-breaker, site 4 with a real name server that a TSIG key may update.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { queryDns } from "../../src/drivers/dns/query.js";
import {
  digShort,
  type NameServer,
  type NameServerKind,
  skipNameServer,
  startNameServer,
} from "../support/name-servers.js";
import { NetLab, skipWithoutNetns } from "../support/netns.js";
import { Cluster } from "./cluster.js";
import { ADDRESS, GROUP, NAME, type Section, type SiteName, ZONE } from "./document.js";
import { siteMachine } from "./machine.js";
import { until } from "./until.js";

/** Where each part of the scene stands. */
export const PLACE = { a: 1, b: 2, tieBreaker: 3, nameServer: 4 } as const;

/** Why these tests cannot run here, or false. */
export function skipSites(kind: NameServerKind): string | false {
  return skipWithoutNetns() || skipNameServer(kind);
}

/** What stands before the witnesses start. */
export interface Stage {
  readonly lab: NetLab;
  readonly nameServer: NameServer;
  /** For files of the test; removed with the scene. */
  readonly directory: string;
  /** The name server as this process reaches it, whatever is cut. */
  readonly nameServerHost: string;
}

/** What a test adds to the document. */
export interface Additions {
  /** Further parts of the group: hooks, announcements, verification. */
  readonly group?: Section;
  /** Further parts of the route. */
  readonly route?: Section;
  /** Parts at the top of the document that replace the tests' own, such as `timings`. */
  readonly extra?: Section;
}

export interface ScenarioOptions {
  readonly nameServer: NameServerKind;
  readonly prepare?: (stage: Stage) => Promise<Additions>;
}

export interface Scene extends Stage {
  readonly cluster: Cluster;
  /** What `dig` says at the name server: the addresses of NAME. */
  dig(): string[];
  /** What `dig` says of the epoch record of NAME. */
  digEpoch(): string[];
  /** Waits until the name server gives the address of the site. */
  named(site: SiteName, timeoutMs?: number): Promise<void>;
}

/** Plays a scenario; when it fails, the ends of the logs are printed with it. */
export async function withSites(
  options: ScenarioOptions,
  body: (scene: Scene) => Promise<void>,
): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "pointsman-e2e-scene-"));
  const lab = NetLab.create({ sites: 4, management: true });
  let nameServer: NameServer | null = null;
  let cluster: Cluster | null = null;
  try {
    nameServer = await startNameServer(options.nameServer, {
      zone: ZONE,
      host: lab.address(PLACE.nameServer),
      alsoListen: [lab.managementAddress(PLACE.nameServer)],
      port: 53,
      argvPrefix: inside(lab, PLACE.nameServer),
      records: [`www IN A ${ADDRESS.a}`],
    });
    const key = join(directory, "tsig.key");
    writeFileSync(key, nameServer.key.secret.toString("base64"), { mode: 0o600 });
    const nameServerHost = lab.managementAddress(PLACE.nameServer);
    const stage: Stage = { lab, nameServer, directory, nameServerHost };
    const { group = {}, route = {}, extra = {} } = (await options.prepare?.(stage)) ?? {};
    cluster = await Cluster.start({
      machines: {
        "w-a": siteMachine(lab, PLACE.a),
        "w-b": siteMachine(lab, PLACE.b),
        "w-c": siteMachine(lab, PLACE.tieBreaker),
      },
      groups: {
        [GROUP]: {
          holdDown: "1s",
          route: [
            {
              rfc2136: {
                zone: ZONE,
                server: nameServer.address,
                key: { name: "pointsman", algorithm: nameServer.key.algorithm, secretFile: key },
                ttl: "1s",
                ...route,
              },
            },
          ],
          ...group,
        },
      },
      extra,
    });
    await body(makeScene({ ...stage, cluster }));
  } catch (error) {
    if (cluster !== null) process.stderr.write(`${await cluster.tails()}\n`);
    if (nameServer !== null) process.stderr.write(`--- name server\n${nameServer.log().slice(-3000)}\n`);
    throw error;
  } finally {
    await cluster?.destroy();
    await nameServer?.close();
    lab.destroy();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Words that put a command at a site. */
export function inside(lab: NetLab, site: number): string[] {
  return ["ip", "netns", "exec", lab.namespace(site)];
}

function makeScene(parts: Stage & { readonly cluster: Cluster }): Scene {
  const { lab, nameServer } = parts;
  const prefix = inside(lab, PLACE.nameServer);
  const asked = `${parts.nameServerHost}:${nameServer.port}`;
  return {
    ...parts,
    dig: () => digShort(nameServer, NAME, "A", prefix),
    digEpoch: () => digShort(nameServer, `_pointsman.${NAME}`, "TXT", prefix),
    named: async (site, timeoutMs = 90_000) => {
      await until(
        `the name server gives the address of site ${site}`,
        async () => {
          const { answers } = await queryDns(asked, NAME, "A", { timeoutMs: 1000 });
          return answers.length === 1 && answers[0]?.value === ADDRESS[site];
        },
        { timeoutMs, everyMs: 20 },
      );
    },
  };
}
