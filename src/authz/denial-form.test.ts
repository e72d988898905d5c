import { CallToolResultSchema } from "@modelcontextprotocol/sdk/types.js";
import { describe, expect, it } from "vitest";
import { allowingPorts, checkSettings, requestOf, VIRTUAL } from "../../test/fakes/authz.ts";
import { createCuration, UNCURATED } from "../mcp/curation.ts";
import { createCheck } from "./check.ts";
import { refusalResponse, rpcRefusal, type DenialForm, type RefusalResponseSettings } from "./refusal-response.ts";
import { pass, type Refused } from "./step.ts";
import { REFUSALS, type Reason } from "./refusal.ts";
import { newCheckFacts, type CheckFacts } from "./facts.ts";
import { MODERN, SUPPORTED_VERSIONS } from "../mcp/versions.ts";

const REASONS = Object.keys(REFUSALS) as Reason[];
const settings = (denial: RefusalResponseSettings["denial"]) => ({
  publicOrigin: "https://mcp.example.com",
  scopes: [],
  denial,
});

function factsOf(version: string, isToolCall: boolean): CheckFacts {
  const facts = newCheckFacts("req-1", 0);
  facts.path = "/mcp";
  facts.endpoint = {
    ...{ kind: "mcp", server: null, virtualServer: null, search: false, allowQuery: false, sessions: false },
    ...{ legacySse: null, resource: "https://mcp.example.com/mcp" },
  };
  facts.rpc = { id: 7, notification: false, version, ...(isToolCall && { isToolCall }) };
  return facts;
}

const answer = (denial: RefusalResponseSettings["denial"], refused: Refused, facts: CheckFacts) => {
  const { status, headers, body } = refusalResponse(settings(denial), refused, facts);
  return { status, headers, body: JSON.parse(body) as Record<string, unknown> };
};
const refused = (reason: Reason, more: Partial<Refused> = {}): Refused => ({ ok: false, reason, ...more });

/** What clients act on by status, code or challenge, whatever the form. */
const STAYS = new Set<Reason>([
  ...REASONS.filter((reason) => REFUSALS[reason].http === 401),
  ...(["scope_insufficient", "session_unknown", "method_unknown", "header_mismatch", "header_malformed"] as const),
  ...(["version_unsupported", "capability_missing", "wristband_invalid"] as const),
]);

describe("F82: a refused tools/call in the form isError", () => {
  it.each(REASONS.filter((reason) => !STAYS.has(reason)))("%s: a tool's result that a model can read", (reason) => {
    for (const version of SUPPORTED_VERSIONS) {
      const { status, body, headers } = answer(
        "isError",
        refused(reason, { detail: "CANARY" }),
        factsOf(version, true),
      );
      expect([status, body["id"], headers.has("www-authenticate")]).toEqual([200, 7, false]);
      const result = CallToolResultSchema.parse(body["result"]);
      expect(result).toMatchObject({ isError: true, _meta: { "mcp-authz/refusal": { reason, requestId: "req-1" } } });
      expect(result.content).toEqual([
        { type: "text", text: `${REFUSALS[reason].message} (${reason}, request req-1)` },
      ]);
      expect((body["result"] as { resultType?: string }).resultType).toBe(version === MODERN ? "complete" : undefined);
      expect(JSON.stringify(body)).not.toContain("CANARY");
    }
  });

  it.each([...STAYS])("%s: as in every other form", (reason) => {
    for (const version of SUPPORTED_VERSIONS) {
      const plain = answer("jsonrpc", refused(reason), factsOf(version, true));
      expect(answer("isError", refused(reason), factsOf(version, true))).toEqual(plain);
      expect(plain.body).not.toHaveProperty("result");
    }
  });

  it.each(REASONS)("%s: a request that calls no tool gets an error", (reason) => {
    for (const version of SUPPORTED_VERSIONS)
      expect(answer("isError", refused(reason), factsOf(version, false))).toEqual(
        answer("jsonrpc", refused(reason), factsOf(version, false)),
      );
  });

  it("a notification, and what could not be read, is refused by HTTP", () => {
    const facts = factsOf(MODERN, true);
    facts.rpc = { id: null, notification: true, version: MODERN, isToolCall: true };
    expect(answer("isError", refused("policy_denied"), facts).status).toBe(403);
    facts.rpc = null;
    expect(answer("isError", refused("body_too_large"), facts).status).toBe(413);
  });

  it("what the caller is told stands in the text and beside it: help and limit", () => {
    const told = { help: "Ask https://help.example.com", limitBytes: 65_536 };
    const { body } = answer("isError", refused("credential_missing", told), factsOf("2025-06-18", true));
    const { message } = REFUSALS.credential_missing;
    expect(body["result"]).toMatchObject({
      content: [{ text: expect.stringContaining(`${message} (limit: 65536 bytes). ${told.help} (credential_missing`) }],
      _meta: { "mcp-authz/refusal": told },
    });
  });
});

/** Beside what stays in every form. A malformed body is no message of an honest client, but for a number in a call. */
const legacyStatus = (reason: Reason, isToolCall: boolean) => {
  if (reason === "method_unknown" || reason === "capability_missing") return 200;
  return STAYS.has(reason) || (reason === "body_malformed" && !isToolCall) ? REFUSALS[reason].http : 200;
};

