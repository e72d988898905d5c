import { describe, expect, it } from "vitest";
import { ALICE, allowingPorts, checkSettings, requestOf, THERE, type RequestParts } from "../../test/fakes/authz.ts";
import { MODERN, SUPPORTED_VERSIONS } from "../mcp/versions.ts";
import { createCheck } from "./check.ts";
import { newCheckFacts } from "./facts.ts";
import { Grant } from "./grant.ts";
import { refusalResponse } from "./refusal-response.ts";
import type { Visible, WristbandUse } from "./types.ts";
import type { Ports } from "./ports.ts";

type Pairs = readonly (readonly [string, string])[];

const SESSION: Pairs = [["mcp-session-id", "A-z_0.9"]];
const OLDER = SUPPORTED_VERSIONS.filter((version) => version !== MODERN);
const revision = (version: string): Pairs => [["mcp-protocol-version", version]];

/** What came of a request, what was signed for it, and what the client reads if it was refused. On `t` there are sessions. */
async function run(parts: RequestParts, ports: Partial<Ports> = {}) {
  const signed: [Visible, WristbandUse][] = [];
  const signWristband: Ports["signWristband"] = (identity, visible, use) => {
    expect(identity).toBe(ALICE);
    signed.push([visible, use]);
    return { ok: true, value: { jws: "wrist.band.jws", jti: "j1", leftOut: [] } };
  };
  const facts = newCheckFacts("req-1", 0);
  const check = createCheck(checkSettings(), allowingPorts({ signWristband, ...ports }));
  const outcome = await check(requestOf({ path: "/servers/t/mcp", ...parts }), facts, new AbortController().signal);
  const grant = outcome.ok && Grant.is(outcome.value) ? outcome.value : null;
  const settings = { publicOrigin: "https://gw.example.com", scopes: [], denial: "jsonrpc" as const };
  const answer = outcome.ok ? null : refusalResponse(settings, outcome, facts);
  return { reason: outcome.ok ? null : outcome.reason, grant, answer, signed, facts };
}

const NO_NAMES = { tools: {}, prompts: {}, resources: {} };
const PATHS = ["/mcp", "/servers/t/mcp"];
const bodiless = (method: string, headers: Pairs, more: RequestParts = {}): RequestParts => ({
  ...{ method, headers, body: { kind: "none" } },
  ...more,
});

describe.each(["GET", "DELETE"])("MS-15: %s", (method) => {
  it.each(PATHS)("with a session of an older revision goes to the broker (%s)", async (path) => {
    for (const version of [[], ...OLDER.map(revision)]) {
      const { grant, signed, facts } = await run(bodiless(method, [...SESSION, ...version], { path }));
      expect(grant?.route).toBe("broker");
      expect(grant?.set.get("mcp-session-id")).toBe("A-z_0.9");
      expect([...(grant?.set.keys() ?? [])].sort()).toEqual(["mcp-session-id", "x-authorized-tools"]);
      expect(signed).toEqual([[NO_NAMES, { use: "session" }]]);
      expect(facts).toMatchObject({ method, wristband: "j1" });
    }
  });

  it.each<[string, Pairs, RequestParts, string, string]>([
    ["the stateless revision", [...SESSION, ...revision(MODERN)], {}, "method_not_allowed", "POST"],
    ["the same with spaces", [...SESSION, ...revision(` ${MODERN} `)], {}, "method_not_allowed", "POST"],
    ["no session", [], {}, "method_not_allowed", "GET, POST, DELETE"],
    ["a direct server", SESSION, { path: "/servers/s/mcp" }, "method_not_allowed", "POST"],
  ])("%s: 405", async (_, headers, more, reason, allow) => {
    const { answer, signed, ...rest } = await run(bodiless(method, headers, more));
    expect([rest.reason, answer?.status, answer?.headers.get("allow")]).toEqual([reason, 405, allow]);
    expect(signed).toEqual([]);
  });

  it("asks for the token first, whatever else it says", async () => {
    for (const headers of [SESSION, [], [["mcp-session-id", "a:b"]] as const])
      expect((await run(bodiless(method, headers, { token: null }))).reason).toBe("token_missing");
    expect((await run(bodiless(method, SESSION, { token: "of somebody else" }))).reason).toBe("token_invalid");
  });

  it("with a body, a strange revision or a revision twice is refused", async () => {
    const bytes = { kind: "bytes", bytes: Buffer.from("{}") } as const;
    expect((await run(bodiless(method, SESSION, { body: bytes }))).reason).toBe("body_malformed");
    expect((await run(bodiless(method, [...SESSION, ...revision("2099-01-01")]))).reason).toBe("version_unsupported");
    const twice = [...SESSION, ...revision("2025-11-25"), ...revision("2025-11-25")];
    expect((await run(bodiless(method, twice))).reason).toBe("header_malformed");
    const empty = { kind: "bytes", bytes: Buffer.alloc(0) } as const;
    expect((await run(bodiless(method, SESSION, { body: empty }))).reason).toBeNull();
  });
});

it.each(["HEAD", "PUT", "PATCH"])("%s is 405, with a session too", async (method) =>
  expect((await run(bodiless(method, SESSION))).reason).toBe("method_not_allowed"),
);

