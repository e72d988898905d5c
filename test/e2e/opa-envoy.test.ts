// A policy in the form of opa-envoy-plugin decides a web application beside MCP endpoints, through the printed Envoy, serve and the
// broker (docs/opa-envoy.md).
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { startLab, type Lab } from "../../demo/lab.ts";
import { freePorts } from "../../demo/ports.ts";
import { findTool } from "../../src/files/program.ts";
import { startApp, type TestServer } from "./servers.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-opa-envoy-"));

const MCP = `package mcp.authz

allow if {
	input.identity.username == "alice"
	input.mcp.name == "show_chart"
}
`;

/** As in the plugin's tutorials; where they decode a token, the claims of the verified one stand. */
const WEB = `package envoy.authz

import input.attributes.request.http

default allow := false

allow if {
	http.method == "GET"
	glob.match("/app/public/*", ["/"], http.path)
}

roles contains "reader" if "engineering" in input.identity.groups

allow := response if {
	http.method == "GET"
	input.parsed_path[1] == "people"
	some role in roles
	response := {
		"allowed": true,
		"headers": {"x-user": claims.preferred_username, "x-roles": [role, "all"]},
		"request_headers_to_remove": ["x-debug"],
		"response_headers_to_add": {"x-decided-by": "opa"},
		"query_parameters_to_set": {"tenant": "acme"},
		"query_parameters_to_remove": ["admin"],
		"dynamic_metadata": {"tenant": "acme"},
	}
}

claims := input.identity.claims

allow if {
	http.method == "POST"
	input.parsed_path == ["app", "orders"]
	input.parsed_body.amount <= 100
}

allow := {"allowed": false, "http_status": 302, "headers": {"location": "/login"}} if input.parsed_path[1] == "private"

allow := input.parsed_query.odd if input.parsed_path[1] == "odd"

allow := {"allowed": true, "headers": {"x-mcp-server": "apps"}} if input.parsed_path[1] == "forge"
`;

interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

let lab: Lab;
let app: TestServer;
let web: Server;
const seen: Seen[] = [];

async function startWeb(): Promise<Server> {
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      seen.push({ method: request.method ?? "", url: request.url ?? "", headers: request.headers, body });
      response.writeHead(200, { "content-type": "text/plain", "set-cookie": ["a=1", "b=2"] }).end("from the app");
    });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return server;
}

const hasTools = findTool("envoy") !== null && findTool("opa") !== null;

