import { describe, expect, it } from "vitest";
import { createCuration, UNCURATED, type ServerCuration } from "./curation.ts";

const curated = (changes: Partial<ServerCuration>) => createCuration({ s: { ...UNCURATED, ...changes } });
const tools = (changes: Partial<ServerCuration>, ...names: string[]) =>
  names.filter((name) => curated(changes).offers("tool", { server: "s", name }));

describe("TB-03, MO-04: what a server offers", () => {
  it("everything, unless it is said", () => expect(tools({}, "a", "b")).toEqual(["a", "b"]));
  it("deny wins over allow, exact or not", () => {
    expect(tools({ tools: { allow: ["*"], deny: ["delete_*"] } }, "read", "delete_repo")).toEqual(["read"]);
    expect(tools({ tools: { allow: ["delete_repo"], deny: ["delete_*"] } }, "delete_repo")).toEqual([]);
  });
  it("an empty allow offers nothing", () => expect(tools({ tools: { allow: [], deny: [] } }, "a")).toEqual([]));
  it("each kind by its own patterns", () => {
    const { offers } = curated({ prompts: { allow: ["p"], deny: [] }, resources: { allow: ["docs://*"], deny: [] } });
    const names = (kind: "tool" | "prompt" | "resource") =>
      ["p", "docs://a", "x"].filter((name) => offers(kind, { server: "s", name }));
    expect([names("tool"), names("prompt"), names("resource")]).toEqual([["p", "docs://a", "x"], ["p"], ["docs://a"]]);
  });
  it.each(["t", "constructor", "__proto__", ""])("an unknown server %j offers nothing", (server) =>
    expect(curated({}).offers("tool", { server, name: "a" })).toBe(false),
  );
});

describe("CL-06, P7.3-3: newTools: deny", () => {
  it("offers what tools.allow names exactly, and nothing by a wildcard", () => {
    const allow = { allow: ["search", "read_*", "*"], deny: [] };
    expect(tools({ tools: allow, newTools: "deny" }, "search", "read_file", "later")).toEqual(["search"]);
  });
  it("deny still wins", () =>
    expect(tools({ tools: { allow: ["search"], deny: ["*"] }, newTools: "deny" }, "search")).toEqual([]));
  it("is for tools only", () =>
    expect(curated({ newTools: "deny" }).offers("prompt", { server: "s", name: "p" })).toBe(true));
});

it("narrows names and keeps their order", () => {
  const names = { tools: { s: ["b", "a", "x"], gone: ["a"] }, prompts: { s: ["x"] }, resources: {} };
  expect(curated({ tools: { allow: ["a", "b"], deny: [] } }).narrow(names)).toEqual({
    tools: { s: ["b", "a"], gone: [] },
    prompts: { s: ["x"] },
    resources: {},
  });
});
