// The gateway before the fixture, on loopback: Envoy, serve, broker, an issuer, and proxies that add alice's token. I/O.
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { startLab, type Lab } from "../../demo/lab.ts";
import { freePort, freePorts } from "../../demo/ports.ts";
import { startFixture, type Fixture } from "./fixture/fixture.ts";
import { startProxy } from "./proxy.ts";

/** How the suite reaches the fixture: by itself, or through the gateway at one server's endpoint or at that of all. */
export const COLUMNS = ["direct", "server", "merged"] as const;
export type Column = (typeof COLUMNS)[number];

export interface ConformanceLab {
  readonly lab: Lab;
  readonly fixture: Fixture;
  /** The endpoint of each column, no token needed. */
  readonly urls: Readonly<Record<Column, string>>;
  /** The gateway with alice's token added. */
  readonly proxy: string;
  stop(): Promise<void>;
}

/** Prefixes that give the fixture's tools the suite's names on /mcp, one server each; the first has prompts and resources too. */
const PREFIXES = ["test_", "json_", "gree", "slow_", "failing_", "protocol_", "confirm_", "multi_"];
const MERGED_NAME = "test";
const NONE = [{ none: {} }];

function serversOf({ origin }: Fixture): Record<string, object> {
  const servers: Record<string, object> = {
    fixture: { url: `${origin}/mcp`, credential: NONE, legacySse: true },
    direct: { url: `${origin}/mcp`, credential: NONE, callRouting: "direct" },
    older: { url: `${origin}/older/mcp`, credential: NONE },
    newer: { url: `${origin}/newer/mcp`, credential: NONE },
    "older-direct": { url: `${origin}/stateless/mcp`, credential: NONE, callRouting: "direct" },
  };
  for (const prefix of PREFIXES) {
    const name = prefix.replaceAll("_", "");
    servers[name] = { url: `${origin}/only/${prefix}/mcp`, credential: NONE, prefix };
  }
  return servers;
}

/** Sessions towards clients: they are off without a key. */
export function withSessions(config: Record<string, unknown>, folder: string): void {
  writeFileSync(join(folder, "keys/session.key"), randomBytes(32), { mode: 0o600 });
  config["sessions"] = { keys: [{ id: "1", file: "keys/session.key" }] };
}

/** @param further servers beside the fixture, as in the configuration */
export async function startConformanceLab(
  folder: string,
  further: Readonly<Record<string, object>> = {},
): Promise<ConformanceLab> {
  const fixture = await startFixture(await freePort());
  const ports = await freePorts();
  const [plainPort, mergedPort] = [await freePort(), await freePort()];
  const own = [plainPort, mergedPort].flatMap((port) => [`http://127.0.0.1:${port}`, `http://localhost:${port}`]);
  const lab = await startLab({
    folder,
    ports,
    policyFolder: join(import.meta.dirname, "policy"),
    progress: () => {},
    config: (config) => {
      config["servers"] = { ...serversOf(fixture), ...further };
      config["cors"] = { origins: own };
      withSessions(config, folder);
    },
  });
  const minted = await lab.idp.mint("alice");
  const token = () => minted;
  const uris = { suite: "test://", ours: `${MERGED_NAME}+test://` };
  const proxies = [
    await startProxy({ port: plainPort, target: ports.gateway, token }),
    await startProxy({ port: mergedPort, target: ports.gateway, token, uris }),
  ];
  const proxy = `http://127.0.0.1:${plainPort}`;
  return {
    lab,
    fixture,
    proxy,
    urls: {
      direct: `${fixture.origin}/mcp`,
      server: `${proxy}/servers/fixture/mcp`,
      merged: `http://127.0.0.1:${mergedPort}/mcp`,
    },
    async stop() {
      for (const each of proxies) {
        each.close();
        each.closeAllConnections();
      }
      await lab.stop();
      await fixture.close();
    },
  };
}
