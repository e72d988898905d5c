import { describe, expect, it } from "vitest";
import { ALICE, allowingPorts, checkSettings, headersOf, requestOf } from "../../test/fakes/authz.ts";
import { createSealer } from "../secret/seal.ts";
import { createCheck } from "./check.ts";
import { newCheckFacts } from "./facts.ts";
import { Grant } from "./grant.ts";
import type { Ports } from "./ports.ts";
import { refusalResponse } from "./refusal-response.ts";
import { createTaskIds } from "./task-ids.ts";
import type { PolicyInput, Visible } from "./types.ts";

const MODERN = "2026-07-28";
const ids = createTaskIds(createSealer([{ id: "k", key: Buffer.alloc(32, 1) }]));
const TASK = { server: "t", tool: "slow", id: "the-servers-own" };
const TASKS = { "io.modelcontextprotocol/tasks": {} };
/** The test tokens name no client. */
const OWNER = { issuer: ALICE.issuer, subject: ALICE.subject, client: "" };
const alices = ids.seal(OWNER, TASK);
const bobs = ids.seal({ ...OWNER, subject: "bob" }, TASK);

/** A request of alice about a task. */
async function ask(
  taskId: unknown,
  { method = "tasks/get", path = "/mcp", ports = {}, header = taskId, extensions = TASKS } = {} as Asked,
) {
  const asked: PolicyInput["mcp"][] = [];
  const signed: Visible[] = [];
  const meta = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": { extensions },
  };
  const request = requestOf({
    path,
    message: { jsonrpc: "2.0", id: 3, method, params: { taskId, _meta: meta } },
    headers: [
      ["mcp-protocol-version", MODERN],
      ["mcp-method", method],
      ["mcp-name", String(header)],
    ],
  });
  const facts = newCheckFacts("r", 0);
  const all = allowingPorts({
    openTask: ids.open,
    decide: ({ mcp }) => {
      asked.push(mcp);
      return { ok: true, value: { allow: true, revision: "r1", note: null } };
    },
    signWristband: (_, visible) => {
      signed.push(visible);
      return { ok: true, value: { jws: "w", jti: "j", leftOut: [] } };
    },
    ...ports,
  });
  const outcome = await createCheck(checkSettings(), all)(request, facts, new AbortController().signal);
  const settings = { publicOrigin: "https://gw.example.com", scopes: [], denial: "jsonrpc" as const };
  const answer = outcome.ok ? null : refusalResponse(settings, outcome, facts);
  const grant = outcome.ok && Grant.is(outcome.value) ? outcome.value : null;
  return { grant, asked, signed, facts, answer, reason: outcome.ok ? null : outcome.reason };
}

interface Asked {
  readonly method?: string;
  readonly path?: string;
  readonly ports?: Partial<Ports>;
  readonly header?: unknown;
  readonly extensions?: unknown;
}

describe("F78: a request about a task", () => {
  it.each(["tasks/get", "tasks/update", "tasks/cancel"])("%s is judged as its tool, and relayed", async (method) => {
    for (const path of ["/mcp", "/servers/t/mcp"]) {
      const { grant, asked, signed, facts } = await ask(alices, { method, path });
      expect(grant?.route).toBe("broker");
      expect(grant?.set.get("x-mcp-server")).toBe("t");
      expect(asked).toMatchObject([{ method, server: "t", kind: "tool", name: "slow", arguments: {} }]);
      expect(signed).toEqual([{ tools: { t: ["slow"] }, prompts: {}, resources: {} }]);
      expect(facts).toMatchObject({ server: "t", name: "slow", method });
    }
  });

  it("a right that was revoked meanwhile stops it", async () => {
    const no = { allow: false, revision: "r2", note: null, requiredScopes: null } as const;
    const { reason } = await ask(alices, { ports: { decide: () => ({ ok: true, value: no }) } });
    expect(reason).toBe("policy_denied");
  });

  it("somebody else's, an altered, an unknown one and one of another server have one answer; nobody is asked", async () => {
    const altered = alices.slice(0, -1) + (alices.endsWith("A") ? "B" : "A");
    const texts = new Set<string | undefined>();
    for (const id of [bobs, altered, "the-servers-own", "x", `${alices}A`]) {
      const { answer, asked, facts } = await ask(id);
      texts.add(answer?.body);
      expect([answer?.status, asked, facts.name]).toEqual([400, [], null]);
    }
    texts.add((await ask(alices, { path: "/servers/s/mcp" })).answer?.body);
    expect([...texts]).toEqual([expect.stringContaining("-32602")]);
  });

  it("needs an id, and Mcp-Name with it", async () => {
    for (const id of [undefined, 1, "", {}, "x".repeat(4097)]) expect((await ask(id)).reason).toBe("params_invalid");
    expect((await ask(alices, { header: bobs })).reason).toBe("header_mismatch");
  });

  it.each([undefined, null, {}, { "example.com/other": {} }, { "io.modelcontextprotocol/tasks": null }, []])(
    "a client that does not declare tasks (%j) is told so, whatever the id; nobody is asked",
    async (extensions) => {
      for (const method of ["tasks/get", "tasks/update", "tasks/cancel"])
        for (const id of [alices, bobs, "x"]) {
          const { answer, asked } = await ask(id, { method, extensions: extensions ?? null });
          expect([answer?.status, asked]).toEqual([400, []]);
          const data = { requiredCapabilities: { extensions: TASKS } };
          expect(JSON.parse(answer?.body ?? "")).toMatchObject({ id: 3, error: { code: -32_021, data } });
        }
    },
  );

  it("goes to no server straight, and is unknown without keys", async () => {
    const ofDirect = ids.seal(OWNER, { ...TASK, server: "s" });
    expect((await ask(ofDirect, { path: "/servers/s/mcp" })).grant?.route).toBe("broker");
    expect((await ask(alices, { ports: { openTask: undefined } })).reason).toBe("method_unknown");
  });
});

it("F78: an id opens for its owner and its purpose alone, whatever stands in it", () => {
  const sealer = createSealer([{ id: "k", key: Buffer.alloc(32, 1) }]);
  const context = { purpose: "task", bound: [ALICE.issuer, ALICE.subject, ""] };
  expect(ids.open(OWNER, alices)).toEqual(TASK);
  expect(ids.open({ ...OWNER, issuer: "https://other.example.com" }, alices)).toBeNull();
  expect(ids.open({ ...OWNER, client: "another of hers" }, alices)).toBeNull();
  for (const text of ['["t","slow"]', '["T","slow","x"]', '{"server":"t"}', '["t","slow","x","y"]', '["t","slow",""]'])
    expect(ids.open(OWNER, sealer.seal(Buffer.from(text), context))).toBeNull();
  const session = sealer.seal(Buffer.from('["t","slow","x"]'), { ...context, purpose: "session" });
  expect(ids.open(OWNER, session)).toBeNull();
  expect(headersOf([["mcp-name", alices]]).get("mcp-name")).toMatch(/^[\w-]+$/);
});
