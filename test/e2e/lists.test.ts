// Lists through the real Envoy: each caller sees what she may use, and no byte of the rest, whatever happens behind.
import { generateKeyPairSync } from "node:crypto";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Client as OldClient } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport as OldTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { parse, stringify } from "yaml";
import { findTool } from "../../src/files/program.ts";
import { tool } from "../fakes/listing.ts";
import { modernServer, startFakeServer, type FakeServer } from "../fakes/mcp-server.ts";
import { startChild, waitReady, type Child } from "../../demo/child.ts";
import { startLab, type Lab } from "../../demo/lab.ts";
import { freePorts, type Ports } from "../../demo/ports.ts";
import { legacy, modern, reasonOf, type Reply } from "./client.ts";
import { startDocs, startSessions, type TestServer } from "./servers.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const folder = mkdtempSync(join(tmpdir(), "mcp-authz-lists-"));
const policies = join(folder, "policies");
const many = Array.from({ length: 450 }, (_, i) => `item_${String(i).padStart(3, "0")}`);
const long = (letter: string) => Array.from({ length: 1000 }, (_, i) => `${letter.repeat(90)}${i}`);
const docsTools = new Set(["doc_search", "doc_read", "secret_purge"]);
const sessions = new Set<string>();

let lab: Lab;
let ports: Ports;
let docs: TestServer;
let old: TestServer;
let big: FakeServer;
let bulk: FakeServer[];
/** Servers of 1,000 tools each, that nobody may use but in one test. */
const numbered = Array.from({ length: 9 }, (_, i) => `many${i}`);
let broker: Child | undefined;
let alice: string;
let bob: string;

const grants = {
  demo: { tool: ["echo", "whoami"] },
  docs: { tool: ["doc_*"], prompt: ["summary"], resource: ["docs://readme", "docs://{id}"] },
  old: { tool: ["old_read"] },
  big: { tool: ["item_*"] },
};

function grant(more: object = {}): void {
  const engineering = { ...grants, ...more };
  writeFileSync(join(policies, "data.yaml"), stringify({ grants: { engineering }, limits: { transfer: 1000 } }));
}

beforeAll(async () => {
  mkdirSync(policies, { recursive: true });
  cpSync(join(ROOT, "policies/demo/policy.rego"), join(policies, "policy.rego"));
  grant();
  docs = await startDocs(docsTools);
  old = await startSessions(sessions);
  big = await startFakeServer(modernServer({ tools: many.map((name) => tool(name)) }));
  bulk = await Promise.all(
    [long("x"), long("y"), ...numbered.map(() => Array.from({ length: 1000 }, (_, i) => `tool_${i}`))].map((names) =>
      startFakeServer(modernServer({ tools: names.map((name) => tool(name)) })),
    ),
  );
  ports = await freePorts();
  const urls = { docs: docs.url, old: old.url, big: big.url, bulk1: bulk[0]?.url, bulk2: bulk[1]?.url };
  const more = Object.fromEntries(numbered.map((name, i) => [name, bulk[i + 2]?.url]));
  lab = await startLab({
    folder,
    ports,
    policyFolder: policies,
    progress: () => {},
    config: (config) => {
      config["lists"] = { pageSize: 200 };
      const servers = config["servers"] as Record<string, object>;
      for (const [name, url] of Object.entries({ ...urls, ...more }))
        servers[name] = {
          url,
          callRouting: "direct",
          credential: [{ none: {} }],
          // On a direct route it would announce to older clients that it does not speak their revision.
          ...(name === "big" && { prefix: "pre.fix-", callRouting: "broker" }),
        };
    },
  });
  alice = await lab.idp.mint("alice");
  bob = await lab.idp.mint("bob");
  await vi.waitFor(async () => expect(await count(alice)).toBeGreaterThan(0), 20_000);
});
afterAll(async () => {
  await broker?.stop();
  await lab.stop();
  await Promise.all([docs.stop(), old.stop(), big.close(), ...bulk.map((each) => each.close())]);
  rmSync(folder, { recursive: true, force: true });
});

const MEMBER = {
  "tools/list": "tools",
  "prompts/list": "prompts",
  "resources/list": "resources",
  "resources/templates/list": "resourceTemplates",
} as const;
type ListMethod = keyof typeof MEMBER;

interface Result {
  readonly nextCursor?: string;
  readonly capabilities?: object;
  readonly [list: string]: unknown;
}

function resultOf(reply: Reply): Result {
  const result = reply.message?.["result"] as Result | undefined;
  if (result === undefined) throw new Error(`${reply.status} ${String(reasonOf(reply))}`);
  return result;
}

