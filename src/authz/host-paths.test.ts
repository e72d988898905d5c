// Paths of the host that are no MCP endpoint, decided by a policy of the form of opa-envoy-plugin (docs/opa-envoy.md).
import { describe, expect, it, vi } from "vitest";
import { ALICE, allowingPorts, checkSettings, MANAGED, requestOf, type RequestParts } from "../../test/fakes/authz.ts";
import { createCheck, type CheckSettings } from "./check.ts";
import { newCheckFacts } from "./facts.ts";
import { Grant } from "./grant.ts";
import type { HostAllow, HostDecision, HostQuestion } from "./host-decision.ts";
import type { Ports } from "./ports.ts";
import { pass, refuse } from "./step.ts";

const ALLOW: HostAllow = {
  ...{ allow: true, revision: "r3", metadata: {}, headers: new Map(), remove: [], responseHeaders: new Map() },
  query: { set: [], remove: [] },
};
const SETTINGS = checkSettings({ endpoints: { ...checkSettings().endpoints, hostPaths: true } });

interface Asked {
  readonly parts?: RequestParts;
  readonly decision?: HostDecision;
  readonly settings?: Partial<CheckSettings>;
  readonly ports?: Partial<Ports>;
}

async function ask({ parts = {}, decision = ALLOW, settings = {}, ports = {} }: Asked) {
  const facts = newCheckFacts("id", 0);
  const decideHost = vi.fn<(question: HostQuestion) => ReturnType<NonNullable<Ports["decideHost"]>>>(() =>
    pass(decision),
  );
  const check = createCheck({ ...SETTINGS, ...settings }, allowingPorts({ decideHost, ...ports }));
  const request = requestOf({ path: "/app/x", method: "GET", token: null, body: { kind: "none" }, ...parts });
  const outcome = await check(request, facts, new AbortController().signal);
  return { outcome, facts, question: decideHost.mock.calls[0]?.[0] ?? null };
}

const reasonOf = async (asked: Asked) => {
  const { outcome } = await ask(asked);
  return outcome.ok ? "allowed" : outcome.reason;
};
const grantOf = async (asked: Asked) => {
  const { outcome } = await ask(asked);
  if (!outcome.ok || !Grant.is(outcome.value)) throw new Error(outcome.ok ? "no grant" : outcome.reason);
  return outcome.value;
};
const CALL = {
  kind: "bytes" as const,
  bytes: Buffer.from('{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"read","arguments":{}}}'),
};
const header = (name: string, value = "x") => [[name, value]] as const;

describe("which paths", () => {
  it.each([
    "/",
    "/app",
    "/app/",
    "/app/x.html",
    "/servers",
    "/servers/u/mcps",
    "/servers/u",
    "/mcp2",
    "/a/mcp",
    "/a%20b",
    "/%C3%A9",
    "/a:b@c,d=e",
  ])("%s is the host's", async (path) => {
    const { outcome, facts, question } = await ask({ parts: { path } });
    expect(outcome.ok).toBe(true);
    expect([facts.endpoint?.kind, facts.path, facts.policy, question?.request.path]).toEqual([
      "host",
      null,
      "r3",
      path,
    ]);
  });

  it.each(["/mcp", "/servers/s/mcp", "/.well-known/oauth-protected-resource/mcp"])("%s is not", async (path) => {
    const { question } = await ask({ parts: { path } });
    expect(question).toBeNull();
  });

  it.each([
    "/mcp/",
    "/MCP",
    "/mcp//",
    "/Servers/S/mcp",
    "/servers/s/mcp/",
    "/servers/u/mcp",
    "/servers/u/mcp/x",
    "/servers/u/SSE",
    "/servers/u/sse/id",
    "/servers/a%20b/mcp",
    "/mcp/x",
    "/.well-known/oauth-protected-resource/",
    ...["/mcp%20", "/mcp,", "/mcp.json", "/sse", "/sse/id", "/SSE", "/sse%20", "/%6dcp", "/mcp;x", "/servers/u/mcp%09"],
  ])("%s, which may be meant for one that is not, stays 404", async (path) =>
    expect(await reasonOf({ parts: { path } })).toBe("route_unknown"),
  );

  it.each([
    ...[
      "//app",
      "/app//x",
      "/app/../x",
      "/app/.",
      "/..",
      "/app\\x",
      "/app;x=1",
      "/a b",
      "/app#x",
      "/\u00e9",
      "app",
      "*",
    ],
    ...[
      "/%2e%2e/x",
      "/a%2fb",
      "/a%5Cb",
      "/a%00",
      "/a%0d",
      "/%61dmin",
      "/a%3bx",
      "/a%252e",
      "/a%",
      "/a%4",
      "/%7ex",
      '/"',
    ],
  ])("C10: %s, which two servers may read differently, is refused", async (path) =>
    expect(await reasonOf({ parts: { path } })).toBe("header_malformed"),
  );

  it.each(["a#b", "a b", "\u00e9"])("the query %s too", async (query) =>
    expect(await reasonOf({ parts: { query } })).toBe("header_malformed"),
  );

  it("another host is nobody's; and without such a policy every other path is 404", async () => {
    expect(await reasonOf({ parts: { host: "other.example.com" } })).toBe("route_unknown");
    expect(await reasonOf({ settings: { endpoints: checkSettings().endpoints } })).toBe("route_unknown");
  });
});

