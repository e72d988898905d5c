// The real SDK clients, old and new, as a person's program uses them.
import { Client as ClientV2, StreamableHTTPClientTransport as TransportV2 } from "@modelcontextprotocol/client";
import { Client as ClientV1 } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport as TransportV1 } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

/** The part of the clients that both versions share. */
export interface SdkClient {
  listTools(): Promise<readonly string[]>;
  callTool(name: string, args: Record<string, unknown>, onProgress?: (value: number) => void): Promise<unknown>;
  getPrompt(name: string, args?: Record<string, string>): Promise<unknown>;
  readResource(uri: string): Promise<unknown>;
  close(): Promise<void>;
}

const INFO = { name: "e2e", version: "1" };

/** SDK v1 knows the older revisions only. */
export async function connectV1(url: string, token: string | null): Promise<SdkClient> {
  const client = new ClientV1(INFO);
  await client.connect(new TransportV1(new URL(url), requestInit(token)) as never);
  return {
    listTools: async () => (await client.listTools()).tools.map(({ name }) => name),
    callTool: (name, args, onProgress) =>
      client.callTool(
        { name, arguments: args },
        undefined,
        onProgress && { onprogress: ({ progress }) => onProgress(progress) },
      ),
    getPrompt: (name, args) => client.getPrompt({ name, arguments: args ?? {} }),
    readResource: (uri) => client.readResource({ uri }),
    close: () => client.close(),
  };
}

/** @param era `modern` pins 2026-07-28 */
export async function connectV2(url: string, token: string | null, era: "modern" | "legacy"): Promise<SdkClient> {
  const options = era === "modern" ? { versionNegotiation: { mode: { pin: "2026-07-28" } } } : {};
  const client = new ClientV2(INFO, options as never);
  await client.connect(new TransportV2(new URL(url), requestInit(token)));
  return {
    listTools: async () => (await client.listTools()).tools.map(({ name }) => name),
    callTool: (name, args, onProgress) =>
      client.callTool({ name, arguments: args }, onProgress && { onprogress: ({ progress }) => onProgress(progress) }),
    getPrompt: (name, args) => client.getPrompt({ name, arguments: args ?? {} }),
    readResource: (uri) => client.readResource({ uri }),
    close: () => client.close(),
  };
}

function requestInit(token: string | null) {
  return token === null ? {} : { requestInit: { headers: { authorization: `Bearer ${token}` } } };
}
