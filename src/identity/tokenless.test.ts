import { describe, expect, it } from "vitest";
import { createTokenless, type TokenlessDeps, type TokenlessOptions } from "./tokenless.ts";

const NOW = 1_790_000_000;
const SAN = "spiffe://mesh/oauth2-proxy";
const headers = { subject: "x-user", username: "x-name", groups: "x-groups", scopes: "x-scopes" };
const OPTIONS: TokenlessOptions = {
  proxies: [
    { name: "sso", sans: [SAN, "proxy.example.com"], headers, kind: "user" },
    {
      name: "jobs",
      sans: ["jobs.example.com"],
      headers: { ...headers, subject: "x-job", groups: null },
      kind: "machine",
    },
  ],
  development: null,
  publicServers: new Set(["docs"]),
};
const DEVELOPMENT = {
  subject: "dev",
  username: "dev",
  groups: ["engineering"],
  scopes: [],
  claims: {},
  kind: "user",
} as const;

function identify(
  asked: Parameters<ReturnType<typeof createTokenless>>[0],
  more: Partial<TokenlessOptions & TokenlessDeps> = {},
) {
  const { now = () => NOW * 1000, revoked, ...options } = more;
  return createTokenless({ ...OPTIONS, ...options }, { now, revoked })(asked);
}
const named = (values: Record<string, string | null>, principal = SAN) =>
  identify({ by: "proxy", principal, values: new Map(Object.entries(values)) });

describe("a trusted proxy names its callers", () => {
  it("with what it says of them, and nothing else", () => {
    expect(named({ "x-user": "alice", "x-name": "al", "x-groups": "a, b,,c", "x-scopes": "r  w" })).toMatchObject({
      ok: true,
      value: {
        ...{ method: "proxy", issuer: "urn:mcp-authz:proxy:sso", subject: "alice", username: "al", kind: "user" },
        ...{ groups: ["a", "b", "c"], scopes: ["r", "w"], claims: {}, amr: [], acr: null, authTime: null, opens: null },
      },
    });
    expect(named({ "x-job": "nightly" }, "jobs.example.com")).toMatchObject({
      value: { issuer: "urn:mcp-authz:proxy:jobs", subject: "nightly", kind: "machine", groups: [] },
    });
  });

  it.each<[string, Record<string, string | null>, string | undefined]>([
    ["from a peer without a certificate", { "x-user": "alice" }, ""],
    ["from another certificate", { "x-user": "alice" }, "spiffe://mesh/other"],
    ["from a certificate whose name goes on", { "x-user": "alice" }, `${SAN}/x`],
    ["from a certificate in capitals", { "x-user": "alice" }, SAN.toUpperCase()],
    ["in the headers of another proxy", { "x-job": "alice" }, SAN],
    ["in its own headers and another's", { "x-user": "alice", "x-job": "bob" }, SAN],
    ["of a proxy that says no groups", { "x-job": "a", "x-groups": "admin" }, "jobs.example.com"],
    ["without a subject", { "x-groups": "admin" }, SAN],
    ["with an empty subject", { "x-user": "" }, SAN],
    ["with a subject twice", { "x-user": null }, SAN],
    ["with groups twice", { "x-user": "alice", "x-groups": null }, SAN],
    ["with a subject beyond ASCII", { "x-user": "\u00e4lice" }, SAN],
    ["with a space before", { "x-user": " alice" }, SAN],
    ["with a long subject", { "x-user": "a".repeat(257) }, SAN],
    ["with too many groups", { "x-user": "alice", "x-groups": Array.from({ length: 257 }, String).join(",") }, SAN],
    ["with a username with a tab", { "x-user": "alice", "x-name": "a\tb" }, SAN],
  ])("is refused: %s", (_, values, principal) => {
    expect(named(values, principal)).toMatchObject({ ok: false, reason: "token_invalid" });
  });

  it.each([
    ["sub", "token_revoked"],
    ["unavailable", "revocations_unavailable"],
  ] as const)("one who is revoked is refused: %s", (by, reason) => {
    const values = new Map([["x-user", "alice"]]);
    expect(identify({ by: "proxy", principal: SAN, values }, { revoked: () => by })).toMatchObject({
      ok: false,
      reason,
    });
  });
});

describe("without any credential", () => {
  const nobody = (server: string | null, peer = "192.0.2.1") =>
    ({ by: "nothing", server, peer, source: peer }) as const;

  it("a public server's own endpoint is open to all, as one caller who reaches no other", () => {
    expect(identify(nobody("docs"))).toMatchObject({
      value: { method: "anonymous", issuer: "urn:mcp-authz:anonymous", subject: "anonymous", opens: new Set(["docs"]) },
    });
  });

  it.each<[string, string | null, Partial<TokenlessOptions>]>([
    ["another server", "github", {}],
    ["an endpoint of several servers", null, {}],
    ["no server is public", "docs", { publicServers: new Set() }],
    ["a member of every object", "constructor", {}],
  ])("is refused: %s", (_, server, more) => {
    expect(identify(nobody(server), more)).toMatchObject({ ok: false, reason: "token_missing" });
  });

  it.each(["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])("MS-23: the development identity, from %s", (peer) => {
    expect(identify(nobody(null, peer), { development: DEVELOPMENT })).toMatchObject({
      value: { method: "development", issuer: "urn:mcp-authz:development", subject: "dev", groups: ["engineering"] },
    });
  });

  it.each(["192.0.2.1", "10.0.0.1", "", "127.0.0.1.example.com", "::2", "1127.0.0.1", "/tmp/pipe"])(
    "MS-23: and nobody from elsewhere: %s",
    (peer) => {
      const step = identify(nobody(null, peer), { development: DEVELOPMENT });
      expect(step).toMatchObject({ ok: false, reason: "token_missing" });
    },
  );
});
