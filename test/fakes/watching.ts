// A client of 2026-07-28 that names resources in `subscriptions/listen`, at a test broker, as Envoy would hand it on.
import type { startTestBroker } from "./broker.ts";
import { reading } from "./reading.ts";

export const SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId";
const METHOD = "subscriptions/listen";
const META = {
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientCapabilities": {},
};

type TestBroker = Awaited<ReturnType<typeof startTestBroker>>;

export const credentialsFor = (...servers: string[]) =>
  Buffer.from(
    JSON.stringify(Object.fromEntries(servers.map((name) => [name, { "x-upstream-authorization": `Bearer ${name}` }]))),
  ).toString("base64url");

export interface Listening {
  readonly uris?: readonly string[];
  readonly resources?: object;
  readonly claims?: object;
  readonly credentials?: string | undefined;
  readonly path?: string;
}

export function askToWatch(
  broker: TestBroker,
  { uris = ["s+docs://a"], resources = { s: ["docs://a"] }, ...more }: Listening = {},
) {
  const params = { notifications: { resourceSubscriptions: uris }, _meta: META };
  const body = JSON.stringify({ jsonrpc: "2.0", id: "sub", method: METHOD, params });
  return broker.open({
    ...{ body, path: more.path ?? "/mcp", modern: true, method: METHOD },
    claims: { use: "listen", resources, ...more.claims },
    headers: {
      ...{ "mcp-name": undefined, "x-mcp-server": undefined, "x-upstream-authorization": undefined },
      "x-upstream-credentials": "credentials" in more ? more.credentials : credentialsFor("s", "t", "old"),
    },
  });
}

export const listenTo = async (broker: TestBroker, listening?: Listening) =>
  reading(await askToWatch(broker, listening));
export const acknowledged = (filter: object) => ({
  jsonrpc: "2.0",
  method: "notifications/subscriptions/acknowledged",
  params: { notifications: filter, _meta: { [SUBSCRIPTION]: "sub" } },
});
export const update = (uri: string) => ({
  jsonrpc: "2.0",
  method: "notifications/resources/updated",
  params: { uri, _meta: { [SUBSCRIPTION]: "sub" } },
});
export const ENDED = { id: "sub", result: { resultType: "complete" } };
export const watching = (uris: readonly string[]) => acknowledged({ resourceSubscriptions: uris });
