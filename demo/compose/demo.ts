// One of the demo's MCP servers as a container. One line per request that reached it: the method and the name, no headers.
import { readFileSync } from "node:fs";
import { createLocalJWKSet, type JSONWebKeySet } from "jose";
import { startDemoServer, type Arrival } from "../demo-server.ts";
import type { KnownCredentials } from "../server-gate.ts";
import { endOnSignal, PORTS, setting } from "./settings.ts";

interface Message {
  readonly method?: unknown;
  readonly params?: { readonly name?: unknown };
}

function describe({ path, body }: Arrival): string {
  let message: Message = {};
  try {
    message = JSON.parse(body) as Message;
  } catch {
    // Not JSON: the path alone then.
  }
  const name = typeof message.params?.name === "string" ? message.params.name : null;
  return JSON.stringify({ time: new Date().toISOString(), path, method: message.method ?? null, name });
}

const { sha256, tokens } = JSON.parse(readFileSync(setting("KNOWN_FILE"), "utf8")) as {
  readonly sha256: KnownCredentials;
  readonly tokens?: { readonly audience: string; readonly keys: JSONWebKeySet };
};
const server = await startDemoServer(PORTS.demo, {
  serves: { known: sha256, ...(tokens && { tokens: { ...tokens, keys: createLocalJWKSet(tokens.keys) } }) },
  name: setting("SERVER_NAME"),
  listen: "0.0.0.0",
  onArrival: (arrival) => console.log(describe(arrival)),
});
console.log("MCP server: listening");
endOnSignal(server.close);
