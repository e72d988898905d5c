import { describe, expect, it } from "vitest";
import { createCuration, UNCURATED, type ServerCuration } from "./curation.ts";

const curated = (changes: Partial<ServerCuration>) =>
  createCuration({ servers: { s: { ...UNCURATED, ...changes } }, virtualServers: {} });
const tools = (changes: Partial<ServerCuration>, ...names: string[]) =>
  names.filter((name) => curated(changes).offers("tool", { server: "s", name }, null));

describe("TB-03, MO-04: what a server offers", () => {
  it("everything, unless it is said", () => expect(tools({}, "a", "b")).toEqual(["a", "b"]));
  it("deny wins over allow, exact or not", () => {
    expect(tools({ tools: { allow: ["*"], deny: ["delete_*"] } }, "read", "delete_repo")).toEqual(["read"]);
    expect(tools({ tools: { allow: ["delete_repo"], deny: ["delete_*"] } }, "delete_repo")).toEqual([]);
  });
  it.each(["Delete_Repo", "DELETE_REPO"])("deny wins over another case: %s", (name) =>
    expect(tools({ tools: { allow: ["*"], deny: ["delete_*"] } }, name, "read")).toEqual(["read"]),
  );
  it("deny in capitals is the same", () =>
    expect(tools({ tools: { allow: ["*"], deny: ["Delete_Repo"] } }, "delete_repo", "Delete_Repo", "x")).toEqual([
      "x",
    ]));
  it("allow takes names as they are written", () =>
    expect(tools({ tools: { allow: ["Read"], deny: [] } }, "read", "Read")).toEqual(["Read"]));
  it("an empty allow offers nothing", () => expect(tools({ tools: { allow: [], deny: [] } }, "a")).toEqual([]));
  it("each kind by its own patterns", () => {
    const { offers } = curated({ prompts: { allow: ["p"], deny: [] }, resources: { allow: ["docs://*"], deny: [] } });
    const names = (kind: "tool" | "prompt" | "resource") =>
      ["p", "docs://a", "x"].filter((name) => offers(kind, { server: "s", name }, null));
    expect([names("tool"), names("prompt"), names("resource")]).toEqual([["p", "docs://a", "x"], ["p"], ["docs://a"]]);
  });
  it.each(["t", "constructor", "__proto__", ""])("an unknown server %j offers nothing", (server) =>
    expect(curated({}).offers("tool", { server, name: "a" }, null)).toBe(false),
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
    expect(curated({ newTools: "deny" }).offers("prompt", { server: "s", name: "p" }, null)).toBe(true));
});

it("narrows names and keeps their order", () => {
  const names = { tools: { s: ["b", "a", "x"], gone: ["a"] }, prompts: { s: ["x"] }, resources: {} };
  expect(curated({ tools: { allow: ["a", "b"], deny: [] } }).narrow(names, null)).toEqual({
    tools: { s: ["b", "a"], gone: [] },
    prompts: { s: ["x"] },
    resources: {},
  });
});

describe("CF-25: a virtual server narrows what its servers offer, and nothing else", () => {
  const { offers, narrow, shows } = createCuration({
    servers: {
      git: { ...UNCURATED, tools: { allow: ["*"], deny: ["search_users"] } },
      tickets: UNCURATED,
      crm: UNCURATED,
    },
    virtualServers: { support: { servers: { git: ["search_*", "repo://*"], tickets: ["*"] } }, empty: { servers: {} } },
  });
  it.each([
    ["tool", "git", "search_code", true],
    ["tool", "git", "search_users", false],
    ["tool", "git", "delete_repo", false],
    ["resource", "git", "repo://a", true],
    ["resource", "git", "file:///a", false],
    ["prompt", "tickets", "anything", true],
    ["tool", "crm", "search_code", false],
    ["tool", "constructor", "search_code", false],
  ] as const)("%s %s %s: %s", (kind, server, name, expected) => {
    expect(offers(kind, { server, name }, "support")).toBe(expected);
    expect(narrow({ tools: {}, prompts: {}, resources: {}, [`${kind}s`]: { [server]: [name] } }, "support")).toEqual({
      ...{ tools: {}, prompts: {}, resources: {} },
      [`${kind}s`]: { [server]: expected ? [name] : [] },
    });
  });
  it.each(["empty", "unknown", "constructor", "git"])("%s has nothing", (name) =>
    expect(offers("tool", { server: "tickets", name: "x" }, name)).toBe(false),
  );
  it("shows its servers, and /mcp all", () => {
    const at = (name: string | null) => ["git", "tickets", "crm", "gone", "constructor"].filter((s) => shows(s, name));
    expect([at("support"), at("unknown"), at(null)]).toEqual([["git", "tickets"], [], ["git", "tickets", "crm"]]);
  });
});
