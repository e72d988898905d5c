// CL-09: a client chooses servers for herself by a header, at the whole pipeline: it narrows what she sees and calls, and never widens.
import { expect, it } from "vitest";
import { ALICE, allowingPorts, checkSettings, requestOf } from "../../test/fakes/authz.ts";
import { createCheck } from "./check.ts";
import { newCheckFacts } from "./facts.ts";
import { pass } from "./step.ts";
import type { Ports } from "./ports.ts";
import type { Visible } from "./types.ts";

const META = {
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientCapabilities": {},
};

interface Asked {
  readonly method?: string;
  readonly params?: object;
  readonly path?: string;
  readonly ports?: Partial<Ports>;
}

async function ask(chosen: readonly string[], { method = "tools/call", params, path = "/mcp", ports }: Asked = {}) {
  const signed: Visible[] = [];
  const check = createCheck(
    checkSettings(),
    allowingPorts({
      visible: () =>
        pass({
          revision: "r",
          names: { tools: { s: ["read"], t: ["read"] }, prompts: { s: ["p"] }, resources: { t: ["docs://a"] } },
        }),
      signWristband: (_, names) => (signed.push(names), pass({ jws: "j", jti: "j", leftOut: [] })),
      ...ports,
    }),
  );
  const message = { jsonrpc: "2.0", id: 1, method, params: params ?? { name: "s_read", arguments: {} } };
  const headers = chosen.map((value) => ["x-mcp-servers", value] as const);
  const mirrors =
    method === "subscriptions/listen"
      ? ([
          ["mcp-protocol-version", "2026-07-28"],
          ["mcp-method", method],
        ] as const)
      : [];
  const outcome = await check(
    requestOf({ path, message, headers: [...headers, ...mirrors] }),
    newCheckFacts("r", 0),
    new AbortController().signal,
  );
  return { ended: outcome.ok ? "ok" : outcome.reason, signed: signed[0] };
}

it.each<[string, readonly string[], string]>([
  ["none", [], "ok"],
  ["its own", ["s"], "ok"],
  ["its own among others", ["t , s"], "ok"],
  ["another", ["t"], "policy_denied"],
  ["one that is nobody's", ["nobody"], "policy_denied"],
  ["none at all", [""], "policy_denied"],
  ["a list with a gap", ["s,,t"], "header_malformed"],
  ["a pattern", ["*"], "header_malformed"],
  ["capitals", ["S"], "header_malformed"],
  ["it twice", ["s", "s"], "header_malformed"],
  ["a very long list", [Array.from({ length: 900 }, (_, i) => `s${i}`).join()], "header_malformed"],
])("a call of a server of hers who chose %s", async (_, chosen, ended) => {
  for (const path of ["/mcp", "/servers/s/mcp"]) {
    const params = { name: path === "/mcp" ? "s_read" : "read", arguments: {} };
    expect((await ask(chosen, { path, params })).ended).toBe(ended);
  }
});

it("lists hold the chosen ones alone, of every kind, and what policy hides stays hidden", async () => {
  const list = { method: "tools/list", params: {} };
  expect((await ask(["t"], list)).signed).toEqual({
    tools: { t: ["read"] },
    prompts: {},
    resources: { t: ["docs://a"] },
  });
  expect((await ask([""], list)).signed).toEqual({ tools: {}, prompts: {}, resources: {} });
  const nothing = { visible: () => pass({ revision: "r", names: { tools: {}, prompts: {}, resources: {} } }) };
  expect((await ask(["s,t"], { ...list, ports: nothing })).signed).toEqual({ tools: {}, prompts: {}, resources: {} });
});

it("a key that opens one server opens no other that is chosen", async () => {
  const { token: _token, ...claims } = ALICE;
  const identify: Ports["identify"] = () => pass({ ...claims, method: "api_key", opens: new Set(["s"]) });
  const list = { method: "tools/list", params: {}, ports: { identify } };
  expect((await ask(["t"], list)).signed).toEqual({ tools: {}, prompts: {}, resources: {} });
  expect((await ask(["s,t"], list)).signed).toMatchObject({ tools: { s: ["read"] }, resources: {} });
  expect((await ask(["t"], { params: { name: "t_read", arguments: {} }, ports: { identify } })).ended).toBe(
    "policy_denied",
  );
});

it("a stream tells of resources of the chosen ones alone", async () => {
  const params = { notifications: { resourceSubscriptions: ["s+docs://a", "t+docs://b"] }, _meta: META };
  const { signed } = await ask(["t"], { method: "subscriptions/listen", params });
  expect(signed?.resources).toEqual({ t: ["docs://b"] });
});
