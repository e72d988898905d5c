// `mcp-authz broker` over MCP servers with so many tools: its list, and the relay of a call. I/O.
import { destinationOf } from "../../src/authz/destination.ts";
import { bodyDigest } from "../../src/wristband/claims.ts";
import { HttpConnections, post } from "../http-client.ts";
import type { Service, Variant } from "../service.ts";
import { GRANTED, ORIGIN, writeConfig, type World } from "../world.ts";

const META = {
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientCapabilities": {},
};
const LIST = { "mcp-protocol-version": "2026-07-28", "mcp-method": "tools/list" };
const CALL = { "mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "mcp-name": "search_docs" };
/** Callers whose lists are asked for in turn. */
const CALLERS = 50;
const LIMITS = { callsPerCaller: 1024 };

export function httpOpener(address: string): Service["open"] {
  return (requests, answered, connections) => HttpConnections.open(address, requests, { answered, connections });
}

/** A list of 20 tools of so many, by a wristband that each of 50 callers has. */
export function brokerList(title: string, shape: { readonly servers: number; readonly tools: number }): Variant {
  return {
    name: "broker",
    title,
    async start(world) {
      const names = Array.from({ length: shape.servers }, (_, i) => `s${String(i).padStart(3, "0")}`);
      const upstream = await world.processes.help([
        "bench/list-peer.ts",
        "server",
        String(shape.tools / shape.servers),
      ]);
      const entry = { url: `http://127.0.0.1:${upstream}/mcp`, credential: [{ none: {} }] };
      const servers = Object.fromEntries(names.map((name) => [name, entry]));
      const { child, address } = await startBroker(world, servers);
      const bands = Array.from({ length: CALLERS }, (_, i) => listBand(world, names, `user-${i}`));
      const ask = (band: string, id: number) =>
        post("/mcp", JSON.stringify({ jsonrpc: "2.0", id, method: "tools/list", params: { _meta: META } }), {
          ...LIST,
          "x-authorized-tools": band,
        });
      return {
        pid: child.pid ?? 0,
        end: () => world.processes.end(child),
        good: Array.from({ length: 1000 }, (_, i) => ask(bands[i % CALLERS] ?? "", i)),
        bad: { tampered: ask(tampered(bands[0] ?? ""), 1), none: ask("", 1) },
        shows: showsTools,
        open: httpOpener(address),
      };
    },
  };
}

export function tampered(jws: string): string {
  return `${jws.slice(0, -10)}AAAAAAAAAA`;
}

export function showsTools(answer: Buffer): boolean {
  const { result } = JSON.parse(answer.toString()) as { result?: { tools?: unknown[] } };
  return result?.tools?.length === GRANTED;
}

async function startBroker(world: World, servers: Readonly<Record<string, unknown>>) {
  const jwksUrl = `http://${await world.answer(JSON.stringify({ keys: [world.bandKey.jwk] }))}/jwks`;
  const wristband = { issuer: ORIGIN, keys: [{ kid: "w", file: "keys/w.pem" }], jwksUrl };
  const { file, broker, brokerOps } = await writeConfig(world, { limits: LIMITS, servers, wristband });
  const command = ["--disable-warning=ExperimentalWarning", "src/cli/mcp-authz.ts", "broker", "--config", file];
  const child = world.processes.serve([process.execPath, ...command]);
  await world.processes.ready(child, `http://${brokerOps}/readyz`);
  return { child, address: broker };
}

function bandOf(world: World, sub: string, claims: object): string {
  const now = Math.floor(Date.now() / 1000);
  return world.signBand("wristband+jwt", {
    ...{ iss: ORIGIN, aud: "mcp-broker", sub, idp: ORIGIN, client: "", iat: now, exp: now + 3600, jti: "j" },
    ...{ caller_exp: now + 3600, prompts: {}, resources: {}, ...claims },
  });
}

/** The visible tools are spread over the servers. */
function listBand(world: World, servers: readonly string[], caller: string): string {
  const tools: Record<string, string[]> = {};
  for (let i = 0; i < GRANTED; i += 1) {
    const server = servers[i % servers.length] ?? "";
    (tools[server] ??= []).push(`tool_${String(Math.floor(i / servers.length)).padStart(5, "0")}`);
  }
  return bandOf(world, caller, { use: "list", tools });
}

const CALL_BODY = JSON.stringify({
  ...{ jsonrpc: "2.0", id: 7, method: "tools/call" },
  params: { name: "search_docs", arguments: { query: "how to measure" }, _meta: META },
});

async function startUpstream(world: World): Promise<string> {
  return `http://127.0.0.1:${await world.processes.help(["bench/relay-peer.ts", "upstream"])}/mcp`;
}

/** A small call through the relay. */
export const relayedCall: Variant = {
  name: "broker",
  title: "mcp-authz broker",
  async start(world) {
    const url = await startUpstream(world);
    const { child, address } = await startBroker(world, { demo: { url, credential: [{ static: { file: "pat" } }] } });
    const band = bandOf(world, "alice", {
      ...{ use: "call", body: bodyDigest(Buffer.from(CALL_BODY)), destinations: { demo: destinationOf(url) } },
      tools: { demo: ["search_docs"] },
    });
    const ask = (wristband: string) =>
      post("/servers/demo/mcp", CALL_BODY, {
        ...CALL,
        ...{ "x-authorized-tools": wristband, "x-mcp-server": "demo", "x-upstream-authorization": "Bearer secret" },
      });
    return {
      pid: child.pid ?? 0,
      end: () => world.processes.end(child),
      good: [ask(band)],
      bad: { tampered: ask(tampered(band)), none: ask("") },
      open: httpOpener(address),
    };
  },
};

/** The same bytes by node:http, which does nothing else. */
export const bareProxy: Variant = {
  name: "proxy",
  title: "a bare proxy of node:http",
  async start(world) {
    const url = await startUpstream(world);
    const { child, line } = await world.processes.serveLine([
      process.execPath,
      "--disable-warning=ExperimentalWarning",
      "bench/relay-peer.ts",
      "proxy",
      url,
    ]);
    return {
      pid: child.pid ?? 0,
      end: () => world.processes.end(child),
      good: [post("/servers/demo/mcp", CALL_BODY, CALL)],
      bad: {}, // it decides nothing
      open: httpOpener(`127.0.0.1:${line}`),
    };
  },
};
