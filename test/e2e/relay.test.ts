// Calls that the broker relays, through the real Envoy, to servers that nobody here wrote, by clients of both eras.
import { execFile } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { parse, stringify } from "yaml";
import { base32 } from "../../src/credential/caller-text.ts";
import { findTool } from "../../src/files/program.ts";
import { json, startEraServer, withHeaders, type EraServer } from "../fakes/mcp-server.ts";
import { DEMO_CREDENTIAL, startLab, type Lab } from "../../demo/lab.ts";
import { freePort, freePorts, type Ports } from "../../demo/ports.ts";
import { startBudget, startEverything, type LabUpstream } from "../../demo/upstreams.ts";
import { legacy, modern, reasonOf, type Reply } from "./client.ts";
import { connectV1, connectV2, type SdkClient } from "./sdk-clients.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-relay-"));
const hasOpa = findTool("opa") !== null;
let lab: Lab;
let ports: Ports;
let everything: LabUpstream;
let budget: LabUpstream;
let evil: EraServer;
let alice: string;
const texts: string[] = [];

const SERVERS = ["everything", "budget", "keyed", "evil", "queried"];

beforeAll(async () => {
  [everything, budget, evil] = await Promise.all([
    startEverything({ port: await freePort(), folder }),
    startBudget({ port: await freePort(), folder }),
    startEraServer("modern"),
  ]);
  ports = await freePorts();
  lab = await startLab({
    folder,
    ports,
    policyFolder: hasOpa ? policyForAll() : null,
    progress: () => {},
    config: (config) => {
      config["checkTimeoutMs"] = 10_000; // 60 at once on a loaded machine
      const servers = config["servers"] as Record<string, Record<string, unknown>>;
      const { url } = servers["demo"]!;
      delete servers["demo"]!["callRouting"]; // the default is broker
      servers["everything"] = { url: everything.url, credential: [{ none: {} }] };
      servers["budget"] = { url: budget.url, credential: [{ none: {} }] };
      const headers = { "x-who": "{subject}@{claim:iss:base32}" };
      servers["keyed"] = {
        url,
        headers,
        credential: [{ static: { file: "secrets/demo", header: "x-api-key", scheme: "" } }],
      };
      servers["evil"] = { url: evil.url, timeoutMs: 700, credential: [{ static: { file: "secrets/demo" } }] };
      const inQuery = { file: "secrets/demo", in: "query", name: "api_key" };
      servers["queried"] = { url: `${evil.url}?fixed=1`, credential: [{ static: inQuery }] };
    },
  });
  alice = await lab.idp.mint("alice");
});
afterAll(async () => {
  await lab.stop();
  await Promise.all([everything.stop(), budget.stop(), evil.close()]);
  rmSync(folder, { recursive: true, force: true });
});

/** The demo's policy, with everything of the other servers granted to engineering. */
function policyForAll(): string {
  const policies = join(folder, "policies");
  cpSync(resolve(import.meta.dirname, "../../policies/demo"), policies, { recursive: true });
  const file = join(policies, "data.yaml");
  const data = parse(readFileSync(file, "utf8")) as { grants: { engineering: Record<string, unknown> } };
  for (const server of SERVERS) data.grants.engineering[server] = { tool: ["*"], prompt: ["*"], resource: ["*"] };
  writeFileSync(file, stringify(data));
  return policies;
}

const endpoint = (server: string) => `/servers/${server}/mcp`;
const kept = (reply: Reply): Reply => {
  texts.push(reply.text + JSON.stringify([...reply.headers]));
  return reply;
};
type Send = typeof modern;
const ERAS: readonly (readonly [string, Send])[] = [
  ["2025-11-25", legacy],
  ["2026-07-28", modern],
];

