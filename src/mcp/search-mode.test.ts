import { describe, expect, it } from "vitest";
import { readOperation } from "./read-operation.ts";
import { readSearchMode } from "./search-mode.ts";

function meant(method: string, params: object) {
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
  const read = readOperation(Buffer.from(body), { get: () => undefined, repeated: () => false });
  if (!read.ok) throw new Error(read.fault.detail);
  return readSearchMode(read.operation);
}
const call = (name: string, args?: unknown) =>
  meant("tools/call", { name, ...(args !== undefined && { arguments: args }) });

describe("LA-03, CL-10: a call of call_tool is the call that it names", () => {
  it.each([
    [{ name: "git_search", arguments: { q: "x" } }, "git_search", { q: "x" }],
    [{ name: "git_search" }, "git_search", {}],
    // It is judged as that name, which is nobody's.
    [{ name: "call_tool", arguments: { name: "git_search" } }, "call_tool", { name: "git_search" }],
    [{ name: "search_tools", arguments: {} }, "search_tools", {}],
  ])("%j", (args, name, inner) => {
    const expected = { method: "tools/call", class: "named", kind: "tool", name, arguments: inner, wrapped: true };
    expect(call("call_tool", args)).toMatchObject({ ok: true, operation: expected });
  });

  it.each([
    undefined,
    {},
    { name: "" },
    { name: 1 },
    { name: null },
    { name: "x".repeat(129) },
    { name: "a\u0000b" },
    { name: "a", arguments: [] },
    { name: "a", arguments: "{}" },
    { name: "a", args: {} },
    { name: "a", _meta: {} },
  ])("%j is no such call", (args) =>
    expect(call("call_tool", args)).toMatchObject({ ok: false, fault: { reason: "params_invalid" } }),
  );
});

describe("a call of search_tools is a list of tools", () => {
  it.each([
    [{ query: "git" }, { query: "git", limit: 10 }],
    [
      { query: "", limit: 50 },
      { query: "", limit: 50 },
    ],
  ])("%j", (args, search) => {
    const operation = { method: "tools/list", class: "list", kind: "tool", name: null, arguments: {} };
    expect(call("search_tools", args)).toMatchObject({ ok: true, operation: { ...operation, search } });
  });
  it.each([
    undefined,
    {},
    { query: 1 },
    { query: "x".repeat(201) },
    { query: "x", limit: 0 },
    { query: "x", limit: 51 },
    { query: "x", limit: 1.5 },
    { query: "x", limit: "5" },
    { query: "x", name: "git_search" },
  ])("%j is no search", (args) =>
    expect(call("search_tools", args)).toMatchObject({ ok: false, fault: { reason: "params_invalid" } }),
  );
});

it.each([
  ["tools/call", { name: "git_search", arguments: { name: "x" } }],
  ["tools/list", {}],
  ["prompts/get", { name: "call_tool", arguments: { name: "x" } }],
])("%s %j stays as it is", (method, params) => {
  const read = meant(method, params);
  expect(read).toMatchObject({ ok: true, operation: { method } });
  expect(read.ok && read.operation.wrapped).toBeUndefined();
});