describe.skipIf(!hasTools)("a web application beside MCP endpoints", () => {
  beforeAll(async () => {
    mkdirSync(join(folder, "policies"), { recursive: true });
    writeFileSync(join(folder, "policies/mcp.rego"), MCP);
    writeFileSync(join(folder, "policies/web.rego"), WEB);
    [app, web] = await Promise.all([startApp(), startWeb()]);
    lab = await startLab({
      folder,
      ports: await freePorts(),
      policyFolder: join(folder, "policies"),
      progress: () => {},
      config: (config) => {
        config["servers"] = { apps: { url: app.url, credential: [{ none: {} }] } };
        config["policy"] = {
          ...(config["policy"] as object),
          envoy: { package: "envoy.authz", passHeaders: ["cookie"] },
        };
        const upstreams = [{ prefix: "/app", url: `http://127.0.0.1:${(web.address() as AddressInfo).port}` }];
        config["envoy"] = { ...(config["envoy"] as object), upstreams };
      },
    });
  }, 120_000);
  afterAll(async () => {
    await lab.stop();
    await app.stop();
    web.closeAllConnections();
    await new Promise((done) => web.close(done));
    rmSync(folder, { recursive: true, force: true });
  });

  const ask = async (path: string, init: RequestInit = {}) => {
    seen.length = 0;
    const response = await fetch(`${lab.gateway}${path}`, { redirect: "manual", ...init });
    return { status: response.status, headers: response.headers, body: await response.text() };
  };
  const as = async (person: string, more: Record<string, string> = {}) => ({
    headers: { authorization: `Bearer ${await lab.idp.mint(person)}`, ...more },
  });

  it("a path that anybody may read needs no token, and gets no header of ours", async () => {
    const headers = { "x-mcp-server": "apps", "x-authorized-tools": "forged", cookie: "session=1" };
    expect(await ask("/app/public/a.css", { headers })).toMatchObject({ status: 200, body: "from the app" });
    expect(seen[0]?.headers).toMatchObject({ cookie: "session=1" });
    for (const name of ["x-mcp-server", "x-authorized-tools", "authorization"])
      expect(seen[0]?.headers[name]).toBeUndefined();
  });

  it("what is allowed of a verified caller carries what policy says, and not the token", async () => {
    const { status, headers } = await ask(
      "/app/people?admin=1&page=2",
      await as("alice", { "x-debug": "1", "x-user": "root" }),
    );
    expect([status, headers.get("x-decided-by"), headers.getSetCookie()]).toEqual([200, "opa", ["a=1", "b=2"]]);
    expect(seen[0]?.headers).toMatchObject({ "x-user": "alice", "x-roles": "reader, all" });
    expect([seen[0]?.headers["x-debug"], seen[0]?.headers.authorization]).toEqual([undefined, undefined]);
    expect(new URL(`http://h${seen[0]?.url ?? ""}`).search).toBe("?page=2&tenant=acme");
  });

  it("policy sees bodies", async () => {
    const order = (amount: number) =>
      ask("/app/orders", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ amount }),
      });
    expect((await order(100)).status).toBe(200);
    expect(seen[0]?.body).toBe('{"amount":100}');
    expect((await order(101)).status).toBe(403);
    expect(seen).toEqual([]);
  });

  it.each<[string, number]>([
    ["/app/people", 403],
    ["/app/other", 403],
    ["/app/private", 302],
    ["/app/odd?odd=1", 503],
    ["/app/odd", 403],
    ["/app/forge", 503],
    ["/app/%61", 403],
    ["/mcp/", 404],
    ["/elsewhere", 403],
    ["/application", 403],
  ])("%s is %i, and nothing reaches the application", async (path, status) => {
    expect((await ask(path)).status).toBe(status);
    expect(seen).toEqual([]);
  });

  it("a token that does not verify is 401, on a path for anybody too", async () => {
    const { status, headers } = await ask("/app/public/a.css", { headers: { authorization: "Bearer x.y.z" } });
    expect([status, headers.get("www-authenticate")]).toEqual([
      401,
      expect.stringMatching(/^Bearer realm=.*invalid_token/),
    ]);
    expect(seen).toEqual([]);
  });

  it("MCP endpoints are decided by our own package, and served by the broker", async () => {
    const call = async (name: string) => {
      const body = { jsonrpc: "2.0", id: 1, method: "tools/call", params: { name, arguments: {} } };
      const { headers } = await as("alice", {
        "content-type": "application/json",
        accept: "application/json, text/event-stream",
      });
      return (await ask("/servers/apps/mcp", { method: "POST", headers, body: JSON.stringify(body) })).body;
    };
    await vi.waitFor(async () => expect(await call("show_chart")).toContain("ui://chart"), 20_000);
    expect(await call("refresh_chart")).toContain("policy_denied");
    expect((await ask("/servers/apps/mcp", { method: "POST", body: "{}" })).status).toBe(401);
    expect(seen).toEqual([]);
  });

  it("each has its line in the audit log", async () => {
    await ask("/app/people", await as("alice"));
    const audit = lab.auditFile;
    await vi.waitFor(() => {
      const lines = readFileSync(audit, "utf8")
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as Record<string, unknown>);
      expect(lines.at(-1)).toMatchObject({
        decision: "allow",
        method: "GET",
        server: null,
        credential: null,
        policy: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
      });
    }, 5000);
  });
});

/** A host without MCP: the plugin's whole answer, and a body that the data plane has cut. */
const WHOLE = `package envoy.authz

import input.attributes.request.http

default allow := false

allow := {
	"allowed": true,
	"headers": {"x-user": "anybody"},
	"request_headers_to_remove": ["x-debug"],
	"response_headers_to_add": {"x-decided-by": "opa"},
	"dynamic_metadata": {"tenant": "acme"},
} if {
	input.parsed_path == ["servers", "apps", "mcp"]
	input.parsed_body.amount == 1
}

allow := {
	"allowed": false,
	"http_status": 429,
	"body": "later",
	"headers": {"retry-after": "7", "content-type": "text/plain"},
} if input.parsed_path == ["busy"]

allow := {"allowed": true, "headers": {"x-body": object.get(http, "body", "none")}} if {
	input.parsed_path == ["cut"]
	input.truncated_body
}

allow if {
	input.parsed_path == ["cut"]
	input.parsed_body.amount == 1
}
`;
const CUT_BYTES = 64;