describe("F82: a whole request is refused with 200, for a status of failure ends the session of several clients", () => {
  it.each(REASONS)("%s", (reason) => {
    for (const isToolCall of [true, false]) {
      const facts = (version: string) => factsOf(version, isToolCall);
      for (const version of SUPPORTED_VERSIONS.filter((each) => each !== MODERN)) {
        const { status, body } = answer("jsonrpc", refused(reason), facts(version));
        expect(status).toBe(legacyStatus(reason, isToolCall));
        if (REFUSALS[reason].http !== 401) expect(body).toMatchObject({ id: 7, error: { data: { reason } } });
        const asHttp = ["method_unknown", "capability_missing", "answer_too_large"].includes(reason)
          ? 200
          : REFUSALS[reason].http;
        expect(answer("http", refused(reason), facts(version)).status).toBe(asHttp);
      }
      const is200 = !STAYS.has(reason) && (REFUSALS[reason].rpc === null || reason === "answer_too_large");
      expect(answer("jsonrpc", refused(reason), facts(MODERN)).status).toBe(is200 ? 200 : REFUSALS[reason].http);
      if (reason !== "answer_too_large")
        expect(answer("http", refused(reason), facts(MODERN)).status).toBe(REFUSALS[reason].http);
    }
  });

  it("what has no id that its client waits for keeps its status", () => {
    for (const reason of REASONS.filter((key) => key !== "method_unknown")) {
      const facts = factsOf("2025-06-18", false);
      for (const rpc of [null, { id: null, notification: true, version: "2025-06-18" }]) {
        facts.rpc = rpc;
        expect(answer("jsonrpc", refused(reason), facts).status).toBe(REFUSALS[reason].http);
      }
      facts.rpc = { id: null, notification: false, version: "2025-06-18" };
      expect(answer("jsonrpc", refused(reason), facts).status).toBe(REFUSALS[reason].http);
    }
  });
});

describe("F82: a form for each era", () => {
  const FORMS: DenialForm[] = ["jsonrpc", "http", "isError"];
  const look = { jsonrpc: [200, "error"], http: [403, "error"], isError: [200, "result"] } as const;

  it.each(FORMS.flatMap((legacy) => FORMS.map((modern) => ({ legacy, modern }))))("%j", (denial) => {
    for (const version of SUPPORTED_VERSIONS) {
      const { status, body } = answer(denial, refused("policy_denied"), factsOf(version, true));
      expect([status, Object.keys(body).at(-1)]).toEqual(look[denial[version === MODERN ? "modern" : "legacy"]]);
    }
  });

  it("the message on a stream has the same form as a body", () => {
    for (const form of FORMS)
      for (const reason of REASONS.filter((key) => REFUSALS[key].http !== 401)) {
        const facts = factsOf(MODERN, true);
        expect(rpcRefusal(settings(form), refused(reason), facts)).toEqual(answer(form, refused(reason), facts).body);
      }
  });
});

describe("F81, F82: by its form nobody can tell a hidden name from a denied or an unknown one", () => {
  const tools = { allow: ["*"], deny: ["curated*"] };
  const curation = createCuration({
    servers: { s: { ...UNCURATED, tools }, t: { ...UNCURATED, tools } },
    virtualServers: VIRTUAL,
  });
  const decide = () => pass({ allow: false as const, requiredScopes: null, revision: "r", note: null });

  async function refusedCall(path: string, params: object, { denial, version, search }: Asked) {
    const isModern = version === MODERN;
    const meta = {
      "io.modelcontextprotocol/protocolVersion": version,
      "io.modelcontextprotocol/clientCapabilities": {},
    };
    const message = {
      ...{ jsonrpc: "2.0", id: 1, method: "tools/call" },
      params: { ...params, ...(isModern && { _meta: meta }) },
    };
    const mirrors = [["mcp-method", "tools/call"] as const, ["mcp-name", (params as { name: string }).name] as const];
    const headers = [["mcp-protocol-version", version] as const, ...(isModern ? mirrors : [])];
    const facts = newCheckFacts("req-1", 0);
    const check = createCheck(checkSettings({ curation }, search), allowingPorts({ decide: decide as never }));
    const outcome = await check(requestOf({ path, message, headers }), facts, new AbortController().signal);
    return outcome.ok ? "allowed" : refusalResponse(settings(denial), outcome, facts);
  }

  interface Asked {
    readonly denial: DenialForm;
    readonly version: string;
    readonly search: boolean;
  }
  const ENDPOINTS: readonly (readonly [string, string])[] = [
    ["/servers/s/mcp", ""],
    ["/servers/t/mcp", ""],
    ["/servers/v/mcp", "t_"],
    ["/mcp", "t_"],
  ];
  const NAMES = ["denied", "curated_x", "no such name", "nobody\u2019s", "../x"];

  it.each(ENDPOINTS.flatMap(([path, prefix]) => [false, true].map((search) => [path, prefix, search] as const)))(
    "%s, prefix %j, search mode %j",
    async (path, prefix, search) => {
      for (const denial of ["jsonrpc", "http", "isError"] as const)
        for (const version of ["2025-11-25", "2025-03-26"]) {
          const names = [...NAMES.map((name) => prefix + name), "x_unknown", "s_unknown"];
          const seen = await Promise.all(names.map((name) => refusedCall(path, { name }, { denial, version, search })));
          const inner = names.map((name) => ({ name: "call_tool", arguments: { name } }));
          const wrapped = search && !path.startsWith("/servers/s") && !path.startsWith("/servers/t") ? inner : [];
          for (const params of wrapped) seen.push(await refusedCall(path, params, { denial, version, search }));
          expect(new Set(seen.map((each) => JSON.stringify(each)))).toHaveLength(1);
          expect(seen[0]).toMatchObject({ status: denial === "http" ? 403 : 200 });
          expect(JSON.stringify(seen[0])).toContain(denial === "isError" ? "isError" : "error");
        }
      const seen = await refusedCall(path, { name: "denied" }, { denial: "isError", version: MODERN, search });
      expect(seen).toMatchObject({ status: 200, body: expect.stringContaining('"resultType":"complete"') });
    },
  );
});
