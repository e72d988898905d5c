import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { JsonValue } from "../../json/types.ts";
import { readJson } from "../../json/strict-reader.ts";
import { createEntryReader, type ListBudget } from "./definitions.ts";
import { emptyStats } from "./remarks.ts";
import { createResolver } from "../../mcp/resolver.ts";
import type { ListKind } from "../../mcp/lists.ts";

/** As it comes from a server: through the reader that keeps everything. */
function arrived(list: unknown): readonly JsonValue[] {
  const text = typeof list === "string" ? list : JSON.stringify(list);
  const read = readJson(Buffer.from(text), { maxDepth: 256, maxMembers: 200_000, verbatim: true });
  if (!read.ok) throw new Error(read.detail);
  return read.value as readonly JsonValue[];
}

const ENDLESS: ListBudget = { names: Infinity, definitions: Infinity };

function use(kind: ListKind, list: unknown, { room = 1000, budget = ENDLESS } = {}) {
  const stats = emptyStats();
  const names = createResolver({ s: "s_" }).namesOf("s");
  const reader = createEntryReader(kind, { room, names, isOffered: () => true, stats, budget: { ...budget } });
  for (const item of arrived(list)) reader.take(Buffer.from(JSON.stringify(item)));
  const entries = reader.entries();
  return { entries, stats, names: entries.map(({ name }) => name) };
}

const schema = { type: "object" };
const tool = (name: unknown, more: object = {}) => ({ name, inputSchema: schema, ...more });
const only = (reason: string) => ({ dropped: { [reason]: { count: 1 } }, changed: {} });

describe("a definition is passed on as it came", () => {
  const whole =
    '{"name":"t","title":"T","description":"Does\\n\\tit","inputSchema":{"type":"object","properties":{"id":{"type":"integer","maximum":9223372036854775807},"ID":{"type":"number","minimum":1.0}},"$ref":"http://169.254.169.254/","required":["id"],"additionalProperties":false},"outputSchema":{"type":"object"},"annotations":{"readOnlyHint":true,"x":[null]},"icons":[{"src":"https://x/i.png"}],"execution":{"taskSupport":"optional"},"_meta":{"a/b":"\u202eas it is\u202c"},"future":{"deep":[1,{"a":-0}]}}';

  it("B48: no member is lost, no number changed, no $ref followed", () => {
    const { entries, stats } = use("tools", `[${whole}]`);
    const merged = whole.replace('"name":"t"', '"name":"s_t"');
    expect(entries).toEqual([{ name: "t", json: whole, merged }]);
    expect(stats).toEqual(emptyStats());
  });

  it.each<[ListKind, object, object]>([
    ["prompts", { name: "p", arguments: [{ name: "a", required: true, x: 1 }], _meta: { k: 1 } }, { name: "s_p" }],
    [
      "resources",
      { uri: "docs://a?b=ü", name: "a", mimeType: "text/plain", size: 12, annotations: { priority: 1 } },
      { uri: "s+docs://a?b=ü" },
    ],
    [
      "templates",
      { uriTemplate: "docs://{id}", name: "by id", annotations: { audience: ["user"] } },
      { uriTemplate: "s+docs://{id}" },
    ],
    [
      "resources",
      { uri: "ui://a/b", name: "a", _meta: { ui: { csp: { connectDomains: ["x"] } } } },
      { uri: "ui://s/a/b" },
    ],
  ])("%s too, and on the merged endpoint but for the name", (kind, entry, renamed) => {
    const { entries } = use(kind, [entry]);
    const name = Object.values(entry)[0] as string;
    expect(entries).toEqual([{ name, json: JSON.stringify(entry), merged: JSON.stringify({ ...entry, ...renamed }) }]);
  });
});

