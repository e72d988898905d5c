// Rules of sessions of clients: what HTTP+SSE needs.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { stringify } from "yaml";
import { ConfigError, loadConfig } from "../load.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-sessions-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const KEYS = { keys: [{ id: "k", file: "session.key" }] };

function keysAtFault(top: object, server: object = {}): string[] {
  const file = join(folder, "mcp-authz.yaml");
  const tree = {
    publicOrigin: "https://gw.example.com",
    identity: { issuers: [{ issuer: "https://idp.example.com", audiences: ["a"], algorithms: ["ES256"] }] },
    policy: { path: "policies" },
    wristband: { issuer: "https://gw.example.com", keys: [{ kid: "k1", file: "wristband.pem" }] },
    servers: { s: { url: "https://s.example.com/mcp", credential: [{ none: {} }], ...server } },
    ...top,
  };
  writeFileSync(file, stringify(tree));
  try {
    loadConfig(file, {});
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map(({ key }) => key);
    throw error;
  }
}

it.each<[string, object, object, string[]]>([
  ["with keys", { sessions: KEYS, legacySse: true }, { legacySse: true }, []],
  ["without keys", { legacySse: true }, { legacySse: true }, ["legacySse", "servers.s.legacySse"]],
  ["of a direct server", { sessions: KEYS }, { legacySse: true, callRouting: "direct" }, ["servers.s.legacySse"]],
  ["where calls are direct", { sessions: KEYS, callRouting: "direct" }, { legacySse: true }, ["servers.s.legacySse"]],
])("AP-01: HTTP+SSE %s", (_, top, server, keys) => expect(keysAtFault(top, server)).toEqual(keys));