function namesOf(reply: Reply, method: ListMethod): string[] {
  const list = (resultOf(reply)[MEMBER[method]] ?? []) as Record<string, string>[];
  return list.map((item) => item["uri"] ?? item["uriTemplate"] ?? item["name"] ?? "");
}

const tools = async (token: string, path: string) =>
  namesOf(await legacy(lab.gateway, "tools/list", {}, { token, path }), "tools/list");
/** Of alice, page by page. */
async function allTools(path: string): Promise<string[]> {
  const names: string[] = [];
  for (let cursor: string | undefined, isFirst = true; isFirst || cursor !== undefined; isFirst = false) {
    const reply = await legacy(lab.gateway, "tools/list", isFirst ? {} : { cursor }, { token: alice, path });
    names.push(...namesOf(reply, "tools/list"));
    cursor = resultOf(reply).nextCursor;
  }
  return names;
}
const count = (token: string) =>
  tools(token, "/servers/docs/mcp").then(
    (names) => names.length,
    () => 0,
  );
const ops = async (port: number, path: string) => (await fetch(`http://127.0.0.1:${port}${path}`)).text();
const stateOf = async (server: string) => {
  const { upstreams } = JSON.parse(await ops(ports.brokerOps, "/readyz")) as {
    upstreams: { server: string; state: string }[];
  };
  return upstreams.find((each) => each.server === server)?.state;
};

