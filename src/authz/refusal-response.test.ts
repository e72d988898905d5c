import { describe, expect, it } from "vitest";
import { refusalResponse, type RefusalResponseSettings } from "./refusal-response.ts";
import type { Refused } from "./step.ts";
import { REFUSALS, type Reason } from "./refusal.ts";
import { SUPPORTED_VERSIONS } from "../mcp/versions.ts";
import { newCheckFacts, type CheckFacts } from "./facts.ts";

const settings: RefusalResponseSettings = { publicOrigin: "https://mcp.example.com", scopes: [], denial: "jsonrpc" };
const REASONS = Object.keys(REFUSALS) as Reason[];

function factsAt(path: string | null, rpc: CheckFacts["rpc"] = null): CheckFacts {
  const facts = newCheckFacts("req-1", 0);
  facts.path = path;
  if (path !== null)
    facts.endpoint = {
      ...{ kind: "mcp", server: null, virtualServer: null, search: false, allowQuery: false, sessions: false },
      legacySse: null,
      resource: `https://mcp.example.com${path}`,
    };
  facts.rpc = rpc;
  return facts;
}

const refused = (reason: Reason, more: Partial<Refused> = {}): Refused => ({ ok: false, reason, ...more });
const request = { id: 7, notification: false, version: "2026-07-28" };

describe("401", () => {
  it("P9.5-1, MS-02: the challenge names the document of the endpoint, byte for byte", () => {
    const { headers, status } = refusalResponse(settings, refused("token_missing"), factsAt("/servers/s/mcp"));
    expect(status).toBe(401);
    expect(headers.get("www-authenticate")).toBe(
      'Bearer realm="https://mcp.example.com", resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource/servers/s/mcp"',
    );
  });

  it("adds error for a token that came, and scope when configured", () => {
    const { headers } = refusalResponse(
      { ...settings, scopes: ["mcp:read", "mcp:write"] },
      refused("token_expired"),
      factsAt("/mcp"),
    );
    expect(headers.get("www-authenticate")).toBe(
      'Bearer realm="https://mcp.example.com", resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource/mcp", error="invalid_token", scope="mcp:read mcp:write"',
    );
  });

  it("P9.5-2: has one body for every fault of a token", () => {
    for (const reason of REASONS.filter((key) => REFUSALS[key].http === 401)) {
      const { headers, body } = refusalResponse(
        settings,
        refused(reason, { detail: "secret detail" }),
        factsAt("/mcp", request),
      );
      expect(JSON.parse(body)).toEqual({ error: "unauthorized", message: "Missing or invalid access token" });
      expect(headers.get("content-type")).toBe("application/json");
    }
  });
});

describe("403", () => {
  it("MCP A8: a wider token cures it, and the challenge says which", () => {
    const { status, headers } = refusalResponse(
      settings,
      refused("scope_insufficient", { scopes: ["mcp:write"] }),
      factsAt("/mcp", request),
    );
    expect(status).toBe(403);
    expect(headers.get("www-authenticate")).toContain('error="insufficient_scope", scope="mcp:write"');
  });

  it("PO-17: a denied request is 200 with its id, 403 when configured, 403 for a notification", () => {
    const denied = refused("policy_denied");
    const asked = refusalResponse(settings, denied, factsAt("/mcp", request));
    expect(asked.status).toBe(200);
    expect(JSON.parse(asked.body)).toEqual({
      jsonrpc: "2.0",
      id: 7,
      error: { code: 403, message: "Not allowed", data: { reason: "policy_denied", requestId: "req-1" } },
    });
    expect(refusalResponse({ ...settings, denial: "http" }, denied, factsAt("/mcp", request)).status).toBe(403);
    expect(
      refusalResponse(settings, denied, factsAt("/mcp", { ...request, id: null, notification: true })).status,
    ).toBe(403);
    expect(asked.headers.has("www-authenticate")).toBe(false);
  });
});