describe("a tool's reference to its page", () => {
  const merged = (meta: object) => {
    const { entries, stats } = use("tools", [tool("t", { _meta: meta })]);
    const [entry] = entries;
    expect(entry?.json, "on its server's endpoint it stays").toBe(JSON.stringify(tool("t", { _meta: meta })));
    expect(stats).toEqual(emptyStats());
    return JSON.stringify((JSON.parse(entry?.merged ?? "{}") as Record<string, unknown>)["_meta"]);
  };

  it.each<[string, object, object]>([
    ["of MCP Apps", { ui: { resourceUri: "ui://a/b.html" } }, { ui: { resourceUri: "ui://s/a/b.html" } }],
    [
      "in both spellings",
      { ui: { resourceUri: "ui://a" }, "ui/resourceUri": "ui://a" },
      { ui: { resourceUri: "ui://s/a" }, "ui/resourceUri": "ui://s/a" },
    ],
    [
      "of another client",
      { "openai/outputTemplate": "ui://widget/x.html", "openai/other": "x" },
      { "openai/outputTemplate": "ui://s/widget/x.html", "openai/other": "x" },
    ],
    ["under a name that nobody knows", { a: { page: "ui://t/b" } }, { a: { page: "ui://s/t/b" } }],
    ["in capitals", { ui: { resourceUri: "UI://t/a" } }, { ui: { resourceUri: "ui://s/t/a" } }],
    ["that hosts trim", { ui: { resourceUri: " ui://t/a" } }, { ui: { resourceUri: "s+ ui://t/a" } }],
    ["that hosts trim, under another name", { x: "\tui://t/a" }, { x: "s+\tui://t/a" }],
    ["of another scheme", { ui: { resourceUri: "t+docs://a" } }, { ui: { resourceUri: "s+t+docs://a" } }],
  ])("%s names on the merged endpoint what can be read there, and never another server's", (_, meta, mapped) => {
    expect(merged(meta)).toBe(JSON.stringify(mapped));
  });

  it("what else stands beside it stays: that a tool is for the app alone counts on", () => {
    const meta = {
      x: { a: 1 },
      ui: { visibility: ["app"], csp: { connectDomains: ["https://h"] } },
      "a/b": null,
      n: 9,
    };
    expect(merged(meta)).toBe(JSON.stringify(meta));
    expect(merged({ note: "see ui://a" })).toBe('{"note":"see ui://a"}');
  });
});

it("the order is that of the names, whatever the server's", () => {
  expect(
    use(
      "tools",
      ["b", "a", "B", "a.b", "_"].map((name) => tool(name)),
    ).names,
  ).toEqual(["B", "_", "a", "a.b", "b"]);
});

describe("names", () => {
  const odd = ["dеlete", "del\u200bete", "ｄelete", "\u202eeteled", "del\u{e0041}ete", "é", "e\u0301", "a b", "a\tb"];
  it.each([...odd, "", "x".repeat(129), "a;b", "a\u0000"])("B15, B16: %j is nobody's, and counted", (name) => {
    expect(use("tools", [tool(name), tool("fine")])).toMatchObject({ names: ["fine"], stats: only("name") });
    expect(use("prompts", [{ name }, { name: "fine" }])).toMatchObject({ names: ["fine"], stats: only("name") });
  });

  it.each([
    "",
    "x".repeat(2049),
    "docs://a/../b",
    "docs://a/%2e%2e/b",
    "docs://\u202e",
    "docs://\u0007",
    "docs://\u200b",
    "file:///srv/public/.. ",
    "DOCS://a",
    "greeting",
  ])("the URI %j is none", (uri) => {
    expect(use("resources", [{ uri, name: "n" }]).stats).toMatchObject(only("name"));
    expect(use("templates", [{ uriTemplate: uri, name: "n" }]).stats).toMatchObject(only("name"));
  });

  it("B17: upper and lower case are two names", () =>
    expect(use("tools", [tool("a"), tool("A")]).names).toEqual(["A", "a"]));

  it("B36: the first of two equal names stands, the other is counted", () => {
    const { entries, stats } = use("tools", [tool("a", { title: "first" }), tool("a", { title: "second" })]);
    expect([entries.length, entries[0]?.json.includes("first"), stats]).toMatchObject([1, true, only("duplicate")]);
  });

  it("a name that is too long with its prefix is shown on its server's endpoint alone", () => {
    const { entries, stats } = use("tools", [tool("x".repeat(127))]);
    expect([entries[0]?.merged, entries[0]?.name.length, stats]).toMatchObject([null, 127, only("prefixed_name")]);
    const uri = `docs://${"x".repeat(2040)}`;
    for (const [kind, entry] of [
      ["prompts", { name: "x".repeat(127) }],
      ["resources", { uri, name: "n" }],
      ["templates", { uriTemplate: uri, name: "n" }],
      ["resources", { uri: "ui:///a", name: "n" }],
    ] as const)
      expect(use(kind, [entry])).toMatchObject({ entries: [{ merged: null }], stats: only("prefixed_name") });
  });
});

