// Curation in the Check: what a server does not offer is refused for everybody, before policy is asked.
import { describe, expect, it } from "vitest";
import { allowingPorts, checkSettings, requestOf, VIRTUAL, type RequestParts } from "../../test/fakes/authz.ts";
import { createResolver } from "../mcp/resolver.ts";
import { createCuration, UNCURATED, type ServerCuration } from "../mcp/curation.ts";
import { createCheck } from "./check.ts";
import { newCheckFacts } from "./facts.ts";
import type { Ports } from "./ports.ts";
import { pass, refuse } from "./step.ts";

const CURATED: Partial<ServerCuration> = {
  tools: { allow: ["*"], deny: ["delete_*"] },
  prompts: { allow: ["summary"], deny: [] },
  resources: { allow: ["docs://*"], deny: ["docs://secret/*"] },
};

async function run(parts: RequestParts, ports: Partial<Ports> = {}, s: Partial<ServerCuration> = CURATED) {
  const settings = checkSettings({
    curation: createCuration({ servers: { s: { ...UNCURATED, ...s }, t: UNCURATED }, virtualServers: VIRTUAL }),
  });
  const facts = newCheckFacts("req-1", Date.now());
  const signal = new AbortController().signal;
  return { outcome: await createCheck(settings, allowingPorts(ports))(requestOf(parts), facts, signal), facts };
}

const message = (method: string, params: object) => ({ jsonrpc: "2.0", id: 1, method, params });
const call = (name: string) => message("tools/call", { name });

describe("TB-03, MO-04: what a server does not offer is refused before policy is asked", () => {
  it.each<[string, RequestParts]>([
    ["a tool on a direct route", { message: call("delete_repo") }],
    ["a tool on /mcp", { path: "/mcp", message: call("s_delete_repo") }],
    ["a prompt", { message: message("prompts/get", { name: "other" }) }],
    ["a resource", { message: message("resources/read", { uri: "file:///etc/passwd" }) }],
    ["a resource that deny names", { message: message("resources/read", { uri: "docs://secret/a" }) }],
  ])("%s", async (_, parts) => {
    const asked: unknown[] = [];
    const decide: Ports["decide"] = (input) => (asked.push(input), refuse("internal"));
    const { outcome, facts } = await run(parts, { decide });
    expect(outcome).toMatchObject({ ok: false, reason: "policy_denied", detail: expect.stringContaining("curation") });
    expect(asked).toEqual([]);
    expect(facts.server).toBe("s");
  });

  it("what it offers goes to policy, and another server's names too", async () => {
    for (const parts of [{ message: call("read") }, { path: "/servers/t/mcp", message: call("delete_repo") }])
      expect((await run(parts)).outcome.ok).toBe(true);
  });
});

describe("CF-25: on the endpoint of a virtual server", () => {
  const path = "/servers/v/mcp";
  it.each<[string, RequestParts]>([
    ["a tool outside of its subset", { path, message: call("s_search") }],
    ["a tool that its server does not offer", { path, message: call("t_x") }],
    ["a tool without its server's prefix", { path, message: call("read") }],
  ])("%s is refused", async (_, parts) => {
    const t = { ...UNCURATED, tools: { allow: ["*"], deny: ["x"] } };
    const curation = createCuration({ servers: { s: UNCURATED, t }, virtualServers: VIRTUAL });
    const ports = allowingPorts({ decide: () => pass({ allow: true, revision: "r", note: null }) });
    const check = createCheck(checkSettings({ curation }), ports);
    const outcome = await check(requestOf(parts), newCheckFacts("r", Date.now()), new AbortController().signal);
    expect(outcome).toMatchObject({ ok: false, reason: "policy_denied" });
  });

  it("policy sees the real server, the own name, and the endpoint; the call goes to the broker", async () => {
    const seen: unknown[] = [];
    const decide: Ports["decide"] = (input) => (
      seen.push([input.mcp.server, input.mcp.name, input.request.path]),
      pass({ allow: true, revision: "r", note: null })
    );
    const { outcome } = await run({ path, message: call("s_read") }, { decide });
    expect(seen).toEqual([["s", "read", path]]);
    expect(outcome).toMatchObject({ ok: true, value: { route: "broker" } });
  });

  it("no wristband of a list there has more than its subset", async () => {
    const names = { tools: { s: ["read", "search"], t: ["x"] }, prompts: { s: ["readme", "other"] }, resources: {} };
    const signed: unknown[] = [];
    await run(
      { path, message: message("tools/list", {}) },
      {
        visible: () => pass({ revision: "r", names }),
        signWristband: (_, visible, use) => (signed.push(visible, use), pass({ jws: "j", jti: "j", leftOut: [] })),
      },
    );
    expect(signed).toEqual([
      { tools: { s: ["read"], t: ["x"] }, prompts: { s: [] }, resources: {} },
      { use: "list", merged: true, policy: "r" },
    ]);
  });
});

