// F75: each cell client era × server era, at the real broker, on both endpoints: eight methods work, and what the wristband does not
// name is refused alike.
import { expect, it } from "vitest";
import { reasonOf } from "../../test/fakes/broker-client.ts";
import { startTestBroker } from "../../test/fakes/broker.ts";
import { tool } from "../../test/fakes/listing.ts";
import { json, result, startEraServer, type Arrival, type FakeEra, type OnCall } from "../../test/fakes/mcp-server.ts";
import { relayFixture } from "../../test/fakes/relay.ts";

const { closing } = relayFixture();
const TEXT = [{ type: "text", text: "ok" }];
const RESULTS: Readonly<Record<string, object>> = {
  "tools/call": { content: TEXT },
  "prompts/get": { messages: [{ role: "user", content: TEXT[0] }] },
  "resources/read": { contents: [{ uri: "docs://a", text: "ok" }] },
  "completion/complete": { completion: { values: ["ok"] } },
};
const answering =
  (era: FakeEra): OnCall =>
  (arrival, response) =>
    json(
      response,
      200,
      result(arrival, { ...RESULTS[arrival.method], ...(era === "modern" && { resultType: "complete" }) }),
    );
const OFFERED = {
  tools: [tool("echo")],
  prompts: [{ name: "greet" }],
  resources: [{ uri: "docs://a", name: "a" }],
  resourceTemplates: [{ uriTemplate: "docs://{id}", name: "t" }],
};
const VISIBLE = { tools: { s: ["echo"] }, prompts: { s: ["greet"] }, resources: { s: ["docs://a", "docs://{id}"] } };
const ONE = { tools: { s: ["echo"] }, prompts: { s: ["greet"] }, resources: { s: ["docs://a"] } };

interface Row {
  readonly method: string;
  /** What a call names: its kind, its own name, and the params that hold the name at the endpoint. */
  readonly named?: {
    readonly kind: keyof typeof ONE;
    readonly own: string;
    readonly merged: string;
    readonly params: (name: string) => object;
  };
}

const ROWS: readonly Row[] = [
  ...["tools/list", "prompts/list", "resources/list", "resources/templates/list"].map((method) => ({ method })),
  {
    method: "tools/call",
    named: { kind: "tools", own: "echo", merged: "s_echo", params: (name) => ({ name, arguments: {} }) },
  },
  { method: "prompts/get", named: { kind: "prompts", own: "greet", merged: "s_greet", params: (name) => ({ name }) } },
  {
    method: "resources/read",
    named: { kind: "resources", own: "docs://a", merged: "s+docs://a", params: (uri) => ({ uri }) },
  },
  {
    method: "completion/complete",
    named: {
      ...{ kind: "prompts", own: "greet", merged: "s_greet" },
      params: (name) => ({ ref: { type: "ref/prompt", name }, argument: { name: "a", value: "" } }),
    },
  },
];
const META = {
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientCapabilities": {},
};

const eras: readonly FakeEra[] = ["modern", "legacy", "sessions"];
const cells = eras.flatMap((server) => [true, false].flatMap((modern) => ["/mcp", "/servers/s/mcp"].map((path) => ({ server, modern, path })))); // prettier-ignore

async function setup(era: FakeEra) {
  const upstream = await startEraServer(era, answering(era));
  const broker = await startTestBroker({ s: { url: upstream.url, offered: OFFERED } });
  closing.push(
    () => upstream.close(),
    () => broker.close(),
  );
  return { upstream, broker };
}

it.each(cells)("F75: server $server, client of today: $modern, at $path", async ({ server, modern, path }) => {
  const { upstream, broker } = await setup(server);
  const ask = ({ method, named }: Row, claims: object) => {
    const name = path === "/mcp" ? named?.merged : named?.own;
    const params = { ...(name !== undefined && named?.params(name)), ...(modern && { _meta: META }) };
    const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
    const hasName = name !== undefined && method !== "completion/complete";
    return broker.call({
      method,
      path,
      body,
      modern,
      claims: { ...claims },
      headers: { "mcp-name": modern && hasName ? name : undefined },
    });
  };
  for (const row of ROWS) {
    const { method, named } = row;
    const proof =
      named === undefined ? { use: "list", body: undefined, ...VISIBLE } : { tools: {}, [named.kind]: ONE[named.kind] };
    const { status, message } = await ask(row, proof);
    expect([method, status, message.result === undefined]).toEqual([method, 200, false]);
    if (modern) expect(message.result?.["resultType"]).toBe("complete");
    const text = JSON.stringify(message.result);
    expect(text).toContain(named === undefined ? (path === "/mcp" ? "s" : "") : "ok");
    if (named === undefined) continue;
    const refused = await ask(row, { tools: {}, [named.kind]: { s: ["other"] } });
    expect([method, refused.status, reasonOf(refused.message)]).toEqual([method, 403, "wristband_invalid"]);
  }
  const relayed = upstream.requests.filter(({ method }: Arrival) => method in RESULTS).map(({ method }) => method);
  expect(relayed).toEqual(ROWS.flatMap(({ method, named }) => (named === undefined ? [] : [method])));
});
