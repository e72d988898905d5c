// Rules of callers without an access token. Pure.
import { hash } from "node:crypto";
import { callerHeaders, serversOfKey } from "../callers.ts";
import { callerFault } from "./headers.ts";
import type { Reporter } from "../problem.ts";
import type { Config } from "../schema.ts";

/** What somebody gets who hashes nothing, or a line break. */
const EMPTY = new Set(["", "\n"].map((text) => hash("sha256", text)));

export function checkApiKeys(config: Config, { problem, warn }: Reporter): void {
  const names = new Set<string>();
  const digests = new Set<string>();
  config.identity.apiKeys.forEach((key, i) => {
    const at = `identity.apiKeys[${i}]`;
    if (names.has(key.name)) problem(`${at}.name`, "is another key's too: to replace a key, give it two sha256");
    names.add(key.name);
    checkDigests(at, { key, digests }, problem);
    if (key.header === null && !key.bearer && !key.basic)
      problem(at, "cannot be sent: name a header, or say bearer: true or basic: true");
    if (key.header === "authorization")
      problem(`${at}.header`, "say bearer: true or basic: true in place of authorization");
    for (const server of key.servers ?? [])
      if (!Object.hasOwn(config.servers, server)) problem(`${at}.servers`, `${server} is none of servers`);
    if (serversOfKey(config, key).size === 0) warn(at, "opens no server");
  });
  for (const [server, { apiKeys }] of Object.entries(config.servers))
    for (const name of apiKeys ?? [])
      if (!names.has(name)) problem(`servers.${server}.apiKeys`, `${name} is none of identity.apiKeys`);
  checkPlaces(config, problem);
}

interface Digests {
  readonly key: Config["identity"]["apiKeys"][number];
  /** Of the keys before. */
  readonly digests: Set<string>;
}

function checkDigests(at: string, { key, digests }: Digests, problem: Reporter["problem"]): void {
  for (const digest of key.sha256) {
    if (digests.has(digest)) problem(`${at}.sha256`, "is listed twice: one key is one caller");
    digests.add(digest);
    if (EMPTY.has(digest)) problem(`${at}.sha256`, "is the digest of nothing: hash the key, without a line break");
  }
}

/** A header of callers is removed before a server, so it can be neither the wristband's nor the route's. */
function checkPlaces(config: Config, problem: Reporter["problem"]): void {
  const own = new Set([config.wristband.header, config.routeHeader ?? ""]);
  for (const name of callerHeaders(config))
    if (name !== "authorization" && callerFault(name, own) !== null)
      problem("identity.apiKeys", `${name} has a meaning to HTTP, MCP or the gateway: choose another header`);
}
