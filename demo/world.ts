// What the whole demo has beside its parts: OpenBao with alice's own credential for one server, token exchange for
// another, and two servers that nobody here wrote.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createRemoteJWKSet } from "jose";
import type { Child } from "./child.ts";
import { startDemoServer, type DemoServer } from "./demo-server.ts";
import { EXCHANGE_CLIENT, type ExchangeGrantOptions } from "./idp-exchange.ts";
import type { Ports } from "./ports.ts";
import { known } from "./server-gate.ts";
import { startBudget, startEverything } from "./upstreams.ts";
import { startVault, type VaultLab } from "./vault.ts";

/** What OpenBao holds for alice and the server `demo`. */
export const ALICE_PAT = "pat-of-alice-for-demo";
/** The gateway's own account at the server `budget`. */
export const BUDGET_CREDENTIAL = "budget-credential-of-the-gateway";
/** The same at the server `everything`. */
export const EVERYTHING_CREDENTIAL = "everything-credential-of-the-gateway";
/** As whom the broker lists servers whose callers all have a credential of their own. */
export const DISCOVERY_CREDENTIAL = "discovery-credential-of-the-gateway";
/** Of the client with which the gateway exchanges tokens. */
export const DEMO_EXCHANGE_SECRET = "demo-secret-of-the-gateway-client";
/** What an installation would say to carol, for whom nobody has a credential. */
const HELP =
  "In this demo alice alone has one; an installation names here the page where people connect their accounts.";
/** Generous, for a machine that does everything at once. */
const TIMEOUT_MS = 600;

export interface World {
  readonly vault: VaultLab;
  readonly tickets: DemoServer;
  /** Those that should not end by themselves. */
  readonly children: readonly Child[];
  stop(): Promise<void>;
}

export interface WorldOptions {
  readonly folder: string;
  readonly ports: Ports;
  readonly progress: (line: string) => void;
}

export const ticketsUrl = (ports: Ports): string => `http://127.0.0.1:${ports.tickets}/mcp`;

export const demoUrl = (ports: Ports): string => `http://127.0.0.1:${ports.demo}/mcp`;

/** Keys of the provider's tokens. */
export const tokenKeys = (ports: Ports) => createRemoteJWKSet(new URL(`http://127.0.0.1:${ports.idp}/jwks`));

/** Who may have her token exchanged, and for which servers. */
export function exchangeOptions(ports: Ports): ExchangeGrantOptions {
  return { secret: DEMO_EXCHANGE_SECRET, audiences: { [ticketsUrl(ports)]: ["alice"], [demoUrl(ports)]: ["alice"] } };
}

export async function startWorld({ folder, ports, progress }: WorldOptions): Promise<World> {
  const closing: (() => Promise<void>)[] = [];
  const stop = async () => {
    for (const close of closing.toReversed()) await close();
  };
  const keep = <T extends { stop(): Promise<void> }>(part: T): T => {
    closing.push(() => part.stop());
    return part;
  };
  try {
    progress(`OpenBao                 http://127.0.0.1:${ports.vault}`);
    const vault = keep(await startVault({ port: ports.vault, folder }));
    await vault.put("alice/demo", { token: ALICE_PAT });
    progress(`MCP server "tickets"    ${ticketsUrl(ports)}`);
    const serves = {
      known: known(ALICE_PAT, DISCOVERY_CREDENTIAL),
      tokens: { audience: ticketsUrl(ports), keys: tokenKeys(ports) },
    };
    const tickets = await startDemoServer(ports.tickets, { name: "tickets", serves });
    closing.push(() => tickets.close());
    progress(`MCP server "everything" http://127.0.0.1:${ports.everything}/mcp`);
    const everything = keep(
      await startEverything({ port: ports.everything, folder, credential: EVERYTHING_CREDENTIAL }),
    );
    progress(`MCP server "budget"     http://127.0.0.1:${ports.budget}/mcp`);
    const budget = keep(await startBudget({ port: ports.budget, folder, credential: BUDGET_CREDENTIAL }));
    writeFileSync(join(folder, "secrets/budget"), `${BUDGET_CREDENTIAL}\n`, { mode: 0o600 });
    writeFileSync(join(folder, "secrets/everything"), `${EVERYTHING_CREDENTIAL}\n`, { mode: 0o600 });
    writeFileSync(join(folder, "secrets/discovery"), `${DISCOVERY_CREDENTIAL}\n`, { mode: 0o600 });
    return { vault, tickets, children: [vault.child, everything.child, budget.child], stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** What the world changes in the configuration: each server has another way to a credential. */
export function worldConfig(world: World, ports: Ports, tokenEndpoint: string): Record<string, unknown> {
  const { roleIdFile, secretIdFile, address } = world.vault;
  const vault = { vault: { mount: "secret", path: "{subject}/{server}" } };
  const exchange = {
    tokenEndpoint,
    client: { id: EXCHANGE_CLIENT, secret: { file: "secrets/exchange" } },
    audience: ticketsUrl(ports),
    scope: "mcp:read",
    timeoutMs: TIMEOUT_MS,
  };
  const discovery = [{ static: { file: "secrets/discovery" } }];
  const at = (port: number) => `http://127.0.0.1:${port}/mcp`;
  // The gateway's own account, for all callers and for its lists.
  const ours = (server: "everything" | "budget") => {
    const credential = [{ static: { file: `secrets/${server}` } }];
    return { url: at(ports[server]), credential, discovery: credential };
  };
  return {
    vault: {
      address,
      auth: { approle: { roleId: { file: roleIdFile }, secretId: { file: secretIdFile } } },
      timeoutMs: TIMEOUT_MS,
    },
    servers: {
      demo: { url: at(ports.demo), callRouting: "direct", credential: [vault], discovery },
      tickets: { url: ticketsUrl(ports), credential: [vault, { exchange }], discovery, credentialHelp: HELP },
      everything: ours("everything"),
      budget: ours("budget"),
    },
  };
}
