import { beforeEach, expect, test } from "vitest";
import { pass, refuse } from "../authz/step.ts";
import { createListResults, type ListKey, type ListResults, type ListState } from "./list-results.ts";

const key: ListKey = {
  method: "tools/list",
  version: "2026-07-28",
  resource: "https://gw.example.com/mcp",
  wristband: { jti: "j1", exp: 1000 },
};
const state: ListState = { snapshot: {}, curation: {} };
let now: number;
let made: number;
let results: ListResults;
beforeEach(() => {
  now = 0;
  made = 0;
  results = createListResults(() => now);
});
const make = () => pass(`{"tools":[${(made += 1)}]}`);
const of = (more: Partial<ListKey> = {}, at = state) => results.of({ ...key, ...more }, at, make);

test("the same wristband over the same catalogue gets the same result", () => {
  const first = of();
  expect(of()).toEqual(first);
  expect(first).toMatchObject({
    ok: true,
    value: { text: '{"tools":[1]}', etag: expect.stringMatching(/^"[\w-]{43}"$/) as string },
  });
});

test.each<[string, Partial<ListKey>, Partial<ListState>]>([
  ["another wristband", { wristband: { jti: "j2", exp: 1000 } }, {}],
  ["another list", { method: "prompts/list" }, {}],
  ["another revision of the protocol", { version: "2025-11-25" }, {}],
  ["another endpoint", { resource: "https://gw.example.com/servers/a/mcp" }, {}],
  ["another catalogue", {}, { snapshot: {} }],
  ["another curation", {}, { curation: {} }],
])("%s has a result of its own", (_, more, changed) => {
  of();
  expect(of(more, { ...state, ...changed })).toMatchObject({ value: { text: '{"tools":[2]}' } });
});

test("at the end of a wristband's life each result is made, for its TTL", () => {
  of();
  now = 995_000;
  expect([of(), of()]).toMatchObject([{ value: { text: '{"tools":[2]}' } }, { value: { text: '{"tools":[3]}' } }]);
});

test("a refusal is not kept", () => {
  expect(results.of(key, state, () => refuse("internal"))).toMatchObject({ ok: false });
  expect(of()).toMatchObject({ ok: true });
});