it.each(["/mcp", "/mcp/x", "/servers/u/mcp", "/servers/u/sse"])(
  "%s is the host's where no path is MCP's",
  async (path) => {
    const endpoints = { ...SETTINGS.endpoints, paths: new Map() };
    expect(await reasonOf({ settings: { endpoints }, parts: { path } })).toBe("allowed");
  },
);

it("the host is told to policy in lower case, without dot and port", async () => {
  const { question } = await ask({ parts: { host: "GW.Example.com.:8443" } });
  expect(question?.described.host).toBe("gw.example.com");
});

describe("the caller", () => {
  it("needs no token; policy is told of none", async () => {
    const { outcome, facts, question } = await ask({});
    expect(outcome.ok).toBe(true);
    expect([facts.identity, question?.caller, facts.method]).toEqual([null, null, "GET"]);
  });

  it("is told where a token verifies, which must be for the host; its value is hidden", async () => {
    const identify = vi.fn<Ports["identify"]>(() => pass(ALICE));
    const { facts, question } = await ask({ parts: { token: "token" }, ports: { identify } });
    expect(question?.caller).toMatchObject({ subject: "alice-sub", groups: ["engineering"] });
    expect(question?.hidden.has("authorization")).toBe(true);
    expect(facts.identity).toBe(ALICE);
    expect(identify.mock.calls[0]?.[1]).toMatchObject({ resource: "https://gw.example.com" });
  });

  it("is refused with a token that does not verify: 401, before policy is asked", async () => {
    const { outcome, question } = await ask({ parts: { token: "bad" } });
    expect([outcome.ok || outcome.reason, question]).toEqual(["token_invalid", null]);
  });

  it.each([
    [
      "two credentials at once",
      {
        headers: [
          ["authorization", "Bearer a"],
          ["authorization", "Bearer b"],
        ] as const,
      },
      "header_malformed",
    ],
    ["a bearer token of another form", { headers: header("authorization", "Bearer a b") }, "token_invalid"],
  ])("%s", async (_, parts, reason) => expect(await reasonOf({ parts })).toBe(reason));

  it("another scheme is the server's own matter", async () => {
    const { outcome, question } = await ask({ parts: { headers: header("authorization", "Basic YTpi") } });
    expect([outcome.ok, question?.caller, question?.hidden.size]).toEqual([true, null, 0]);
  });
});

