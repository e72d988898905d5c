// The broker of Kuadrant's mcp-gateway, by its binary (`--peer kuadrant-broker=PATH`): four servers with 50 tools each, of which the
// caller's signed header names 20. I/O: starts it.
import { createPublicKey } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { freePorts } from "../../demo/ports.ts";
import { post } from "../http-client.ts";
import { httpOpener, showsTools, tampered } from "../ours/broker.ts";
import type { Service, Variant } from "../service.ts";
import { GRANTED, SERVER_NAMES, type World } from "../world.ts";

const TOOLS = 50;
const CALLERS = 50;
const VERSION = "2025-11-25";
const ATTEMPTS = 100;
/** A session that is opened as soon as its status names all tools shows none of them for good. */
const SETTLE_MS = 2000;

export function kuadrantBroker(path: string): Variant {
  return {
    name: "kuadrant-broker",
    title: "Kuadrant's broker",
    async start(world) {
      const { broker, brokerOps, authz } = await freePorts();
      const local = (port: number) => `127.0.0.1:${port}`;
      const config = join(world.folder, "kuadrant.yaml");
      writeFileSync(config, JSON.stringify({ servers: await servers(world) }));
      const command = [
        ...[path, "--mcp-gateway-public-host=mcp.example.com", `--mcp-gateway-private-host=${local(1)}`],
        ...[`--mcp-gateway-config=${config}`, `--mcp-broker-public-address=${local(broker)}`, "--log-level=8"],
        ...[`--metrics-addr=${local(brokerOps)}`, `--mcp-router-address=${local(authz)}`],
        ...["--enforce-capability-filtering", "--discovery-tools-enabled=false"],
      ];
      const key = createPublicKey({ key: world.bandKey.jwk, format: "jwk" });
      const child = world.processes.serve(command, {
        ...{ GOMAXPROCS: "1", GATEWAY_SIGNING_KEY: "0123456789abcdef0123456789abcdef" },
        TRUSTED_HEADER_PUBLIC_KEY: String(key.export({ type: "spki", format: "pem" })),
      });
      await allListed(local(broker));
      await delay(SETTLE_MS);
      const session = await openSession(local(broker));
      return {
        pid: child.pid ?? 0,
        end: () => world.processes.end(child),
        ...asks(world, session),
        open: httpOpener(local(broker)),
      };
    },
  };
}

async function servers(world: World): Promise<readonly object[]> {
  const port = await world.processes.help(["bench/list-peer.ts", "sessions", String(TOOLS)]);
  return SERVER_NAMES.map((name) => ({
    ...{ name: `ns/${name}`, url: `http://127.0.0.1:${port}/mcp`, hostname: `${name}.example.com` },
    ...{ prefix: `${name}_`, state: "Enabled" },
  }));
}

/** A tampered header is answered with an empty list: what is not shown is refused here. */
function asks(
  world: World,
  session: Readonly<Record<string, string>>,
): Pick<Service, "good" | "bad" | "shows" | "isList"> {
  const bands = Array.from({ length: CALLERS }, () => band(world));
  const ask = (header: string, id: number) =>
    post("/mcp", JSON.stringify({ jsonrpc: "2.0", id, method: "tools/list" }), {
      ...session,
      "x-mcp-authorized": header,
    });
  return {
    good: Array.from({ length: 1000 }, (_, i) => ask(bands[i % CALLERS] ?? "", i)),
    bad: { tampered: ask(tampered(bands[0] ?? ""), 1), none: ask("", 1) },
    shows: showsTools,
    isList: true,
  };
}

function band(world: World): string {
  const now = Math.floor(Date.now() / 1000);
  const each = GRANTED / SERVER_NAMES.length;
  const names = Array.from({ length: each }, (_, i) => `tool_${String(i).padStart(5, "0")}`);
  const tools = Object.fromEntries(SERVER_NAMES.map((name) => [`ns/${name}`, names]));
  const claims = { iss: "authz", aud: "mcp", sub: "user-1", iat: now, exp: now + 3600 };
  return world.signBand("JWT", { ...claims, "allowed-capabilities": JSON.stringify({ tools }) });
}

async function allListed(address: string): Promise<void> {
  interface Status {
    readonly servers?: readonly { readonly ready: boolean; readonly totalTools: number }[];
  }
  for (let i = 0; i < ATTEMPTS; i += 1) {
    const status = await fetch(`http://${address}/status`).then(
      (response) => response.json() as Promise<Status>,
      () => null,
    );
    const all = status?.servers ?? [];
    if (all.length === SERVER_NAMES.length && all.every(({ ready, totalTools }) => ready && totalTools === TOOLS))
      return;
    await delay(200);
  }
  throw new Error(`${address}: the servers' tools are not listed`);
}

async function openSession(address: string): Promise<Readonly<Record<string, string>>> {
  const headers = {
    "content-type": "application/json",
    accept: "application/json, text/event-stream",
    "mcp-protocol-version": VERSION,
  };
  const send = (body: object, more = {}) =>
    fetch(`http://${address}/mcp`, {
      method: "POST",
      headers: { ...headers, ...more },
      body: JSON.stringify({ jsonrpc: "2.0", ...body }),
    });
  const params = { protocolVersion: VERSION, capabilities: {}, clientInfo: { name: "bench", version: "1" } };
  const opened = await send({ id: 1, method: "initialize", params });
  await opened.text();
  const session = { "mcp-session-id": opened.headers.get("mcp-session-id") ?? "" };
  await send({ method: "notifications/initialized" }, session).then((response) => response.text());
  return { "mcp-protocol-version": VERSION, ...session };
}