describe("B45: what a client would choke on is left out alone", () => {
  const shapes: [ListKind, unknown][] = [
    ...[null, 1, "t", [], { name: 1, inputSchema: schema }, { inputSchema: schema }, { name: "t" }].map(
      (entry): [ListKind, unknown] => ["tools", entry],
    ),
    ["tools", { name: "t", inputSchema: { type: "array" } }],
    ["tools", { name: "t", inputSchema: true }],
    ["tools", tool("t", { Name: "delete_repo" })],
    ["tools", tool("t", { "name\u0000": "delete_repo" })],
    ["tools", tool("t", { "\uff4eame": "delete_repo" })],
    ["prompts", { name: "p", arguments: { a: {} } }],
    ["prompts", { name: "p", arguments: [{}] }],
    ["resources", { uri: "docs://a" }],
    ["tools", { name: "t", inputSchema: null }],
    ["tools", { name: "t", inputSchema: { type: ["object"] } }],
    ["tools", { name: "t", inputSchema: { ...schema, properties: ["a"] } }],
    ["tools", { name: "t", inputSchema: { ...schema, properties: "a" } }],
    ["resources", { uri: "docs://a", name: null }],
    ["templates", { uriTemplate: "docs://{a}" }],
    ["templates", { uri: "docs://a", name: "a" }],
  ];
  it.each(shapes)("%s %j", (kind, entry) =>
    expect(use(kind, [entry])).toMatchObject({ names: [], stats: only("malformed") }),
  );
});

describe("B51, B34: limits", () => {
  const nested = (depth: number): object => (depth <= 1 ? {} : { a: nested(depth - 1) });

  it("64 KiB for one definition, in bytes", () => {
    const room = 64 * 1024 - JSON.stringify(tool("a", { x: "" })).length;
    expect(use("tools", [tool("a", { x: "x".repeat(room) })]).names).toEqual(["a"]);
    expect(use("tools", [tool("a", { x: "x".repeat(room + 1) })]).stats).toMatchObject(only("too_large"));
    expect(use("tools", [tool("a", { x: "ü".repeat(room / 2 + 1) })]).stats).toMatchObject(only("too_large"));
  });

  it("32 levels", () => {
    expect(use("tools", [tool("a", { x: nested(31) })]).names).toEqual(["a"]);
    expect(use("tools", [tool("a", { x: nested(32) })]).stats).toMatchObject(only("too_deep"));
    expect(use("tools", [tool("a", { x: nested(250) })]).stats).toMatchObject(only("too_deep"));
  });

  it("as many entries as there is room for; the rest is counted", () => {
    const { names, stats } = use(
      "tools",
      Array.from({ length: 12 }, (_, i) => tool(`t${i + 10}`)),
      { room: 10 },
    );
    expect([names.length, stats.dropped]).toEqual([10, { too_many: { count: 2, names: ["t20", "t21"] } }]);
  });
});