describe("what policy says", () => {
  it("no answer is no allow", async () => {
    expect(await reasonOf({ ports: { decideHost: () => refuse("policy_unavailable") } })).toBe("policy_unavailable");
    expect(await reasonOf({ ports: { decideHost: undefined } })).toBe("internal");
  });

  it("a denial is policy_denied, in its own form where it gives one", async () => {
    const answer = { status: 302, headers: new Map([["location", ["/login"]]]), body: "" };
    const denied = { allow: false as const, revision: "r3", metadata: { a: 1 }, answer };
    expect((await ask({ decision: denied })).outcome).toMatchObject({
      reason: "policy_denied",
      answer,
      metadata: { a: 1 },
    });
    const ours = (await ask({ decision: { ...denied, answer: null } })).outcome;
    expect(ours.ok || [ours.reason, ours.answer]).toEqual(["policy_denied", undefined]);
  });

  it("an allow sets and removes what it says, and removes every managed header of the client's", async () => {
    const decision: HostAllow = {
      ...ALLOW,
      headers: new Map([
        ["x-user", ["a", "b"]],
        ["x-both", ["1"]],
      ]),
      remove: ["x-both", "x-debug", "cookie"],
      responseHeaders: new Map([["x-seen", ["yes"]]]),
      query: { set: [["a", "1"]], remove: ["b"] },
      metadata: { tenant: "t" },
    };
    const grant = await grantOf({ decision });
    expect([...grant.set]).toEqual([["x-user", "a, b"]]);
    expect([...grant.remove].sort()).toEqual([...new Set([...MANAGED, "x-both", "x-debug"])].sort());
    expect([grant.route, grant.query, grant.metadata]).toEqual(["host", decision.query, decision.metadata]);
    expect([...grant.responseHeaders]).toEqual([["x-seen", "yes"]]);
  });

  it("the route header is the gateway's, where there is one", async () => {
    const headers = { ...SETTINGS.headers, managed: new Set([...MANAGED, "x-route"]), routeHeader: "x-route" };
    expect([...(await grantOf({ settings: { headers } })).set]).toEqual([["x-route", "host"]]);
  });

  it.each([
    ...MANAGED,
    ...[
      "host",
      "content-length",
      "transfer-encoding",
      "connection",
      "te",
      "upgrade",
      ":path",
      ":authority",
      "x-request-id",
    ],
    ...["x-envoy-original-path", "x_mcp_server", "x_upstream_authorization", "x_envoy_retry_on", "mcp_session_id"],
  ])("may not write %s, of the request or of the response", async (name) => {
    const lines = new Map([[name, ["x"]]]);
    expect(await reasonOf({ decision: { ...ALLOW, headers: lines } })).toBe("policy_unavailable");
    expect(await reasonOf({ decision: { ...ALLOW, responseHeaders: lines } })).toBe("policy_unavailable");
  });

  it.each(["host", ":path", "content-length", "x-request-id"])("may not remove %s", async (name) =>
    expect(await reasonOf({ decision: { ...ALLOW, remove: [name] } })).toBe("policy_unavailable"),
  );

  it("what is too large for a header is refused", async () => {
    const headers = new Map([["x-a", Array.from({ length: 13 }, () => "x".repeat(4096))]]);
    expect(await reasonOf({ decision: { ...ALLOW, headers } })).toBe("policy_unavailable");
  });
});

describe("names that mean what policy decided about", () => {
  const decision: HostAllow = {
    ...ALLOW,
    headers: new Map([["x-user", ["alice"]]]),
    remove: ["x-debug", "x_old"],
    query: { set: [["tenant", "acme"]], remove: ["admin", "a b"] },
  };
  it.each(["x_user", "x_debug", "x-old", "x.user", "x-user_"])("the header %s", async (name) => {
    const isEvasive = name !== "x-user_";
    const parts = { headers: header(name, "root") };
    expect(await reasonOf({ decision, parts })).toBe(isEvasive ? "header_malformed" : "allowed");
    expect(await reasonOf({ parts })).toBe("allowed");
  });
  it.each(["x-user", "x-debug", "x_old", "y_user"])("but not %s, which the data plane writes or knows", async (name) =>
    expect(await reasonOf({ decision, parts: { headers: header(name) } })).toBe("allowed"),
  );
  it.each(["%61dmin=1", "x=1&%61dmin", "ten%61nt=evil", "Admin=1", "TENANT=x", "a+b=1", "a%20b=1"])(
    "the query %s",
    async (query) => {
      expect(await reasonOf({ decision, parts: { query } })).toBe("header_malformed");
      expect(await reasonOf({ parts: { query } })).toBe("allowed");
    },
  );
  it.each(["admin=1&tenant=x", "page=%61dmin", "", "adminx=1"])("but not ?%s", async (query) =>
    expect(await reasonOf({ decision, parts: { query } })).toBe("allowed"),
  );
  it("a denial stays one", async () => {
    const denied = { allow: false as const, revision: "r3", metadata: {}, answer: null };
    expect(await reasonOf({ decision: denied, parts: { headers: header("x_user") } })).toBe("policy_denied");
  });
});