describe.each(ERAS)("a plain client of %s", (_, send) => {
  const call = async (path: string, name: string, args: Record<string, unknown>) =>
    kept(await send(lab.gateway, "tools/call", { name, arguments: args }, { token: alice, path }));
  const textOf = ({ message }: Reply) =>
    (message?.["result"] as { content?: { text?: string }[] } | undefined)?.content?.[0]?.text;

  it("TB-04: the demo server (SDK v2), on its own endpoint and on /mcp", async () => {
    for (const [path, name] of [
      [endpoint("demo"), "echo"],
      ["/mcp", "demo_echo"],
    ] as const) {
      const reply = await call(path, name, { text: "h\u00e9llo" });
      expect([reply.status, textOf(reply), reply.message?.["id"]]).toEqual([200, "h\u00e9llo", 1]);
    }
  });

  it("P6, A10: the server sees its credential, the protocol's headers, and nothing else", async () => {
    const headers = {
      ...{ cookie: "a=canary", "x-forwarded-user": "canary", "mcp-session-id": "canary", "x-any": "canary" },
      "x-request-id": "canary", // the id that arrives is the data plane's own
    };
    const params = { name: "demo_whoami", arguments: {} };
    kept(await send(lab.gateway, "tools/call", params, { token: alice, path: "/mcp", headers }));
    const arrival = lab.demo.arrivals.at(-1)!;
    expect(Object.keys(arrival.headers).sort()).toEqual(
      [
        ...["accept", "authorization", "connection", "content-length", "content-type", "host"],
        ...["mcp-method", "mcp-name", "mcp-protocol-version", "x-request-id"],
      ].sort(),
    );
    expect(arrival.headers.authorization).toBe(`Bearer ${DEMO_CREDENTIAL}`);
    expect(JSON.stringify(lab.demo.arrivals)).not.toMatch(/canary/);
    expect(JSON.stringify(lab.demo.arrivals)).not.toContain(alice);
  });

  it("what policy withholds reaches nobody, on /mcp too", async () => {
    const before = lab.demo.arrivals.length;
    const reply = await call("/mcp", "demo_delete_repo", { name: "x" });
    expect([reply.status, reasonOf(reply)]).toEqual([200, "policy_denied"]);
    expect(lab.demo.arrivals).toHaveLength(before);
  });

  it.skipIf(!hasOpa)("LA-02: server-everything (SDK v1, with a session), on both", async () => {
    for (const [path, prefix] of [
      [endpoint("everything"), ""],
      ["/mcp", "everything_"],
    ] as const) {
      expect(textOf(await call(path, `${prefix}echo`, { message: "hi" }))).toBe("Echo: hi");
      expect(textOf(await call(path, `${prefix}get-sum`, { a: 1, b: 2 }))).toContain("3");
    }
  });

  it.skipIf(!hasOpa)("server-budget-allocator (SDK v2 by others, older revisions), on both", async () => {
    for (const [path, name] of [
      [endpoint("budget"), "get-budget-data"],
      ["/mcp", "budget_get-budget-data"],
    ] as const)
      expect(textOf(await call(path, name, {}))).toContain("Budget Allocator Configuration");
  });

  it.skipIf(!hasOpa)("prompts and resources of each server, on both", async () => {
    const ask = async (path: string, method: string, params: Record<string, unknown>) =>
      kept(await send(lab.gateway, method, params, { token: alice, path }));
    const rows = [
      ["demo", "prompts/get", { name: "summary" }, "Summarise the docs."],
      ["demo", "resources/read", { uri: "docs://readme" }, "Read me."],
      ["everything", "prompts/get", { name: "simple-prompt" }, "simple prompt"],
      ["everything", "prompts/get", { name: "args-prompt", arguments: { city: "Bern" } }, "Bern"],
      ["everything", "resources/read", { uri: "demo://resource/dynamic/text/1" }, "demo://resource/dynamic/text/1"],
      ["budget", "resources/read", { uri: "ui://budget-allocator/mcp-app.html" }, "<html"],
    ] as const;
    const onMerged = (server: string, params: { name?: string; uri?: string }) => {
      const { name, uri } = params;
      if (uri === undefined) return { ...params, name: `${server}_${name ?? ""}` };
      return { uri: uri.startsWith("ui://") ? uri.replace("ui://", `ui://${server}/`) : `${server}+${uri}` };
    };
    for (const [server, method, params, expected] of rows) {
      const own = await ask(endpoint(server), method, params);
      const merged = await ask("/mcp", method, onMerged(server, params));
      for (const reply of [own, merged])
        expect([reply.status, reply.message?.["error"], reply.text.includes(expected)]).toEqual([200, undefined, true]);
    }
  });

  it.skipIf(!hasOpa)("a credential in a header of its own", async () => {
    const reply = await call(endpoint("keyed"), "whoami", {});
    // The broker's own lists come without the caller's credential.
    const { headers } = lab.demo.arrivals.findLast((arrival) => arrival.headers["x-api-key"] !== undefined)!;
    expect([reply.status, headers["x-api-key"], headers.authorization]).toEqual([200, DEMO_CREDENTIAL, undefined]);
    expect(headers).not.toHaveProperty("x-upstream-header");
    // What her token says of her stands beside it.
    expect(headers["x-who"]).toBe(`alice@${base32(lab.idp.issuer)}`);
  });

  it.skipIf(!hasOpa)("SP-07: JSON for a client that takes no streams", async () => {
    const options = { token: alice, path: endpoint("everything"), headers: { accept: "application/json" } };
    const params = { name: "echo", arguments: { message: "x" } };
    const reply = await send(lab.gateway, "tools/call", params, options);
    expect([reply.status, reply.headers.get("content-type")]).toEqual([200, "application/json"]);
    expect(textOf(reply)).toBe("Echo: x");
  });

  it.skipIf(!hasOpa)("B32: 60 clients of one user with one id get their own answers", async () => {
    const replies = await Promise.all(
      Array.from({ length: 60 }, (_, i) => call(endpoint("everything"), "echo", { message: `canary-${i}-end` })),
    );
    replies.forEach((reply, i) => {
      expect([reply.status, textOf(reply), reply.message?.["id"]], reply.text).toEqual([
        200,
        `Echo: canary-${i}-end`,
        1,
      ]);
    });
  });
});

