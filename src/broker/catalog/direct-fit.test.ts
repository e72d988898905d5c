// D10: what a direct route can carry of a server, and what its endpoint announces.
import { afterEach, describe, expect, it } from "vitest";
import {
  json,
  modernServer,
  result,
  sessionServer,
  startFakeServer,
  type Respond,
} from "../../../test/fakes/mcp-server.ts";
import { createResolver } from "../../mcp/resolver.ts";
import { SUPPORTED_VERSIONS } from "../../mcp/versions.ts";
import { createUpstreams } from "../upstream/upstream.ts";
import { directFit, type DirectFit, type Spoken } from "./direct-fit.ts";
import { listUpstream } from "./listing.ts";

const OLDER = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];

it.each<[string, Spoken, DirectFit]>([
  [
    "both, without a session",
    { modern: true, older: { version: "2025-11-25", hasSession: false } },
    { revisions: ["2026-07-28", ...OLDER], faults: [] },
  ],
  [
    "both, older clients with a session",
    { modern: true, older: { version: "2025-06-18", hasSession: true } },
    { revisions: ["2026-07-28", ...OLDER.slice(1)], faults: ["needs_session"] },
  ],
  [
    "an older revision alone",
    { modern: false, older: { version: "2025-03-26", hasSession: false } },
    { revisions: OLDER.slice(2), faults: ["older_only"] },
  ],
  [
    "an older revision alone, with a session",
    { modern: false, older: { version: "2025-11-25", hasSession: true } },
    { revisions: OLDER, faults: ["needs_session", "older_only"] },
  ],
  [
    "the stateless revision alone",
    { modern: true, older: null },
    { revisions: ["2026-07-28"], faults: ["stateless_only"] },
  ],
  ["nobody knows", { modern: true, older: "unknown" }, { revisions: SUPPORTED_VERSIONS, faults: [] }],
  [
    "a revision before ours",
    { modern: false, older: { version: "2024-10-07", hasSession: false } },
    { revisions: OLDER, faults: ["older_only"] },
  ],
])("%s", (_, spoken, fit) => {
  expect(directFit(spoken)).toEqual(fit);
});

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

const LISTS = { tools: [{ name: "a", inputSchema: { type: "object" } }] };
const modern = modernServer(LISTS);
const session = sessionServer(LISTS, "2025-06-18");
const isModern = ({ headers }: Parameters<Respond>[0]) => headers["mcp-protocol-version"] === "2026-07-28";
/** Answers `initialize` with this status, all else as a server of the stateless revision. */
const failing =
  (status: number): Respond =>
  (arrival, response) =>
    isModern(arrival) ? modern(arrival, response) : void response.writeHead(status).end();

describe("a direct server is asked for its older revisions too, when it is listed", () => {
  it.each<[string, Respond, DirectFit]>([
    ["knows none", modern, { revisions: ["2026-07-28"], faults: ["stateless_only"] }],
    ["405 to all others", failing(405), { revisions: ["2026-07-28"], faults: ["stateless_only"] }],
    ["401 says nothing", failing(401), { revisions: SUPPORTED_VERSIONS, faults: [] }],
    ["503 says nothing", failing(503), { revisions: SUPPORTED_VERSIONS, faults: [] }],
    [
      "both, with a session",
      (arrival, response) => (isModern(arrival) ? modern(arrival, response) : session(arrival, response)),
      { revisions: ["2026-07-28", ...OLDER.slice(1)], faults: ["needs_session"] },
    ],
    [
      "both, without",
      (arrival, response) => {
        if (isModern(arrival)) return modern(arrival, response);
        if (arrival.method !== "initialize") return void response.writeHead(202).end();
        return json(response, 200, result(arrival, { protocolVersion: "2025-11-25", capabilities: {} }));
      },
      { revisions: ["2026-07-28", ...OLDER], faults: [] },
    ],
    ["an older one with a session", session, { revisions: OLDER.slice(1), faults: ["needs_session", "older_only"] }],
  ])("%s", async (_, respond, fit) => {
    const upstream = await startFakeServer(respond);
    closing.push(() => upstream.close());
    expect(await listed(upstream.url, true)).toEqual(fit);
    const opened = upstream.of("initialize").length;
    const isOpened = fit.faults.includes("needs_session");
    expect([opened, upstream.of("DELETE").length]).toEqual([1, isOpened ? 1 : 0]); // none is left behind
    expect(await listed(upstream.url, false)).toBe(null);
  });
});

async function listed(url: string, isDirect: boolean): Promise<DirectFit | null> {
  const settings = { url, ca: null, timeoutMs: 5000, maxResponseBytes: 1e6, sessions: "client" as const };
  const upstreams = createUpstreams(
    new Map([["s", { ...settings, credentialHeaders: new Set<string>(), needsCredential: false }]]),
  );
  closing.push(() => upstreams.close());
  const { direct } = await listUpstream({
    upstream: upstreams.get("s")?.lists ?? expect.fail(),
    credential: null,
    isDirect,
    timeoutMs: 5000,
    names: createResolver({ s: "s_" }).namesOf("s"),
    isOffered: () => true,
    limits: { serverNameBytes: 64 * 1024, serverDefinitionBytes: 2 * 1024 * 1024 },
    outputSchemas: { compile: (texts) => Promise.resolve(texts.map(() => true)) },
  });
  return direct;
}
