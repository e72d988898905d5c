// One endpoint over sixty servers: each tool that a caller may see is listed once, in the same order each time (CL-01).
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { freePorts } from "../../demo/ports.ts";
import { startBroker, type RunningBroker } from "../../src/app/broker/broker.ts";
import { loadConfig } from "../../src/config/load.ts";
import { createLog } from "../../src/ops/log.ts";
import { createSigner } from "../../src/wristband/sign.ts";
import { ALICE } from "../fakes/authz.ts";
import { makeKey, startIssuer, type FakeIssuer } from "../fakes/issuer.ts";
import { tool } from "../fakes/listing.ts";
import { modernServer, startFakeServer, type FakeServer } from "../fakes/mcp-server.ts";
import { WRISTBAND } from "../fakes/wristband.ts";

const SERVERS = 60;
const TOOLS = 1000;
const key = makeKey("k1");
const signing = { kid: "k1", privateKey: key.privateKey, jwk: {} };
/** By server its tools: many have the same names, one has half of all. */
const toolsOf: Record<string, string[]> = {};
for (let i = 0; i < TOOLS; i += 1) {
  const server = `s${String(i % 2 === 0 ? 0 : i % SERVERS).padStart(2, "0")}`;
  (toolsOf[server] ??= []).push(`tool_${Math.floor(i / 7)}_${i % 7}`);
}
for (let i = 0; i < SERVERS; i += 1) toolsOf[`s${String(i).padStart(2, "0")}`] ??= ["only"];

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-sixty-"));
let serve: FakeIssuer;
let upstreams: FakeServer[];
beforeAll(async () => {
  serve = await startIssuer(key);
  const offered = Object.keys(toolsOf).map((name) => toolsOf[name] ?? []);
  upstreams = await Promise.all(
    offered.map((names) => startFakeServer(modernServer({ tools: names.toReversed().map((name) => tool(name)) }))),
  );
});
afterAll(async () => {
  await Promise.all([serve.close(), ...upstreams.map((upstream) => upstream.close())]);
  rmSync(folder, { recursive: true, force: true });
});

async function start(pageSize: number | "auto"): Promise<{ broker: RunningBroker; port: number }> {
  const file = join(folder, "mcp-authz.yaml");
  const ports = await freePorts();
  const servers = Object.keys(toolsOf).map((name, i) => [name, { url: upstreams[i]?.url, credential: [{ none: {} }] }]);
  const text = stringify({
    publicOrigin: "https://gw.example.com",
    listen: { broker: `127.0.0.1:${ports.broker}`, brokerOps: `127.0.0.1:${ports.brokerOps}` },
    identity: { issuers: [{ issuer: "https://idp.example.com", audiences: ["a"], algorithms: ["ES256"] }] },
    policy: { path: "policies" },
    wristband: { ...WRISTBAND, keys: [{ kid: "k1", file: "w.pem" }], jwksUrl: `${serve.issuer}/jwks` },
    lists: { pageSize },
    servers: Object.fromEntries(servers) as object,
  });
  writeFileSync(file, text);
  const log = createLog(() => {}, "info", Date.now);
  return { broker: await startBroker(loadConfig(file, {}).config, log), port: ports.broker };
}

function wristbandOf(tools: Record<string, string[]>): string {
  const sign = createSigner({ ...WRISTBAND, ttlSeconds: 300, keys: () => [signing], now: Date.now });
  const identity = { ...ALICE, expiresAt: Math.floor(Date.now() / 1000) + 600 };
  const step = sign(identity, { tools, prompts: {}, resources: {} }, { use: "list", merged: true });
  return step.ok ? step.value.jws : "";
}

interface ListResult {
  readonly tools: readonly { readonly name: string }[];
  readonly nextCursor?: string;
}

/** The names of all pages, page by page. */
async function listed(port: number, wristband: string): Promise<string[][]> {
  const found: string[][] = [];
  let cursor: string | undefined;
  do {
    const response = await fetch(`http://127.0.0.1:${port}/mcp`, {
      method: "POST",
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/list", params: { ...(cursor && { cursor }) } }),
      headers: { "content-type": "application/json", "x-authorized-tools": wristband },
    });
    const { result } = (await response.json()) as { result: ListResult };
    found.push(result.tools.map(({ name }) => name));
    cursor = result.nextCursor;
  } while (cursor !== undefined);
  return found;
}

const all = Object.entries(toolsOf).flatMap(([server, names]) => names.map((name) => `${server}_${name}`));

describe("CL-01: one endpoint over 60 servers with 1,000 tools", () => {
  it.each([
    ["auto", 1],
    [37, Math.ceil(all.length / 37)],
  ] as const)("pageSize %s: each tool once, in the same order at every replica", async (pageSize, count) => {
    const [one, other] = [await start(pageSize), await start(pageSize)];
    const pages = await listed(one.port, wristbandOf(toolsOf));
    expect(pages).toHaveLength(count);
    expect(pages.flat().toSorted()).toEqual(all.toSorted());
    expect(await listed(one.port, wristbandOf(toolsOf))).toEqual(pages);
    expect(await listed(other.port, wristbandOf(toolsOf))).toEqual(pages);
    await Promise.all([one.broker.stop(), other.broker.stop()]);
  });

  it("and who sees less gets those alone, in that order", async () => {
    const { broker, port } = await start(37);
    const some = Object.fromEntries(
      Object.entries(toolsOf).map(([name, list]) => [name, list.filter((_, i) => i % 3 === 0)]),
    );
    const whole = (await listed(port, wristbandOf(toolsOf))).flat();
    const part = (await listed(port, wristbandOf(some))).flat();
    const expected = new Set(
      Object.entries(some).flatMap(([server, names]) => names.map((name) => `${server}_${name}`)),
    );
    expect(part).toEqual(whole.filter((name) => expected.has(name)));
    await broker.stop();
  });
});
