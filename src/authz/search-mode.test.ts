// Search mode in the Check: each use of its two tools is judged as what it names (LA-03, CL-10).
import { describe, expect, it } from "vitest";
import { allowingPorts, checkSettings, requestOf, VIRTUAL, type RequestParts } from "../../test/fakes/authz.ts";
import { createCuration, UNCURATED } from "../mcp/curation.ts";
import { createCheck } from "./check.ts";
import { newCheckFacts } from "./facts.ts";
import { pass } from "./step.ts";

const message = (name: string, args: unknown) => ({
  ...{ jsonrpc: "2.0", id: 1, method: "tools/call" },
  params: { name, ...(args !== undefined && { arguments: args }) },
});
const s = { ...UNCURATED, tools: { allow: ["*"], deny: ["delete_*"] } };

async function run(parts: RequestParts) {
  const curation = createCuration({ servers: { s, t: UNCURATED }, virtualServers: VIRTUAL });
  const facts = newCheckFacts("r", Date.now());
  const asked: unknown[] = [];
  const signed: unknown[] = [];
  const ports = allowingPorts({
    decide: ({ mcp }) => {
      asked.push([mcp.method, mcp.server, mcp.name, mcp.arguments]);
      return pass({ allow: mcp.name !== "denied", revision: "r", note: null, requiredScopes: null });
    },
    visible: ({ mcp }) => {
      asked.push([mcp.method, mcp.server, mcp.name, mcp.arguments]);
      return pass({ revision: "r", names: { tools: { s: ["delete_x", "read"] }, prompts: {}, resources: {} } });
    },
    signWristband: (_, { tools }, { use }) => (signed.push([use, tools]), pass({ jws: "j", jti: "j", leftOut: [] })),
  });
  const check = createCheck(checkSettings({ curation }, true), ports);
  const outcome = await check(requestOf({ path: "/mcp", ...parts }), facts, new AbortController().signal);
  return { ended: outcome.ok ? "ok" : outcome.reason, asked, signed, audited: [facts.server, facts.name] };
}

it("call_tool is judged and audited as the call that it names; the wristband names that", async () => {
  const found = await run({ message: message("call_tool", { name: "s_read", arguments: { path: "/a" } }) });
  expect(found).toEqual({
    ended: "ok",
    asked: [["tools/call", "s", "read", { path: "/a" }]],
    signed: [["call", { s: ["read"] }]],
    audited: ["s", "read"],
  });
});

it("the header that mirrors the body names call_tool, as the body does", async () => {
  const parts = { message: message("call_tool", { name: "s_read" }) };
  expect((await run({ ...parts, headers: [["mcp-name", "call_tool"]] })).ended).toBe("ok");
  expect((await run({ ...parts, headers: [["mcp-name", "s_read"]] })).ended).toBe("header_mismatch");
});

it("search_tools is a list: policy is asked what she may see, and the wristband has that alone", async () => {
  expect(await run({ message: message("search_tools", { query: "x" }) })).toMatchObject({
    ended: "ok",
    asked: [["tools/list", null, null, {}]],
    signed: [["list", { s: ["read"] }]],
  });
});

describe("is refused", () => {
  it.each<[string, RequestParts, string, number]>([
    ["what policy denies", { message: message("call_tool", { name: "s_denied" }) }, "policy_denied", 1],
    ["what curation hides", { message: message("call_tool", { name: "s_delete_x" }) }, "policy_denied", 0],
    ["call_tool in itself", { message: message("call_tool", { name: "call_tool" }) }, "policy_denied", 0],
    ["search_tools in it", { message: message("call_tool", { name: "search_tools" }) }, "policy_denied", 0],
    [
      "a nested name",
      { message: message("call_tool", { name: "call_tool", arguments: { name: "s_read" } }) },
      "policy_denied",
      0,
    ],
    ["an unknown one", { message: message("call_tool", { name: "nobody_x" }) }, "policy_denied", 0],
    ["no ordinary name", { message: message("call_tool", { name: "s_re\u0430d" }) }, "policy_denied", 0],
    ["no name", { message: message("call_tool", {}) }, "params_invalid", 0],
    ["no query", { message: message("search_tools", {}) }, "params_invalid", 0],
    [
      "what is outside of a virtual server",
      { path: "/servers/v/mcp", message: message("call_tool", { name: "s_search" }) },
      "policy_denied",
      0,
    ],
    [
      "a server's endpoint has no such tools",
      { path: "/servers/t/mcp", message: message("call_tool", { name: "s_read" }) },
      "ok",
      1,
    ],
  ])("%s", async (_, parts, ended, asked) => {
    const found = await run(parts);
    expect([found.ended, found.asked.length]).toEqual([ended, asked]);
  });
});

it("on a server's endpoint policy sees call_tool itself, as any name", async () => {
  const found = await run({ path: "/servers/t/mcp", message: message("call_tool", { name: "s_read" }) });
  expect(found.asked).toEqual([["tools/call", "t", "call_tool", { name: "s_read" }]]);
});