/** What Envoy's operator may have: partial bodies, and metadata of the decision in a header. */
function cutBodies(printed: Record<string, unknown>): void {
  const visit = (value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    const fields = value as Record<string, unknown>;
    const body = fields["with_request_body"];
    if (typeof body === "object" && body !== null)
      Object.assign(body, { allow_partial_message: true, max_request_bytes: CUT_BYTES });
    const { match, route } = fields as { match?: object; route?: { cluster?: string } };
    if (match !== undefined && route?.cluster !== undefined) {
      const tenant = "%DYNAMIC_METADATA(envoy.filters.http.ext_authz:tenant)%";
      fields["request_headers_to_add"] = [{ header: { key: "x-tenant", value: tenant } }];
    }
    for (const each of Object.values(fields)) visit(each);
  };
  visit(printed);
}

describe.skipIf(!hasTools)("policy.mode: envoy, a host without MCP", () => {
  const place = mkdtempSync(join(tmpdir(), "mcp-authz-mode-envoy-"));
  let host: Lab;
  let behind: Server;
  beforeAll(async () => {
    mkdirSync(join(place, "policies"), { recursive: true });
    writeFileSync(join(place, "policies/web.rego"), WHOLE);
    behind = await startWeb();
    host = await startLab({
      folder: place,
      ports: await freePorts(),
      policyFolder: join(place, "policies"),
      progress: () => {},
      config: (config) => {
        const policy = { ...(config["policy"] as object), mode: "envoy", envoy: { truncatedBody: "ask" } };
        const upstreams = [{ prefix: "/", url: `http://127.0.0.1:${(behind.address() as AddressInfo).port}` }];
        Object.assign(config, { servers: {}, policy, envoy: { ...(config["envoy"] as object), upstreams } });
      },
      editEnvoy: cutBodies,
    });
  }, 120_000);
  afterAll(async () => {
    await host.stop();
    behind.closeAllConnections();
    await new Promise((done) => behind.close(done));
    rmSync(place, { recursive: true, force: true });
  });

  const post = async (path: string, value: unknown) => {
    seen.length = 0;
    const headers = { "content-type": "application/json", "x-debug": "1", "x-user": "root" };
    const init = { method: "POST", headers, body: JSON.stringify(value) };
    const response = await fetch(host.gateway + path, init);
    const { status } = response;
    return { status, headers: response.headers, body: await response.text() };
  };

  it("an allow changes headers both ways and sets metadata, on the path of an MCP endpoint too", async () => {
    const { status, headers } = await post("/servers/apps/mcp", { amount: 1 });
    expect([status, headers.get("x-decided-by")]).toEqual([200, "opa"]);
    expect(seen).toMatchObject([{ body: '{"amount":1}', headers: { "x-user": "anybody", "x-tenant": "acme" } }]);
    expect(seen[0]?.headers["x-debug"]).toBeUndefined();
  });

  it("a denial has the status, the headers and the body that policy says", async () => {
    const { status, headers, body } = await post("/busy", {});
    const shown = [headers.get("retry-after"), headers.get("content-type"), headers.get("cache-control")];
    expect([status, body, ...shown]).toEqual([429, "later", "7", "text/plain", "no-store"]);
    expect((await post("/servers/apps/mcp", { amount: 2 })).status).toBe(403);
    expect((await post("/mcp", { jsonrpc: "2.0", id: 1, method: "tools/list" })).status).toBe(403);
    expect(seen).toEqual([]);
  });

  it("of a body that Envoy has cut, policy is told that it was, and sees nothing of it", async () => {
    const long = { amount: 1, more: "x".repeat(CUT_BYTES) };
    expect((await post("/cut", long)).status).toBe(200);
    expect(seen).toMatchObject([{ body: JSON.stringify(long), headers: { "x-body": "none" } }]);
    expect((await post("/cut", { amount: 1 })).status).toBe(200);
    expect(seen[0]?.headers["x-body"]).toBeUndefined();
    expect((await post("/servers/apps/mcp", long)).status).toBe(403);
    expect(seen).toEqual([]);
  });
});
