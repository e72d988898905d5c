// Preloaded into MCP servers that serve everybody: they serve who brings a credential of the file KNOWN_FILE, and nobody else.
import { readFileSync } from "node:fs";
import { Server, type IncomingMessage, type ServerResponse } from "node:http";
import { isKnown, refuseStranger, type KnownCredentials } from "./server-gate.ts";

const file = process.env["KNOWN_FILE"];
if (file === undefined) throw new Error("the variable KNOWN_FILE is not set");
const { sha256 } = JSON.parse(readFileSync(file, "utf8")) as { readonly sha256: KnownCredentials };

type Emit = (this: Server, event: string, ...rest: readonly unknown[]) => boolean;
const original: Emit = Reflect.get(Server.prototype, "emit");

function emitForKnown(this: Server, event: string, ...rest: readonly unknown[]): boolean {
  if (!["request", "checkContinue", "checkExpectation", "upgrade", "connect"].includes(event))
    return original.call(this, event, ...rest);
  const [{ headers }, response] = rest as [IncomingMessage, ServerResponse];
  if (event === "request" && isKnown(headers, sha256)) return original.call(this, event, ...rest);
  if ("writeHead" in response) refuseStranger(response);
  else (response as { destroy(): void }).destroy();
  return true;
}

Server.prototype.emit = emitForKnown;
