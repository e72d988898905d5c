// A small call through the broker's relay, against the same bytes through a proxy of node:http that does nothing else.
import { Agent, request as httpRequest } from "node:http";
import { destinationOf } from "../src/authz/destination.ts";
import { bodyDigest } from "../src/wristband/claims.ts";
import type { Call } from "./harness.ts";
import type { Target } from "./target.ts";
import { firstLine, ORIGIN, type World } from "./world.ts";

const BODY = Buffer.from(
  JSON.stringify({
    jsonrpc: "2.0",
    id: 7,
    method: "tools/call",
    params: {
      name: "search_docs",
      arguments: { query: "how to measure" },
      _meta: {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
      },
    },
  }),
);
const HEADERS = {
  "content-type": "application/json",
  accept: "application/json, text/event-stream",
  "mcp-protocol-version": "2026-07-28",
  "mcp-method": "tools/call",
  "mcp-name": "search_docs",
  "content-length": String(BODY.length),
};

/** Posts the body to a server on loopback; any status but 200 is a fault. */
function post(address: string, headers: Readonly<Record<string, string>>): Call {
  const agent = new Agent({ keepAlive: true });
  const { hostname: host, port } = new URL(`http://${address}`);
  const options = { host, port, method: "POST", path: "/servers/demo/mcp", headers, agent };
  return () =>
    new Promise((done, fail) => {
      const request = httpRequest(options, (response) => {
        response.resume();
        response.on("end", () =>
          response.statusCode === 200 ? done() : fail(new Error(`${address}: status ${response.statusCode}`)),
        );
      });
      request.on("error", fail);
      request.end(BODY);
    });
}

async function startUpstream(world: World): Promise<string> {
  return `http://127.0.0.1:${await firstLine(world.spawn(["bench/relay-peer.ts", "upstream"]))}/mcp`;
}

export const proxyTarget: Target = {
  name: "proxy",
  title: "node:http proxy",
  against: null,
  async start(world) {
    const child = world.spawn(["bench/relay-peer.ts", "proxy", await startUpstream(world)]);
    return { child, call: post(`127.0.0.1:${await firstLine(child)}`, HEADERS) };
  },
};

export const relayTarget: Target = {
  name: "relay",
  title: "the broker's relay",
  against: "proxy",
  async start(world) {
    const url = await startUpstream(world);
    const { child, address } = await world.start("broker", {
      limits: { callsPerCaller: 1024 }, // there is one caller
      servers: { demo: { url, credential: [{ static: { file: "pat" } }] } },
    });
    return { child, call: post(address, { ...HEADERS, ...granted(world, url) }) };
  },
};

/** The headers that Envoy sets for `serve`. */
function granted({ sign }: World, url: string): Record<string, string> {
  const now = Math.floor(Date.now() / 1000);
  const wristband = sign("wristband+jwt", {
    ...{ iss: ORIGIN, aud: "mcp-broker", sub: "alice", idp: ORIGIN, iat: now, exp: now + 3600, jti: "j" },
    ...{
      use: "call",
      client: "bench",
      body: bodyDigest(BODY),
      destinations: { demo: destinationOf(url) },
      caller_exp: now + 3600,
    },
    ...{ tools: { demo: ["search_docs"] }, prompts: {}, resources: {} },
  });
  return {
    "x-authorized-tools": wristband,
    "x-mcp-server": "demo",
    "x-upstream-authorization": "Bearer upstream-credential",
  };
}