describe.each([
  ["2025-11-25", legacy],
  ["2026-07-28", modern],
] as const)("the revision %s", (version, send) => {
  it("alice's lists on a server's endpoint hold what she may use there, of every kind", async () => {
    const path = "/servers/docs/mcp";
    const lists: string[][] = [];
    for (const method of Object.keys(MEMBER) as ListMethod[])
      lists.push(namesOf(await send(lab.gateway, method, {}, { token: alice, path }), method));
    expect(lists).toEqual([["doc_read", "doc_search"], ["summary"], ["docs://readme"], ["docs://{id}"]]);
    expect(
      namesOf(await send(lab.gateway, "tools/list", {}, { token: alice, path: "/servers/old/mcp" }), "tools/list"),
    ).toEqual(["old_read"]);
  });

  it("P2.5-4, LA-02, TB-04: on /mcp her tools of all servers, prefixed, page by page", async () => {
    const names: string[] = [];
    let cursor: string | undefined;
    do {
      const reply = await send(lab.gateway, "tools/list", cursor === undefined ? {} : { cursor }, {
        token: alice,
        path: "/mcp",
      });
      names.push(...namesOf(reply, "tools/list"));
      cursor = resultOf(reply).nextCursor;
    } while (cursor !== undefined);
    const others = ["demo_echo", "demo_whoami", "docs_doc_read", "docs_doc_search", "old_old_read"];
    expect(names).toEqual([...many.map((name) => `pre.fix-${name}`), ...others]);
  });

  it("on /mcp her prompts and resources, under their merged names", async () => {
    const lists: string[][] = [];
    for (const method of ["prompts/list", "resources/list", "resources/templates/list"] as const)
      lists.push(namesOf(await send(lab.gateway, method, {}, { token: alice, path: "/mcp" }), method));
    expect(lists).toEqual([["docs_summary"], ["docs+docs://readme"], ["docs+docs://{id}"]]);
  });

  it("arguments are completed for what she may read, on both endpoints", async () => {
    const argument = { name: "id", value: "a" };
    const complete = async (path: string, uri: string) =>
      send(
        lab.gateway,
        "completion/complete",
        { ref: { type: "ref/resource", uri }, argument },
        { token: alice, path },
      );
    for (const [path, prefix] of [
      ["/servers/docs/mcp", ""],
      ["/mcp", "docs+"],
    ] as const) {
      expect(resultOf(await complete(path, `${prefix}docs://{id}`))).toMatchObject({
        completion: { values: ["a-page"] },
      });
      const hidden = await complete(path, `${prefix}secret://{id}`);
      const unknown = await complete(path, `${prefix}none://{id}`);
      const same = ({ status, text }: Reply) => [status, text.replace(/"requestId":"[^"]*"/, "")];
      expect([reasonOf(hidden), same(hidden)]).toEqual(["policy_denied", same(unknown)]);
    }
  });

  it("bob's are empty everywhere", async () => {
    for (const path of ["/mcp", "/servers/docs/mcp", "/servers/big/mcp", "/servers/old/mcp"])
      for (const method of Object.keys(MEMBER) as ListMethod[])
        expect([path, namesOf(await send(lab.gateway, method, {}, { token: bob, path }), method)]).toEqual([path, []]);
  });

  it("B44: alice's cursor is none for bob, nor for another endpoint", async () => {
    const first = await send(lab.gateway, "tools/list", {}, { token: alice, path: "/servers/big/mcp" });
    const cursor = resultOf(first).nextCursor;
    for (const [token, path] of [
      [bob, "/servers/big/mcp"],
      [alice, "/mcp"],
    ] as const) {
      const reply = await send(lab.gateway, "tools/list", { cursor }, { token, path });
      expect([reply.status, reply.message?.["error"]]).toMatchObject([
        400,
        { code: -32602, data: { reason: "params_invalid" } },
      ]);
    }
  });

  it("N-04, B43: a list is hers alone, in the protocol and in HTTP", async () => {
    const reply = await send(lab.gateway, "tools/list", {}, { token: alice });
    expect(reply.headers.get("cache-control")).toBe("no-store");
    if (version === "2026-07-28")
      expect(reply.message?.["result"]).toMatchObject({ resultType: "complete", cacheScope: "private", ttlMs: 5000 });
    else expect(reply.text).not.toMatch(/cacheScope|ttlMs|resultType/);
  });

  it("P2.5-5: a hidden name stands in no byte that she receives", async () => {
    const bytes: string[] = [];
    const see = async (method: string, params: Record<string, unknown>, path: string) => {
      const reply = await send(lab.gateway, method, params, { token: alice, path });
      bytes.push(`${JSON.stringify([...reply.headers])} ${reply.text}`);
    };
    for (const path of ["/mcp", "/servers/docs/mcp", "/servers/old/mcp", "/servers/demo/mcp"]) {
      for (const method of [
        ...Object.keys(MEMBER),
        "ping",
        version === "2026-07-28" ? "server/discover" : "initialize",
        "completion/complete",
      ])
        await see(method, { protocolVersion: "2025-11-25" }, path);
      for (const name of ["secret_purge", "docs_secret_purge", "old_delete", "delete_repo"])
        await see("tools/call", { name }, path);
      await see("prompts/get", { name: "secret_prompt" }, path);
      for (const uri of [
        "docs://secret_page",
        "secret://1",
        "secret://{id}",
        "docs+docs://secret_page",
        "docs+secret://1",
      ])
        await see("resources/read", { uri }, path);
      await see("prompts/get", { name: "docs_secret_prompt" }, path);
    }
    expect(bytes.join("\n")).not.toMatch(/secret|old_delete|delete_repo/);
  });

  it("B37: what is not listed is refused as if it did not exist, byte for byte", async () => {
    const path = "/servers/docs/mcp";
    const shape = async (method: string, params: Record<string, unknown>) => {
      const reply = await send(lab.gateway, method, params, { token: alice, path });
      return [reply.status, reply.text.replace(/"requestId":"[^"]*"/, "")];
    };
    expect(await shape("tools/call", { name: "secret_purge" })).toEqual(await shape("tools/call", { name: "no_such" }));
    expect(await shape("prompts/get", { name: "secret_prompt" })).toEqual(
      await shape("prompts/get", { name: "no_such" }),
    );
    expect(await shape("resources/read", { uri: "docs://secret_page" })).toEqual(
      await shape("resources/read", { uri: "docs://no_such" }),
    );
    expect(await shape("resources/read", { uri: "docs://secret_page" })).toMatchObject([
      200,
      expect.stringContaining("policy_denied") as unknown,
    ]);
  });

  it("N-05: capabilities are what the endpoint serves, the same for bob as for alice", async () => {
    const method = version === "2026-07-28" ? "server/discover" : "initialize";
    for (const token of [alice, bob]) {
      const of = async (path: string) =>
        resultOf(await send(lab.gateway, method, { protocolVersion: version }, { token, path })).capabilities;
      const [merged, direct, toolsOnly] = [
        await of("/mcp"),
        await of("/servers/docs/mcp"),
        await of("/servers/old/mcp"),
      ];
      // An older client has a stream on which she can be told where she has a session: not at a direct server.
      const told = { listChanged: true };
      const here = version === "2026-07-28" ? told : {};
      expect([merged, direct, toolsOnly]).toEqual([
        { tools: told, prompts: told, resources: told, completions: {} },
        { tools: here, prompts: here, resources: here, completions: {} },
        { tools: here },
      ]);
    }
  });
});

it("definitions arrive as the server wrote them", async () => {
  const direct = await modern(docs.url.replace("/mcp", ""), "tools/list", {}, { path: "/mcp" });
  const through = await modern(lab.gateway, "tools/list", {}, { token: alice, path: "/servers/docs/mcp" });
  const listed = (reply: Reply) => resultOf(reply)["tools"] as { name: string }[];
  const theirs = listed(direct).filter(({ name }) => name.startsWith("doc_"));
  expect(listed(through)).toEqual(theirs.toSorted((a, b) => (a.name < b.name ? -1 : 1)));
  expect(through.text).toContain('"_meta":{"x/y":1}');
});

describe("clients that nobody here wrote turn the pages", () => {
  it("the official client of today", async () => {
    const client = new Client({ name: "t", version: "1" }, { versionNegotiation: { mode: "auto" } });
    const headers = { authorization: `Bearer ${alice}` };
    await client.connect(
      new StreamableHTTPClientTransport(new URL(`${lab.gateway}/servers/big/mcp`), { requestInit: { headers } }),
    );
    const { tools: listed } = await client.listTools();
    expect(listed.map(({ name }) => name)).toEqual(many);
    await client.close();
  });

  it("the official client of the year before", async () => {
    const client = new OldClient({ name: "t", version: "1" });
    const headers = { authorization: `Bearer ${alice}` };
    await client.connect(
      new OldTransport(new URL(`${lab.gateway}/servers/big/mcp`), { requestInit: { headers } }) as never,
    );
    const names: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await client.listTools(cursor === undefined ? {} : { cursor });
      names.push(...page.tools.map(({ name }) => name));
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    expect(names).toEqual(many);
    await client.close();
  });
});

it("the gateway leaves no session behind at a server", () => expect(sessions.size).toBe(0));

describe("behind the lists", () => {
  it("a server that is down keeps its entries, touches nobody else, and is seen again with what it offers then", async () => {
    const path = "/servers/docs/mcp";
    await docs.stop();
    await expect.poll(() => stateOf("docs"), { timeout: 40_000, interval: 500 }).toBe("unhealthy");
    expect(await tools(alice, path)).toEqual(["doc_read", "doc_search"]);
    expect(await stateOf("old")).toBe("healthy");
    docsTools.add("doc_fresh");
    docsTools.delete("doc_read");
    await docs.start();
    await expect
      .poll(() => tools(alice, path), { timeout: 40_000, interval: 500 })
      .toEqual(["doc_fresh", "doc_search"]);
    expect(await stateOf("docs")).toBe("healthy");
    expect(await ops(ports.brokerOps, "/metrics")).toMatch(
      /^mcp_authz_upstream_listings_total\{server="docs",result="failed"\} [1-9]/m,
    );
  }, 120_000);

  it("a change of a server's list is seen within the refresh time, in lists and in policy", async () => {
    docsTools.add("doc_newest");
    docsTools.add("secret_newest");
    await expect
      .poll(() => tools(alice, "/servers/docs/mcp"), { timeout: 40_000, interval: 500 })
      .toContain("doc_newest");
    expect(
      (await legacy(lab.gateway, "tools/list", {}, { token: alice, path: "/servers/docs/mcp" })).text,
    ).not.toContain("secret");
  }, 60_000);

  it("while the broker is away lists are refused, never empty; back again it shows all of it at once", async () => {
    const all = await tools(alice, "/servers/docs/mcp");
    await (broker ?? lab.children.broker).stop();
    const reply = await legacy(lab.gateway, "tools/list", {}, { token: alice, path: "/servers/docs/mcp" });
    expect([reply.status, reply.message?.["result"]]).toEqual([503, undefined]);
    broker = startChild({
      name: "broker",
      command: process.execPath,
      args: [join(ROOT, "src/cli/mcp-authz.ts"), "broker", "--config", lab.configFile],
      cwd: folder,
      logFile: join(folder, "logs/broker-2.log"),
    });
    const seen: unknown[] = [];
    const ready = waitReady(broker, `http://127.0.0.1:${ports.brokerOps}/readyz`).then(() => true);
    for (let done = false; !done;) {
      done = await Promise.race([ready, new Promise<boolean>((next) => setTimeout(next, 20, false))]);
      const during = await legacy(lab.gateway, "tools/list", {}, { token: alice, path: "/servers/docs/mcp" });
      seen.push(during.status === 200 ? namesOf(during, "tools/list") : during.status);
    }
    await expect.poll(() => count(alice), { timeout: 10_000 }).toBe(all.length);
    expect(seen.filter((each) => each !== 503 && JSON.stringify(each) !== JSON.stringify(all))).toEqual([]);
  }, 60_000);

  it("after a restart of serve lists are whole from the first", async () => {
    const all = await tools(alice, "/servers/docs/mcp");
    await lab.restartServe();
    const seen: unknown[] = [];
    const deadline = Date.now() + 15_000;
    for (;;) {
      const reply = await legacy(lab.gateway, "tools/list", {}, { token: alice, path: "/servers/docs/mcp" });
      seen.push(reply.status === 200 ? namesOf(reply, "tools/list") : reply.status);
      if (reply.status === 200 || Date.now() > deadline) break;
      await new Promise((next) => setTimeout(next, 100));
    }
    expect(seen.at(-1)).toEqual(all);
    expect(seen.slice(0, -1).filter((each) => each !== 503)).toEqual([]);
  }, 60_000);
});

it("F06: keys rotate by configuration and SIGHUP, and not one list is refused meanwhile", async () => {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  writeFileSync(join(folder, "keys/next.pem"), privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
  const old = { kid: "demo", file: "keys/wristband.pem" };
  const next = { kid: "next", file: "keys/next.pem" };
  const published = async () =>
    (JSON.parse(await ops(ports.ops, "/.well-known/jwks.json")) as { keys: { kid: string }[] }).keys.map(
      ({ kid }) => kid,
    );
  const seen: unknown[] = [];
  const ending = new AbortController();
  const load = Array.from({ length: 4 }, async () => {
    while (!ending.signal.aborted) {
      const reply = await legacy(lab.gateway, "tools/list", {}, { token: alice, path: "/servers/old/mcp" });
      seen.push(
        reply.status === 200 ? namesOf(reply, "tools/list").join() : `${reply.status} ${String(reasonOf(reply))}`,
      );
    }
  });
  try {
    for (const keys of [[old, next], [next, old], [next]]) {
      const config = parse(readFileSync(lab.configFile, "utf8")) as { wristband: { keys: object[] } };
      config.wristband.keys = keys;
      writeFileSync(lab.configFile, stringify(config));
      lab.children.serve.kill("SIGHUP");
      await expect.poll(published, { timeout: 10_000 }).toEqual(keys.map(({ kid }) => kid));
      await new Promise((done) => setTimeout(done, 1500));
    }
  } finally {
    ending.abort();
    await Promise.all(load);
  }
  expect(new Set(seen)).toEqual(new Set(["old_read"]));
  expect(seen.length).toBeGreaterThan(100);
  expect(lab.children.serve.output()).not.toContain("restart_needed");
}, 60_000);

it.skipIf(findTool("opa") === null)(
  "M11, P2.5-7: 10,000 visible tools, 240 KiB of names, are all listed; calls and other lists go on",
  async () => {
    const all = () => ({ tool: ["*"] });
    grant({ bulk1: all(), bulk2: all(), ...Object.fromEntries(numbered.map((name) => [name, all()])) });
    await expect
      .poll(async () => (await allTools("/servers/bulk1/mcp").catch(() => [])).length, { timeout: 15_000 })
      .toBe(683);
    const merged = await allTools("/mcp");
    expect(merged).toHaveLength(new Set(merged).size);
    expect(merged.filter((name) => name.startsWith("many"))).toHaveLength(9000);
    expect(merged.filter((name) => name.startsWith("bulk"))).toHaveLength(2 * 683);
    expect(await tools(bob, "/mcp")).toEqual([]);
    expect(await tools(alice, "/servers/old/mcp")).toEqual(["old_read"]);
    expect(
      (await legacy(lab.gateway, "tools/call", { name: "echo", arguments: { text: "on" } }, { token: alice })).text,
    ).toContain("on");
    expect(await ops(ports.ops, "/metrics")).not.toMatch(
      /^mcp_authz_lists_left_out_total\{|reason="wristband_too_large"\} [1-9]/m,
    );
    grant({ bulk1: { tool: [`${"x".repeat(90)}1*`] } });
    await expect
      .poll(async () => (await tools(alice, "/servers/bulk1/mcp").catch(() => [])).length, { timeout: 15_000 })
      .toBe(111);
    grant();
  },
  60_000,
);

it("operators see what is listed, and what lists were served", async () => {
  const metrics = await ops(ports.brokerOps, "/metrics");
  for (const line of [
    /^mcp_authz_broker_requests_total\{method="tools\/list",outcome="ok"\} [1-9]/m,
    /^mcp_authz_upstream_state\{server="big",state="healthy"\} 1$/m,
    /^mcp_authz_upstream_entries\{server="bulk1",kind="tools"\} 683$/m,
    /^mcp_authz_upstream_dropped\{server="bulk1",reason="too_large"\} 317$/m,
    /^process_cpu_seconds_total /m,
  ])
    expect(metrics).toMatch(line);
  expect(await ops(ports.ops, "/metrics")).toMatch(/^mcp_authz_catalog_names\{kind="tools"\} 1[0-9]{4}$/m);
});
