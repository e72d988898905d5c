// G20 through the real Envoy: a call goes straight to a server over TLS only if the server's certificate is for this host
// and of the authority that the configuration names. Anything else is 503, and no byte of the call arrives.
import { mkdtempSync, rmSync } from "node:fs";
import type { RequestListener } from "node:http";
import { createServer, type Server } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makeCa, makeLeaf, type Pair } from "../fakes/certificates.ts";
import { DEMO_CREDENTIAL, startLab, type Lab } from "../../demo/lab.ts";
import { freePorts } from "../../demo/ports.ts";
import { legacy } from "./client.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-upstream-tls-"));
const servers: Server[] = [];
let lab: Lab;
let alice: string;

interface Upstream {
  /** A server of the demo's policy, and a tool that alice may use there. */
  readonly name: string;
  readonly tool: string;
  /** As the configuration writes it. */
  readonly host: string;
  readonly pair: Pair;
  readonly caFile: string;
}

/** What arrived, by server. */
const arrivals = new Map<string, string[]>();

async function start({ name, pair }: Upstream): Promise<number> {
  const { cert, key } = pair;
  const seen: string[] = [];
  arrivals.set(name, seen);
  const listener: RequestListener = (request, response) => {
    seen.push(request.headers.authorization ?? "");
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify({ jsonrpc: "2.0", id: 1, result: { content: [{ type: "text", text: name }] } }));
  };
  // Both loopbacks on one port: "localhost" may be either.
  let port = 0;
  for (const host of ["127.0.0.1", "::1"]) {
    const server = createServer({ cert, key, minVersion: "TLSv1.2" }, listener);
    server.on("tlsClientError", () => {});
    servers.push(server);
    port = await new Promise<number>((done) => {
      server.once("error", () => done(port)); // no IPv6 here
      server.listen(port, host, () => {
        const address = server.address();
        done(typeof address === "object" && address !== null ? address.port : 0);
      });
    });
  }
  return port;
}

beforeAll(async () => {
  const ours = makeCa(folder, "our-ca");
  const theirs = makeCa(folder, "their-ca");
  const leaf = (name: string, san: string, ca: Pair, days = 2) => makeLeaf(folder, { name, san, ca, days });
  const ip = "127.0.0.1";
  const upstreams: Upstream[] = [
    { name: "tickets", tool: "echo", host: "localhost", pair: leaf("a", "DNS:localhost", ours), caFile: ours.certFile },
    { name: "everything", tool: "echo", host: ip, pair: leaf("b", "IP:127.0.0.1", theirs), caFile: ours.certFile },
    { name: "budget", tool: "get-budget-data", host: ip, pair: leaf("c", "IP:192.0.2.1", ours), caFile: ours.certFile },
    { name: "demo", tool: "echo", host: ip, pair: leaf("d", "IP:127.0.0.1", ours, -1), caFile: ours.certFile },
  ];
  const entries: [string, object][] = [];
  for (const upstream of upstreams) {
    const { name, host, caFile } = upstream;
    const url = `https://${host}:${await start(upstream)}/mcp`;
    entries.push([name, { url, caFile, callRouting: "direct", credential: [{ static: { file: "secrets/demo" } }] }]);
  }
  const config = (whole: Record<string, unknown>) => void (whole["servers"] = Object.fromEntries(entries));
  lab = await startLab({ folder, ports: await freePorts(), policyFolder: null, progress: () => {}, config });
  alice = await lab.idp.mint("alice");
});

afterAll(async () => {
  await lab.stop();
  for (const server of servers) server.close();
  rmSync(folder, { recursive: true, force: true });
});

const call = (server: string, name: string) =>
  legacy(lab.gateway, "tools/call", { name, arguments: {} }, { token: alice, path: `/servers/${server}/mcp` });

describe("a server over https with a private authority", () => {
  it("gets the call and the credential when its certificate is right", async () => {
    const reply = await call("tickets", "echo");
    expect([reply.status, reply.text.includes('"tickets"')]).toEqual([200, true]);
    // The broker asked for its lists as well, without a credential.
    const calls = arrivals.get("tickets")?.filter((authorization) => authorization !== "");
    expect(calls).toEqual([`Bearer ${DEMO_CREDENTIAL}`]);
  });

  it.each([
    ["of another authority", "everything", "echo"],
    ["for another host", "budget", "get-budget-data"],
    ["that has expired", "demo", "echo"],
  ])("gets nothing when its certificate is one %s", async (_, server, tool) => {
    const reply = await call(server, tool);
    expect(reply.status).toBe(503);
    expect(arrivals.get(server)).toEqual([]);
  });
});
