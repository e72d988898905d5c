// On the merged endpoint a server's URIs come back under the names with which they can be read there.
import { describe, expect, it } from "vitest";
import { reasonOf, type CallParts } from "../../../test/fakes/broker-client.ts";
import { event, json, result, stream } from "../../../test/fakes/mcp-server.ts";
import { relayFixture } from "../../../test/fakes/relay.ts";
import { withRules } from "../../json/places.ts";
import { rewrite, RewriteFault } from "../../json/rewriter.ts";
import { mergedUri } from "../../mcp/merged-names.ts";
import { resultNameRules, withMappedUpdate } from "./result-names.ts";

const { setup } = relayFixture();
const map = (uri: string) => mergedUri("s", uri);
/** A result, as text, with its URIs mapped. */
function mapped(method: string, text: string): string {
  return Buffer.concat(rewrite(Buffer.from(text), withRules({}, resultNameRules(method, map)))).toString();
}

const LINK = '{"type":"resource_link","uri":"docs://a","name":"ui://x"}';
const PAGE = '{"resource" : {"uri":"ui:\\/\\/chart", "text":"ui://chart","_meta":{"uri":"ui://a"}}, "type":"resource"}';
const onMerged = (text: string) =>
  text.replace('"docs://a"', '"s+docs://a"').replace('"ui:\\/\\/chart"', '"ui://s/chart"');
const blocks = `[ {"type":"text","text":"docs://a ui://b","n":1.0} ,${LINK},${PAGE}]`;

describe("places of URIs", () => {
  it.each([
    ["tools/call", `{"content":${blocks},"structuredContent":{"uri":"docs://b","content":[{"uri":"docs://c"}]}}`],
    ["prompts/get", `{"messages":[{"role":"user","content":${LINK}},{"content":${PAGE},"role":"user"}]}`],
    ["resources/read", `{"contents":[{"text":"docs://a","uri":"docs://a"},{"uri":"ui:\\/\\/chart","blob":"eA=="}]}`],
    ["tasks/result", `{"content":${blocks}}`],
    ["tasks/get", `{"status":"completed","result":{"content":${blocks}}}`],
  ])("%s: each is mapped, and every other byte stays", (method, text) => {
    // Only the first of a spelling stands at a place of the protocol's.
    const expected =
      method === "resources/read" ? text.replace('"uri":"docs://a"', '"uri":"s+docs://a"') : onMerged(text);
    expect(mapped(method, text)).toBe(expected.replace('"ui:\\/\\/chart"', '"ui://s/chart"'));
  });

  it("the page of an MCP App in a result's _meta", () => {
    const meta = { ui: { resourceUri: "ui://a", csp: { connectDomains: ["https://h"] } }, "ui/resourceUri": "ui://a" };
    expect(JSON.parse(mapped("tools/call", JSON.stringify({ content: [], _meta: meta })))).toEqual({
      content: [],
      _meta: { ...meta, ui: { ...meta.ui, resourceUri: "ui://s/a" }, "ui/resourceUri": "ui://s/a" },
    });
  });

  it("a method without URIs is not looked into, and values of another type are none", () => {
    for (const text of ['{"completion":{"values":["docs://a"]},"content":[{"uri":"docs://a"}]}'])
      expect(mapped("completion/complete", text)).toBe(text);
    for (const text of ['{"content":[{"uri":7},[{"uri":"docs://a"}],null,"docs://a"]}', '{"content":"docs://a"}', "{}"])
      expect(mapped("tools/call", text)).toBe(text);
  });

  it.each([
    ["a member in another case", '{"Content":[{"URI":"ui://t/a"}]}', '{"Content":[{"URI":"ui://s/t/a"}]}'],
    ["an escaped name", '{"content":[{"ur\\u0069":"ui://t/a"}]}', '{"content":[{"ur\\u0069":"ui://s/t/a"}]}'],
    ["an escaped scheme", '{"content":[{"uri":"\\u0075i://t/a"}]}', '{"content":[{"uri":"ui://s/t/a"}]}'],
    ["a scheme in capitals", '{"content":[{"uri":"UI://t/a"}]}', '{"content":[{"uri":"ui://s/t/a"}]}'],
    ["spaces that hosts trim", '{"content":[{"uri":" ui://t/a"}]}', '{"content":[{"uri":"s+ ui://t/a"}]}'],
    ["dots", '{"content":[{"uri":"ui://../t/a"}]}', '{"content":[{"uri":"ui://s/../t/a"}]}'],
    ["another server's merged name", '{"content":[{"uri":"t+docs://a"}]}', '{"content":[{"uri":"s+t+docs://a"}]}'],
    ["a type that comes last, or never", '{"content":[{"uri":"t+x:a"}]}', '{"content":[{"uri":"s+t+x:a"}]}'],
  ])("a server names nobody else's resource by %s", (_, text, expected) => {
    expect(mapped("tools/call", text)).toBe(expected);
  });

  it.each(['{"content":[{"uri":"docs://a","uri":"ui://t/a"}]}', '{"_meta":{"ui":{},"ui":{"resourceUri":"ui://t/a"}}}'])(
    "two members of one name are no answer: %s",
    (text) => expect(() => mapped("tools/call", text)).toThrow(RewriteFault),
  );

  it("a change of a resource; not one that is too long, or names two", () => {
    const updated = '{"jsonrpc":"2.0", "method":"notifications/resources/updated","params":{"x":1.0,"uri":"docs://a"}}';
    const sent = (text: string) => withMappedUpdate(Buffer.from(text), map)?.toString();
    expect(sent(updated)).toBe(updated.replace("docs://a", "s+docs://a"));
    expect(sent('{"method":"notifications/resources/updated"}')).toContain("updated");
    for (const text of [
      updated.replace("1.0", `"${"x".repeat(64 * 1024)}"`),
      updated.replace('"x":1.0', '"uri":"b:c"'),
    ])
      expect(sent(text)).toBeUndefined();
    expect(sent(updated.replace('"x":1.0', '"URI":"ui://t/a"'))).toContain('"URI":"ui://s/t/a"');
  });
});