describe("codes", () => {
  it("an unknown method is 404 for the stateless revision and 200 for older ones", () => {
    expect(refusalResponse(settings, refused("method_unknown"), factsAt("/mcp", request)).status).toBe(404);
    const old = refusalResponse(
      settings,
      refused("method_unknown"),
      factsAt("/mcp", { ...request, version: "2025-11-25" }),
    );
    expect([old.status, (JSON.parse(old.body) as { error: { code: number } }).error.code]).toEqual([200, -32601]);
  });

  it("CF-34: an unsupported version is told which there are", () => {
    const body = JSON.parse(
      refusalResponse(settings, refused("version_unsupported"), factsAt("/mcp", request)).body,
    ) as never;
    expect(body).toHaveProperty("error.code", -32022);
    expect(body).toHaveProperty("error.data.supported", SUPPORTED_VERSIONS);
  });

  it("CF-34: and which one was asked for, of its text no more than fits", () => {
    const requested = (version: string) =>
      JSON.parse(
        refusalResponse(settings, refused("version_unsupported"), factsAt("/mcp", { ...request, version })).body,
      ) as never;
    expect(requested("2099-01-01")).toHaveProperty("error.data.requested", "2099-01-01");
    expect(requested("9".repeat(60_000))).toHaveProperty("error.data.requested", "9".repeat(64));
  });

  it("help is in the message and in the data, and only where it was given", () => {
    const help = 'Connect your account: "https://gw.example.com/connect"';
    const of = (more: object) =>
      JSON.parse(
        refusalResponse(settings, { ...refused("credential_missing"), ...more }, factsAt("/mcp", request)).body,
      ) as {
        error: { message: string; data: object };
      };
    expect(of({ help }).error).toMatchObject({
      message: `No credential for this server is on file. ${help}`,
      data: { reason: "credential_missing", help },
    });
    expect(of({}).error.message).toBe("No credential for this server is on file");
    expect(of({}).error.data).not.toHaveProperty("help");
  });

  it("503 says when to come back, 405 what is allowed", () => {
    expect(refusalResponse(settings, refused("deadline"), factsAt("/mcp")).headers.get("retry-after")).toBe("1");
    expect(refusalResponse(settings, refused("method_not_allowed"), factsAt("/mcp")).headers.get("allow")).toBe("POST");
  });

  it("a suspended caller is told when it ends", () => {
    const { status, headers, body } = refusalResponse(
      settings,
      { ...refused("caller_suspended"), retryAfterSeconds: 42 },
      factsAt("/mcp", request),
    );
    expect([status, headers.get("retry-after")]).toEqual([200, "42"]);
    expect(JSON.parse(body)).toMatchObject({
      error: { code: 429, data: { reason: "caller_suspended", retryAfterSeconds: 42 } },
    });
  });

  it("outside an MCP endpoint the body is plain JSON", () => {
    expect(JSON.parse(refusalResponse(settings, refused("route_unknown"), factsAt(null)).body)).toEqual({
      error: "route_unknown",
      message: "Not found",
      requestId: "req-1",
    });
    const told = { ...refused("route_unknown"), about: "it is /mcp" };
    expect(JSON.parse(refusalResponse(settings, told, factsAt(null)).body)).toMatchObject({
      message: "Not found: it is /mcp",
    });
  });
});

describe("every reason of the table", () => {
  it.each(REASONS)("%s refuses, leaks nothing and is well formed (4.7, C23)", (reason) => {
    for (const facts of [factsAt(null), factsAt("/mcp"), factsAt("/mcp", request)]) {
      facts.note = "NOTE-CANARY";
      const { status, headers, body } = refusalResponse(
        settings,
        refused(reason, { detail: "DETAIL-CANARY", scopes: ["s"] }),
        facts,
      );
      expect(status === 204 || status < 200).toBe(false);
      expect(status >= 400 || (status === 200 && facts.rpc !== null) || reason === "method_unknown").toBe(true);
      expect(`${body}${JSON.stringify([...headers])}`).not.toMatch(/CANARY/);
      expect(() => JSON.parse(body) as unknown).not.toThrow();
      expect(headers.has("content-length")).toBe(false);
      for (const [name, value] of headers) expect(`${name}: ${value}`).toMatch(/^[a-z-]+: [\x20-\x7e]+$/);
    }
  });
});