describe("headers of the client's that pass", () => {
  const settings = { hostPasses: new Set(["authorization", "cookie"]) };
  it("are removed unless the configuration names them", async () => {
    expect((await grantOf({})).remove).toEqual(expect.arrayContaining(["authorization", "cookie"]));
    const { remove } = await grantOf({ settings, parts: { headers: header("authorization", "Basic YTpi") } });
    expect(remove).not.toContain("authorization");
    expect(remove).not.toContain("cookie");
    expect(remove).toContain("x-upstream-authorization");
  });
  it("but a credential for the gateway goes nowhere", async () =>
    expect((await grantOf({ settings, parts: { token: "token" } })).remove).toContain("authorization"));
  it("and no MCP endpoint gets them", async () => {
    const { remove, set } = await grantOf({
      settings,
      parts: { path: "/servers/s/mcp", method: "POST", token: "token", body: CALL },
    });
    expect([...remove, ...set.keys()]).toEqual(expect.arrayContaining(["authorization", "cookie"]));
  });
});

describe("form", () => {
  it.each([
    [{ headers: header("upgrade", "websocket") }, "header_malformed"],
    [{ method: "CONNECT" }, "method_not_allowed"],
    [{ method: "TRACE" }, "method_not_allowed"],
    [{ headers: header("connection", "x-mcp-server") }, "header_malformed"],
    [{ headers: header("x_mcp_server") }, "header_malformed"],
    [{ body: { kind: "bytes" as const, bytes: Buffer.alloc(256 * 1024 + 1) } }, "body_too_large"],
  ])("%j is %s", async (parts, reason) => expect(await reasonOf({ parts })).toBe(reason));

  it.each(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])(
    "%s is for policy",
    async (method) => expect(await reasonOf({ parts: { method } })).toBe("allowed"),
  );

  it("large bodies of one source take turns", async () => {
    const body = { kind: "bytes" as const, bytes: Buffer.alloc(33 * 1024) };
    const outcomes = await Promise.all(Array.from({ length: 3 }, () => reasonOf({ parts: { method: "POST", body } })));
    expect(outcomes).toEqual(["allowed", "allowed", "allowed"]);
  });
});

describe("a source that is suspended", () => {
  const refusalOf = vi.fn<NonNullable<Ports["refusalOf"]>>(({ subject }) =>
    subject === "192.0.2.1" || subject === "2001:db8:1:2::/64" ? refuse("caller_suspended") : null,
  );
  it.each([
    ["192.0.2.1", null, "caller_suspended"],
    ["::ffff:192.0.2.1", null, "caller_suspended"],
    ["2001:db8:1:2::9", null, "caller_suspended"],
    ["192.0.2.2", null, "allowed"],
    ["192.0.2.1", "token", "allowed"],
  ])("%s with %s: %s", async (peer, token, expected) => {
    const settings = { clientAddress: "x-envoy-external-address" } as const;
    const headers = header("x-envoy-external-address", peer);
    const { outcome, question } = await ask({ parts: { headers, token }, settings, ports: { refusalOf } });
    expect(outcome.ok ? "allowed" : outcome.reason).toBe(expected);
    expect(question === null).toBe(expected !== "allowed");
    if (token === null) expect(refusalOf.mock.lastCall?.[0].issuer).toBe("");
  });
});