describe("B49: x-mcp-header", () => {
  const at = (annotation: unknown, type: unknown = "string") => ({ type, "x-mcp-header": annotation });
  const properties = (...list: unknown[]) => ({
    ...schema,
    properties: Object.fromEntries(list.map((property, i) => [`p${i}`, property])),
  });
  const nested = (inner: object) => ({ ...schema, properties: { outer: { type: "object", ...inner } } });

  it.each([
    ["on a string", properties(at("Region"))],
    ["on others", properties(at("A", "integer"), at("B", "boolean"))],
    ["deep in properties", nested(properties(at("Region")))],
    ["as a property's own name", properties({ type: "object", properties: { "x-mcp-header": { type: "string" } } })],
    ["in data", properties({ type: "string", default: { "x-mcp-header": 1 }, enum: [{ "x-mcp-header": "a b" }] })],
  ])("%s it is valid", (_, inputSchema) => expect(use("tools", [{ name: "t", inputSchema }]).names).toEqual(["t"]));

  it.each<[boolean, string, object]>([
    [true, "an annotated argument", properties(at("Region"))],
    [true, "one of many, below others", properties({ type: "string" }, nested(properties(at("A", "boolean"))))],
    [false, "no annotation", properties({ type: "string" })],
    [false, "an argument of that name", properties({ type: "object", properties: { "x-mcp-header": {} } })],
    [false, "data of that name", properties({ type: "string", default: { "x-mcp-header": "A" } })],
  ])("N-03: %s: a tool with %s says an argument in a header", (expected, _, inputSchema) =>
    expect(use("tools", [{ name: "t", inputSchema }]).entries[0]?.mirrors === true).toBe(expected),
  );

  it.each([
    ["line breaks", properties(at("Authorization\r\nX: y"))],
    ["a space", properties(at("a b"))],
    ["a colon", properties(at("a:"))],
    ["nothing", properties(at(""))],
    ["no text", properties(at(1))],
    ["null", properties(at(null))],
    ["an object", properties(at({}))],
    ["a letter beyond ASCII", properties(at("Régión"))],
    ["129 letters", properties(at("x".repeat(129)))],
    ["a number", properties(at("A", "number"))],
    ["an array", properties(at("A", "array"))],
    ["an object's", properties(at("A", "object"))],
    ["two types", properties(at("A", ["string", "null"]))],
    ["no type", properties({ "x-mcp-header": "A" })],
    ["the same twice, in any case", properties(at("Region"), at("region"))],
    ["the same twice, the other way round", properties(at("region"), at("Region"))],
    ["the root", { ...schema, "x-mcp-header": "A" }],
    ["items", properties({ type: "array", items: at("A") })],
    ["anyOf", properties({ anyOf: [at("A")] })],
    ["$defs", { ...schema, $defs: { a: at("A") } }],
    ["properties below items", properties({ type: "array", items: properties(at("A")) })],
    ["properties below $defs", { ...schema, $defs: { a: properties(at("A")) } }],
    ["a pattern", { ...schema, patternProperties: { "^x": at("A") } }],
    ["additionalProperties", { ...schema, additionalProperties: at("A") }],
    ["if", { ...schema, if: properties(at("A")) }],
    ["a keyword of tomorrow", { ...schema, tomorrow: { inner: [at("A")] } }],
  ])("with %s the tool is listed nowhere", (_, inputSchema) =>
    expect(use("tools", [{ name: "t", inputSchema }]).stats).toMatchObject(only("header_annotation")),
  );
});