const CLIENTS: readonly (readonly [string, (url: string, token: string | null) => Promise<SdkClient>])[] = [
  ["SDK v1", connectV1],
  ["SDK v2, older revision", (url, token) => connectV2(url, token, "legacy")],
  ["SDK v2, 2026-07-28", (url, token) => connectV2(url, token, "modern")],
];

describe.skipIf(!hasOpa).each(CLIENTS)("a program with %s", (_, connect) => {
  it("calls the tools of all servers on /mcp", async () => {
    const client = await connect(`${lab.gateway}/mcp`, alice);
    const names = await client.listTools();
    expect(names).toEqual(expect.arrayContaining(["demo_echo", "everything_echo", "budget_get-budget-data"]));
    expect(JSON.stringify(await client.callTool("demo_echo", { text: "v" }))).toContain('"v"');
    expect(JSON.stringify(await client.callTool("everything_echo", { message: "v" }))).toContain("Echo: v");
    expect(JSON.stringify(await client.callTool("budget_get-budget-data", {}))).toContain("Budget Allocator");
    await client.close();
  });

  it("SP-11: what comes through is what the server says directly", async () => {
    const [direct, through] = await Promise.all([
      connectV1(everything.url, null),
      connect(`${lab.gateway}${endpoint("everything")}`, alice),
    ]);
    const ask: readonly ((client: SdkClient) => Promise<unknown>)[] = [
      (client) => client.callTool("get-tiny-image", {}),
      (client) => client.callTool("get-structured-content", { location: "Chicago" }),
      (client) => client.callTool("get-annotated-message", { messageType: "error", includeImage: true }),
      (client) => client.callTool("get-resource-links", { count: 3 }),
      (client) => client.callTool("get-sum", { a: "no number", b: 2 }).catch(String),
      (client) => client.getPrompt("simple-prompt"),
      (client) => client.getPrompt("args-prompt", { city: "Bern" }),
      (client) => client.readResource("demo://resource/static/document/features.md"),
    ];
    for (const one of ask) expect(strip(await one(through))).toEqual(strip(await one(direct)));
    await Promise.all([direct.close(), through.close()]);
  });

  it("progress of a long call comes while it runs", async () => {
    const client = await connect(`${lab.gateway}/mcp`, alice);
    const times: number[] = [];
    const args = { duration: 2, steps: 4 };
    const answer = await client.callTool("everything_trigger-long-running-operation", args, () => {
      times.push(performance.now());
    });
    const ended = performance.now();
    expect(times.length).toBeGreaterThanOrEqual(3);
    expect(ended - (times[0] ?? ended)).toBeGreaterThan(700);
    expect(JSON.stringify(answer)).toContain("completed");
    await client.close();
  });
});

/** What a revision adds to a result says nothing of the server's words. */
function strip(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  const { resultType: _, ttlMs: __, cacheScope: ___, ...rest } = value as Record<string, unknown>;
  return rest;
}

/** What `why` says of alice's call. */
async function why(server: string): Promise<string> {
  const tokenFile = join(folder, "alice.token");
  writeFileSync(tokenFile, alice, { mode: 0o600 });
  const flags = ["--config", lab.configFile, "--token-file", tokenFile, "--server", server, "--tool", "x"];
  const { stdout } = await promisify(execFile)(process.execPath, [resolve("src/cli/mcp-authz.ts"), "why", ...flags]);
  return stdout;
}

