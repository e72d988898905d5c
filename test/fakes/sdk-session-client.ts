// The SDK's client of the older revisions with a session at a test broker, as Envoy would hand its requests on.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import type { ClientCapabilities } from "@modelcontextprotocol/sdk/types.js";
import { bodyDigest } from "../../src/wristband/claims.ts";
import { CREDENTIAL } from "./broker-client.ts";
import { boundFor, claimsOf, wristband } from "./wristband.ts";

/** The same over HTTP+SSE. */
export function sdkSseClient(port: number, capabilities: ClientCapabilities, who: object = {}) {
  const client = new Client({ name: "c", version: "1" }, { capabilities });
  const transport = new SSEClientTransport(new URL(`http://127.0.0.1:${port}/servers/s/sse`), {
    fetch: (url, init) => fetch(url, { ...init, headers: { ...headersIn(init?.headers), ...proofOf(init, who) } }),
  });
  return { client, transport, connect: () => client.connect(transport) };
}

/** A client of the endpoint of server `s`, and how it connects. */
export function sdkSessionClient(port: number, capabilities: ClientCapabilities) {
  const client = new Client({ name: "c", version: "1" }, { capabilities });
  const transport = new StreamableHTTPClientTransport(new URL(`http://127.0.0.1:${port}/servers/s/mcp`), {
    fetch: (url, init) => fetch(url, { ...init, headers: { ...headersIn(init?.headers), ...proofOf(init) } }),
  });
  return { client, connect: () => client.connect(transport as never) };
}

function headersIn(headers: HeadersInit | undefined): Record<string, string> {
  return Object.fromEntries(new Headers(headers));
}

/** What `serve` adds. */
export function proofOf(init: RequestInit | undefined, who: object = {}): Record<string, string> {
  const text = typeof init?.body === "string" ? init.body : "";
  const message = text === "" ? {} : (JSON.parse(text) as { method?: string; params?: { name?: string } });
  if (message.method === "tools/call") {
    const names = { tools: { s: [message.params?.name ?? ""] } };
    const claims = claimsOf({
      ...who,
      use: "call",
      ...names,
      body: bodyDigest(Buffer.from(text)),
      ...boundFor(null, ["s"]),
    });
    return {
      "x-authorized-tools": wristband(claims),
      "x-upstream-authorization": CREDENTIAL,
      "x-mcp-server": "s",
    };
  }
  const use = message.method === undefined ? "session" : "list";
  return { "x-authorized-tools": wristband(claimsOf({ ...who, use })) };
}
