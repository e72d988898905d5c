import { afterAll, describe, expect, it } from "vitest";
import { createOutputSchemas } from "./output-schemas.ts";

const schemas = createOutputSchemas();
afterAll(() => schemas.close());

const object = { type: "object" };
const inProperty = (schema: unknown) => ({ ...object, properties: { a: schema } });
const compile = (list: readonly unknown[]) => schemas.compile(list.map((schema) => JSON.stringify(schema)));

/** Refers so often to so much that a validator that inlines it takes gigabytes. */
const BOMB = {
  ...object,
  $defs: { x: { properties: Object.fromEntries(Array.from({ length: 400 }, (_, i) => [`p${i}`, { minLength: 1 }])) } },
  properties: Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`p${i}`, { $ref: "#/$defs/x" }])),
};

describe("an output schema that no client chokes on", () => {
  it.each<[string, unknown]>([
    ["nothing but its type", object],
    ["formats, known or not", inProperty({ type: "string", format: "uri", pattern: "^a", x: { format: "tomorrow" } })],
    [
      "references inside",
      { ...inProperty({ $ref: "#/$defs/x" }), $defs: { x: { type: "array", items: { $ref: "#" } } } },
    ],
    ["draft 7", { ...object, $schema: "http://json-schema.org/draft-07/schema#", definitions: { x: {} } }],
    ["2019-09", { ...object, $schema: "https://json-schema.org/draft/2019-09/schema" }],
    ["2020-12", { ...object, $schema: "https://json-schema.org/draft/2020-12/schema", unevaluatedProperties: false }],
    ["keywords of tomorrow", { ...object, tomorrow: { $x: [1] } }],
  ])("%s", async (_, schema) => expect(await compile([schema])).toEqual([true]));
});

describe("B45: an output schema on which a client would give up the whole list", () => {
  it.each<[string, unknown]>([
    ["a pattern that is none", inProperty({ pattern: "(" })],
    ["a pattern of names that is none", { ...object, patternProperties: { "[": {} } }],
    ["a reference to nowhere", inProperty({ $ref: "#/$defs/none" })],
    ["a reference into the network", inProperty({ $ref: "http://169.254.169.254/" })],
    ["a reference to a file", inProperty({ $ref: "file:///etc/passwd" })],
    ["a reference that one engine knows", inProperty({ $ref: "http://json-schema.org/draft-07/schema#" })],
    ["a type that is none", inProperty({ type: "text" })],
    ["a schema that is none", inProperty({ properties: { x: null } })],
    ["a keyword's value of another type", inProperty({ minLength: "1" })],
    ["old drafts", inProperty({ required: true })],
    ["a dialect that nobody knows", { ...object, $schema: "http://json-schema.org/draft-04/schema#" }],
    ["an id of draft 4", { ...object, id: "https://x/" }],
    ["an id: another tool's schema would be this one", inProperty({ $id: "https://x/" })],
    ["$async: nobody awaits the promise", inProperty({ $async: true })],
    ["the same anchor twice", { ...inProperty({ $anchor: "a" }), $defs: { x: { $anchor: "a", type: "string" } } }],
    ["no JSON schema at all", inProperty({ allOf: {} })],
    ["references that copy each other a thousand times", BOMB],
  ])("%s", async (_, schema) => expect(await compile([schema])).toEqual([false]));

  it("costs no other of the same list", async () => {
    const list = [object, inProperty({ pattern: "(" }), BOMB, inProperty({ $ref: "#/x" }), inProperty({})];
    expect(await compile(list)).toEqual([true, false, false, false, true]);
  });
});

describe("B54: the thread is bounded", () => {
  it("a schema that takes too long is none, and what comes after it is compiled", async () => {
    const short = createOutputSchemas({ limitMs: 0 });
    expect(await short.compile([JSON.stringify(inProperty({ minLength: 77 }))])).toEqual([false]);
    await short.close();
  });

  it("a server that has used up its time gets the rest compiled the next time", async () => {
    const none = createOutputSchemas({ totalMs: 0 });
    expect(await none.compile([JSON.stringify(object)])).toEqual([false]);
    await none.close();
  });

  it("the serving thread goes on meanwhile, and several servers take turns", async () => {
    let turns = 0;
    const timer = setInterval(() => (turns += 1), 1);
    const many = Array.from({ length: 50 }, (_, i) => inProperty({ minLength: i, properties: { x: { minimum: i } } }));
    const all = await Promise.all([compile(many), compile(many.slice(0, 20))]);
    clearInterval(timer);
    expect(all.flat()).toEqual(Array.from({ length: 70 }, () => true));
    expect(turns).toBeGreaterThan(5);
  });

  it("when it is closed nothing hangs, and nothing is said to compile", async () => {
    const closed = createOutputSchemas();
    await closed.close();
    expect(await closed.compile([JSON.stringify(object)])).toEqual([false]);
  });
});