describe("B34: text for people holds what people see", () => {
  const hidden = [
    "\u001b[8m",
    "\u001b[38;5;0m",
    "\u009b8m",
    "\u001b]8;;https://evil\u0007",
    "\u001b]0;t\u001b\\",
    "\u200b",
    "\u200d",
    "\ufeff",
    "\u202e",
    "\u2066",
    "\u00ad",
    "\u2028",
    "\ufff9",
    "\ufe0f",
    "\u{e0100}",
    "\u0000",
    "\u0008",
    "\u0085",
    "\r",
    [..."ignore"].map((letter) => String.fromCodePoint(0xe0000 + (letter.codePointAt(0) ?? 0))).join(""),
  ];
  const text = `Re${hidden.join("a")}d`;
  const seen = `Re${"a".repeat(hidden.length - 1)}d`;
  const json = (kind: ListKind, entry: object) => JSON.parse(use(kind, [entry]).entries[0]?.json ?? "null") as object;
  const both = { title: text, description: text };
  const clean = { title: seen, description: seen };

  it("a tool's, its annotations' and its schemas', at any depth and under any name", () => {
    const names = ["default", "enum", "properties", "description", "$defs"];
    const tree = (words: object) => ({
      ...schema,
      ...words,
      properties: Object.fromEntries(names.map((name) => [name, { type: "string", ...words }])),
      items: [{ ...words, anyOf: [words] }],
      $defs: { title: words },
    });
    expect(
      json("tools", { name: "t", ...both, inputSchema: tree(both), outputSchema: tree(both), annotations: both }),
    ).toEqual({ name: "t", ...clean, inputSchema: tree(clean), outputSchema: tree(clean), annotations: clean });
  });

  it("a prompt's and its arguments'; a resource's and a template's, with the name that people read", () => {
    expect(json("prompts", { name: "p", ...both, arguments: [{ name: "a", ...both }] })).toEqual({
      name: "p",
      ...clean,
      arguments: [{ name: "a", ...clean }],
    });
    expect(json("resources", { uri: "ab:c", name: text, ...both })).toEqual({ uri: "ab:c", name: seen, ...clean });
    expect(json("templates", { uriTemplate: "ab:{c}", name: text })).toEqual({ uriTemplate: "ab:{c}", name: seen });
  });

  it("what programs read stays as it is", () => {
    const data = { const: text, default: { title: text }, enum: [text], examples: [{ description: text }] };
    const entry = tool("t", { _meta: { title: text, x: { description: text } } });
    const whole = { ...entry, inputSchema: { ...schema, properties: { p: { ...data, pattern: text } } } };
    expect(json("tools", whole)).toEqual(whole);
  });

  it("is cut at 16,384 and 512 characters, never within one, and says so", () => {
    const MAX = 16 * 1024;
    const { entries, stats } = use("tools", [
      tool("t", { title: "x".repeat(513), description: `${"x".repeat(MAX - 2)}😀😀` }),
    ]);
    const { title, description } = JSON.parse(entries[0]?.json ?? "") as { title: string; description: string };
    expect([title, description]).toEqual([`${"x".repeat(511)}…`, `${"x".repeat(MAX - 2)}…`]);
    expect(stats.changed).toEqual({ text_cut: { count: 1, names: ["t"] } });
    const whole = `${"x".repeat(MAX - 2)}😀`;
    expect(json("tools", tool("t", { description: whole }))).toMatchObject({ description: whole });
  });

  it("no text leaves anything behind that people do not see, whatever the order", () => {
    const letters = fc.constantFrom(
      "a",
      "[",
      "]",
      "8",
      "m",
      ";",
      "\\",
      "\n",
      "\t",
      "é",
      "😀",
      ...hidden,
      "\u001b",
      "\u009d",
    );
    fc.assert(
      fc.property(fc.string({ unit: letters, maxLength: 40 }), (description) => {
        const { description: shown } = json("tools", tool("t", { description })) as { description: string };
        expect(shown).not.toMatch(/[^\P{Cc}\t\n]|\p{Default_Ignorable_Code_Point}|[\u2028\u2029\ufff9-\ufffb]/u);
      }),
      { numRuns: 500 },
    );
  });

  it("B54: takes time in proportion to its length", () => {
    const started = performance.now();
    for (const unit of ["\u001b]", "\u001b[", "\u001b[1", "\u009d", "\u001b[ "])
      json("tools", tool("t", { description: unit.repeat(15_000 / unit.length) }));
    expect(performance.now() - started).toBeLessThan(500);
  });
});