it("names that are not offered reach no wristband, whatever policy shows", async () => {
  const names = {
    tools: { s: ["delete_repo", "read"], t: ["delete_repo"] },
    prompts: { s: ["other", "summary"] },
    resources: { s: ["docs://a", "docs://secret/a", "docs://{id}"] },
  };
  const signed: unknown[] = [];
  await run(
    { path: "/mcp", message: message("tools/list", {}) },
    {
      visible: () => pass({ revision: "r", names }),
      signWristband: (_, visible) => (signed.push(visible), pass({ jws: "j", jti: "j", leftOut: [] })),
    },
  );
  expect(signed).toEqual([
    {
      tools: { s: ["read"], t: ["delete_repo"] },
      prompts: { s: ["summary"] },
      resources: { s: ["docs://a", "docs://{id}"] },
    },
  ]);
});

describe("CL-07: policy, audit and curation have a renamed tool's own name", () => {
  const renamed = { s: { delete_repo: "tidy", read: "look" } };
  const at = async (path: string, name: string) => {
    const curation = createCuration({
      servers: { s: { ...UNCURATED, ...CURATED }, t: UNCURATED },
      virtualServers: VIRTUAL,
    });
    const resolver = createResolver({ s: "s_", t: "t_" }, renamed);
    const facts = newCheckFacts("r", Date.now());
    const asked: unknown[] = [];
    const signed: unknown[] = [];
    const ports = allowingPorts({
      decide: ({ mcp }) => (asked.push(mcp.name), pass({ allow: true, revision: "r", note: null })),
      signWristband: (_, { tools }) => (signed.push(tools), pass({ jws: "j", jti: "j", leftOut: [] })),
    });
    const check = createCheck(checkSettings({ curation, resolver, routing: { s: "broker", t: "broker" } }), ports);
    const outcome = await check(requestOf({ path, message: call(name) }), facts, new AbortController().signal);
    return { outcome, asked, signed, audited: facts.name };
  };
  it.each([
    ["/servers/s/mcp", "look"],
    ["/mcp", "s_look"],
    ["/servers/v/mcp", "s_look"],
  ])("%s %s", async (path, name) => {
    const found = await at(path, name);
    expect(found).toMatchObject({ outcome: { ok: true }, asked: ["read"], signed: [{ s: ["read"] }], audited: "read" });
  });
  it.each([
    ["/servers/s/mcp", "read"],
    ["/mcp", "s_read"],
    ["/servers/s/mcp", "tidy"], // curation denies what it stands for
    ["/mcp", "s_tidy"],
    ["/servers/v/mcp", "s_tidy"],
    ["/servers/s/mcp", "delete_repo"],
  ])("%s %s is refused, and policy is not asked", async (path, name) => {
    const { outcome, asked } = await at(path, name);
    expect(outcome).toMatchObject({ ok: false, reason: "policy_denied" });
    expect(asked).toEqual([]);
  });
});