describe("MS-12, MS-13: an id that is none of ours", () => {
  const call = { jsonrpc: "2.0", id: 5, method: "tools/call", params: { name: "read" } };
  const ids = ["a:b", "a b", "a,b", "", "é", "a/b", "=", "A".repeat(2049)];
  it.each([...ids.map((id): [string, Pairs] => [id.slice(0, 9), [["mcp-session-id", id]]])])(
    "%j is 404, before policy and credential are asked",
    async (_, headers) => {
      const never = () => {
        throw new Error("asked");
      };
      const { reason, answer } = await run({ headers, message: call }, { decide: never, fetchCredential: never });
      expect([reason, answer?.status]).toEqual(["session_unknown", 404]);
      expect(JSON.parse(answer?.body ?? "")).toMatchObject({
        id: 5,
        error: { code: -32_001, message: "Session not found" },
      });
      expect((await run(bodiless("GET", headers))).reason).toBe("session_unknown");
    },
  );

  it("the same id twice", async () =>
    expect((await run({ headers: [...SESSION, ...SESSION], message: call })).reason).toBe("session_unknown"));

  it("2,048 characters may be one of ours", async () => {
    const id = "A".repeat(2048);
    const { grant } = await run({ headers: [["mcp-session-id", id]], message: call });
    expect(grant?.set.get("mcp-session-id")).toBe(id);
  });

  it("the stateless revision knows no session: the header is removed, whatever it holds", async () => {
    const meta = {
      "io.modelcontextprotocol/protocolVersion": MODERN,
      "io.modelcontextprotocol/clientCapabilities": {},
    };
    const message = { ...call, params: { name: "read", _meta: meta } };
    for (const id of ["A-z", "a:b"]) {
      const headers: Pairs = [
        ...[["mcp-session-id", id] as const, ["mcp-method", "tools/call"] as const, ["mcp-name", "read"] as const],
        ...revision(MODERN),
      ];
      const { grant } = await run({ headers, message });
      expect(grant?.set.has("mcp-session-id")).toBe(false);
      expect(grant?.remove).toContain("mcp-session-id");
    }
  });
});

describe("where the session id goes", () => {
  const messages = [
    { jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "t_read" } },
    { jsonrpc: "2.0", id: 1, method: "tools/list" },
    { jsonrpc: "2.0", id: 1, method: "initialize", params: {} },
    { jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: 1 } },
    { jsonrpc: "2.0", id: 1, method: "logging/setLevel", params: { level: "debug" } },
    { jsonrpc: "2.0", id: 1, result: {} },
  ];
  it.each(messages)("%j: to the broker", async (message) => {
    for (const path of PATHS) {
      const { grant } = await run({ path, message, headers: SESSION });
      expect([grant?.route, grant?.set.get("mcp-session-id")]).toEqual(["broker", "A-z_0.9"]);
    }
  });

  it("never to a server that Envoy reaches directly, nor to the broker for one", async () => {
    const message = { jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "read" } };
    for (const more of [[], [["mcp-param-a", "b"]]] as const)
      for (const id of ["A-z", "a:b"]) {
        const headers: Pairs = [["mcp-session-id", id], ...more];
        const { grant } = await run({ path: "/servers/s/mcp", message, headers });
        expect(grant?.route).toBe(more.length === 0 ? `server:s:${THERE}` : "broker");
        expect(grant?.set.has("mcp-session-id")).toBe(false);
        expect(grant?.remove).toContain("mcp-session-id");
      }
  });
});

describe("class session", () => {
  const response = { jsonrpc: "2.0", id: 9, result: { action: "accept" } };
  const setLevel = { jsonrpc: "2.0", id: 9, method: "logging/setLevel", params: { level: "debug" } };

  it.each([response, setLevel])("%j goes to the broker with a wristband that names nothing", async (message) => {
    for (const path of PATHS) {
      const { grant, signed } = await run({ path, message, headers: SESSION });
      expect(grant?.route).toBe("broker");
      expect(signed).toEqual([[NO_NAMES, { use: "session" }]]);
    }
  });

  it("where nobody has sessions it is unknown: a response gets an HTTP error, and no answer with its id", async () => {
    const refused = await run({ path: "/servers/s/mcp", message: response, headers: SESSION });
    expect([refused.reason, refused.answer?.status]).toEqual(["method_unknown", 400]);
    expect(JSON.parse(refused.answer?.body ?? "")).toMatchObject({ id: null });
    const request = await run({ path: "/servers/s/mcp", message: setLevel });
    expect([request.reason, request.answer?.status]).toEqual(["method_unknown", 200]);
  });

  it("N-06: nor does the stateless revision have client responses", async () => {
    const refused = await run({ message: response, headers: [...SESSION, ...revision(MODERN)] });
    expect([refused.reason, refused.answer?.status]).toEqual(["method_unknown", 404]);
  });
});

describe("class listen", () => {
  it("is asked for the names of all kinds, and gets a wristband for lists", async () => {
    const meta = {
      "io.modelcontextprotocol/protocolVersion": MODERN,
      "io.modelcontextprotocol/clientCapabilities": {},
    };
    const names = { tools: { t: ["read"] }, prompts: { t: ["greet"] }, resources: {} };
    const message = {
      jsonrpc: "2.0",
      id: 1,
      method: "subscriptions/listen",
      params: { notifications: {}, _meta: meta },
    };
    const headers: Pairs = [["mcp-method", "subscriptions/listen"], ...revision(MODERN)];
    const { grant, signed } = await run(
      { path: "/mcp", message, headers },
      {
        visible: ({ mcp }) => {
          expect(mcp).toMatchObject({ kind: null, server: null, name: null });
          return { ok: true, value: { revision: "r", names } };
        },
      },
    );
    expect(grant?.route).toBe("broker");
    expect(signed).toEqual([[names, { use: "list", merged: true, policy: "r" }]]);
    const refused = await run(
      { path: "/mcp", message, headers },
      { visible: () => ({ ok: false, reason: "catalog_unavailable" }) },
    );
    expect(refused.reason).toBe("catalog_unavailable");
  });
});