describe.skipIf(!hasOpa)("a server that misbehaves", () => {
  const call = async () =>
    kept(
      await legacy(lab.gateway, "tools/call", { name: "x", arguments: {} }, { token: alice, path: endpoint("evil") }),
    );

  it("PO-12: its 401 is a 502 of ours, without its challenge", async () => {
    const headers = { "www-authenticate": "Bearer canary", "set-cookie": "canary" };
    evil.onCall = (_, response) => json(withHeaders(response, headers), 401, { error: "canary" });
    const reply = await call();
    expect([reply.status, reasonOf(reply), reply.message?.["id"]]).toEqual([502, "upstream_unavailable", 1]);
    expect(reply.text + JSON.stringify([...reply.headers])).not.toContain("canary");
    await vi.waitFor(() => expect(lab.children.broker.output()).toContain('"detail":"status_401"'));
  });

  it("TB-07: a hung one is cut at its timeout with 504, and the next call works", async () => {
    evil.onCall = () => {};
    const reply = await call();
    expect([reply.status, reasonOf(reply), reply.message?.["id"]]).toEqual([504, "upstream_timeout", 1]);
    evil.onCall = (arrival, response) => json(response, 200, { jsonrpc: "2.0", id: arrival.message?.id, result: {} });
    expect((await call()).status).toBe(200);
  });

  it("CF-37: a credential in the query reaches its server, and no answer, no metric and no words of why", async () => {
    const ask = async () => {
      const params = { name: "x", arguments: {} };
      return kept(await legacy(lab.gateway, "tools/call", params, { token: alice, path: endpoint("queried") }));
    };
    evil.onCall = (arrival, response) => json(response, 200, { jsonrpc: "2.0", id: arrival.message?.id, result: {} });
    expect((await ask()).status).toBe(200);
    const arrival = evil.of("tools/call").at(-1)!;
    expect([arrival.path, arrival.headers.authorization]).toEqual([
      `/mcp?fixed=1&api_key=${DEMO_CREDENTIAL}`,
      undefined,
    ]);
    // Error pages love to repeat the URL that they are about.
    evil.onCall = ({ path }, response) => void response.writeHead(500, { location: path }).end(path);
    const reply = await ask();
    expect([reply.status, reasonOf(reply)]).toEqual([502, "upstream_unavailable"]);
    const { ops, brokerOps } = ports;
    const metrics = [ops, brokerOps].map(async (port) => (await fetch(`http://127.0.0.1:${port}/metrics`)).text());
    const said = [
      reply.text + JSON.stringify([...reply.headers]),
      ...(await Promise.all([...metrics, why("queried")])),
    ];
    for (const text of said) expect(text).not.toMatch(new RegExp(`${DEMO_CREDENTIAL}|api_key=`));
    expect(said.at(-1)).toContain("the parameter api_key of the query");
  });

  it("4.6: a stream ends with its caller's token", async () => {
    const token = await lab.idp.mint("alice", { ttlSeconds: 3 });
    const params = { name: "trigger-long-running-operation", arguments: { duration: 20, steps: 2 } };
    const reply = kept(await legacy(lab.gateway, "tools/call", params, { token, path: endpoint("everything") }));
    expect([reply.status, reasonOf(reply)]).toEqual([200, "token_expired"]);
  });

  it("TB-07: one that was restarted has forgotten its sessions: nobody notices", async () => {
    const params = { name: "echo", arguments: { message: "x" } };
    const again = () => legacy(lab.gateway, "tools/call", params, { token: alice, path: endpoint("everything") });
    expect((await again()).status).toBe(200);
    await everything.stop();
    expect((await again()).status).toBe(502);
    everything = await startEverything({ port: everything.port, folder });
    expect((await again()).status).toBe(200);
  });
});

it("P6, C27: no token, credential or wristband in any log or answer", () => {
  const logs = ["serve.log", "broker.log", "envoy.log", "audit.jsonl"].map((name) =>
    readFileSync(join(folder, "logs", name), "utf8"),
  );
  const signature = alice.split(".")[2] ?? alice;
  for (const text of logs) for (const secret of [alice, signature, DEMO_CREDENTIAL]) expect(text).not.toContain(secret);
  expect(logs.join("\n")).not.toMatch(/eyJ[A-Za-z0-9_-]{20}/);
  expect(texts.length).toBeGreaterThan(5);
  for (const text of texts) expect(text).not.toMatch(/eyJ[A-Za-z0-9_-]{20}|set-cookie|x-powered-by|mcp-session-id/);
});

it.skipIf(!hasOpa)("the broker ends its sessions at their servers when it ends", async () => {
  await lab.children.broker.stop();
  expect(await lab.children.broker.exited).toBe(0);
  await vi.waitFor(() => expect(everything.child.output()).toContain("Received session termination request"));
});