describe("a call on the merged endpoint", () => {
  const content = [{ type: "resource_link", uri: "docs://a", name: "a" }];
  const read: CallParts = { method: "resources/read", claims: { tools: {}, resources: { s: ["docs://a"] } } };

  it.each([true, false])(
    "names resources as they can be read there, on its server's as the server does: modern %s",
    async (modern) => {
      const { broker } = await setup(modern ? "modern" : "legacy", (arrival, response) =>
        json(response, 200, result(arrival, { content })),
      );
      const link = async (path: string | undefined) =>
        (await broker.call({ modern, ...(path !== undefined && { path }) })).message.result?.["content"];
      expect(await link("/mcp")).toEqual([{ ...content[0], uri: "s+docs://a" }]);
      expect(await link(undefined)).toEqual(content);
    },
  );

  it.each([true, false])("reads a resource by its merged name, body and header alike: modern %s", async (modern) => {
    const { upstream, broker } = await setup("modern", (arrival, response) =>
      json(response, 200, result(arrival, { contents: [{ uri: arrival.params["uri"], text: "x" }] })),
    );
    const headers = modern ? { "mcp-name": "s+docs://a" } : {};
    const reply = await broker.call({
      ...read,
      path: "/mcp",
      modern,
      headers,
      params: { name: undefined, uri: "s+docs://a" },
    });
    expect(reply.message.result?.["contents"]).toEqual([{ uri: "s+docs://a", text: "x" }]);
    const [arrival] = upstream.of("resources/read");
    expect([arrival?.params["uri"], arrival?.headers["mcp-name"]]).toEqual(["docs://a", "docs://a"]);
  });

  it("streams the answer; of a resource that she has not subscribed to it tells nothing", async () => {
    const updated = { jsonrpc: "2.0", method: "notifications/resources/updated", params: { uri: "docs://b" } };
    const { broker } = await setup("modern", (arrival, response) =>
      stream(response, [event(updated), event(result(arrival, { content }))]),
    );
    const { messages } = await broker.call({ path: "/mcp" });
    expect(messages).toMatchObject([{ result: { content: [{ uri: "s+docs://a" }] } }]);
  });

  it.each([true, false])("refuses a result that names a resource twice; stream %s", async (isStream) => {
    const { broker } = await setup("modern", (arrival, response) => {
      const text = `{"jsonrpc":"2.0","id":${String(arrival.message?.id)},"result":{"content":[{"uri":"a:b","uri":"ui://t/a"}]}}`;
      if (isStream) stream(response, [event(text)]);
      else json(response, 200, text);
    });
    const reply = await broker.call({ path: "/mcp" });
    expect([reasonOf(reply.messages[0]), reply.text.includes("ui:")]).toEqual(["upstream_unavailable", false]);
    expect((await broker.call()).text).toContain("ui://t/a");
  });
});
