// A stream of `subscriptions/listen` that names resources, through the whole pipeline: each is judged as a subscription of its own.
import { expect, it } from "vitest";
import { ALICE, allowingPorts, checkSettings, requestOf, THERE } from "../../test/fakes/authz.ts";
import { Secret } from "../secret/secret.ts";
import { createCheck } from "./check.ts";
import { decodeCredentials, encodeCredentials } from "./credential-set.ts";
import { newCheckFacts } from "./facts.ts";
import { Grant } from "./grant.ts";
import type { Ports } from "./ports.ts";
import type { Credential, PolicyInput, Visible, WristbandUse } from "./types.ts";

const MODERN = "2026-07-28";
const META = { "io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {} };

async function listen(uris: readonly string[], ports: Partial<Ports> = {}, path = "/mcp") {
  const asked: PolicyInput["mcp"][] = [];
  const fetched: string[] = [];
  const signed: [Visible, WristbandUse][] = [];
  const { decide, fetchCredential } = { ...allowingPorts(), ...ports };
  const params = { notifications: { resourceSubscriptions: uris }, _meta: META };
  const message = { jsonrpc: "2.0", id: 1, method: "subscriptions/listen", params };
  const facts = newCheckFacts("req-1", 0);
  const check = createCheck(
    checkSettings(),
    allowingPorts({
      visible: () => {
        throw new Error("no list is asked for");
      },
      ...ports,
      decide(input, about) {
        asked.push(input.mcp);
        return decide(input, about);
      },
      fetchCredential(server, ...more) {
        fetched.push(server);
        return fetchCredential(server, ...more);
      },
      signWristband(identity, visible, use) {
        expect(identity).toBe(ALICE);
        signed.push([visible, use]);
        return { ok: true, value: { jws: "wrist.band.jws", jti: "j1", leftOut: [] } };
      },
    }),
  );
  const headers = [
    ["mcp-method", "subscriptions/listen"],
    ["mcp-protocol-version", MODERN],
    ["x-upstream-credentials", "of-the-client"],
  ] as const;
  const request = requestOf({ path, message, headers });
  const outcome = await check(request, facts, new AbortController().signal);
  const grant = outcome.ok && Grant.is(outcome.value) ? outcome.value : null;
  return { reason: outcome.ok ? null : outcome.reason, grant, asked, fetched, signed, facts, request };
}

const deciding = (allowed: readonly string[]): Pick<Ports, "decide"> => ({
  decide: ({ mcp }) =>
    allowed.includes(mcp.name ?? "")
      ? { ok: true, value: { allow: true, revision: "r", note: null } }
      : { ok: true, value: { allow: false, revision: "r", note: null, requiredScopes: null } },
});
const resourcesIn = (signed: readonly [Visible, WristbandUse][]) => signed.map(([{ resources }]) => resources);

it("asks policy about each, as a subscription of an older client, and names what it allows", async () => {
  const uris = ["s+docs://a", "t+docs://b", "s+docs://hidden", "nobody+docs://x", "no uri", "s+docs://a"];
  const { grant, asked, fetched, signed, facts } = await listen(uris, deciding(["docs://a", "docs://b"]));
  expect(asked.map(({ method, kind, server, name }) => [method, kind, server, name])).toEqual([
    ["resources/subscribe", "resource", "s", "docs://a"],
    ["resources/subscribe", "resource", "t", "docs://b"],
    ["resources/subscribe", "resource", "s", "docs://hidden"],
  ]);
  expect(fetched).toEqual(["s", "t"]);
  const [[names, use]] = signed as [[Visible, WristbandUse & { use: "listen" }]];
  expect(names).toEqual({ tools: {}, prompts: {}, resources: { s: ["docs://a"], t: ["docs://b"] } });
  expect([use.use, use.policy, Buffer.from(use.body).toString()]).toEqual([
    ...["listen", "r"],
    expect.stringContaining("subscriptions/listen"),
  ]);
  expect(grant?.route).toBe("broker");
  const set = decodeCredentials(grant?.set.get("x-upstream-credentials") ?? "");
  expect([...(set?.keys() ?? [])]).toEqual(["s", "t"]);
  expect(facts).toMatchObject({ policy: "r", wristband: "j1", note: "watches 2 of 5 resources" });
});

it("where nothing is allowed names nothing, and the client's own header goes nowhere", async () => {
  const { grant, fetched, signed } = await listen(["s+docs://a"], deciding([]));
  expect([resourcesIn(signed), fetched]).toEqual([[{}], []]);
  expect(grant?.set.has("x-upstream-credentials")).toBe(false);
  expect(grant?.remove).toContain("x-upstream-credentials");
});

it("leaves out a server whose credential cannot be had, and refuses where policy cannot be asked", async () => {
  const none = await listen(["s+docs://a", "t+docs://b"], {
    fetchCredential: (server) =>
      server === "s"
        ? { ok: false, reason: "credential_unavailable" }
        : { ok: true, value: { kind: "none", header: "authorization", value: null, destination: THERE } },
  });
  expect(resourcesIn(none.signed)).toEqual([{ t: ["docs://b"] }]);
  const failing = await listen(["s+docs://a"], { decide: () => ({ ok: false, reason: "policy_unavailable" }) });
  expect([failing.reason, failing.signed]).toEqual(["policy_unavailable", []]);
});

it("names nothing that another policy allows which went live meanwhile", async () => {
  let revision = 0;
  const { signed } = await listen(["s+docs://a", "s+docs://b"], {
    decide: () => ({ ok: true, value: { allow: true, revision: `r${(revision += 1)}`, note: null } }),
  });
  expect(signed).toMatchObject([[{ resources: { s: ["docs://a"] } }, { policy: "r1" }]]);
});

it("bounds what one stream asks for: 64 resources, 16 KiB of names", async () => {
  const many = await listen(Array.from({ length: 100 }, (_, i) => `s+docs://${i}`));
  expect(many.asked).toHaveLength(64);
  const long = await listen(Array.from({ length: 20 }, (_, i) => `s+docs://${i}${"x".repeat(1500)}`));
  const [names] = resourcesIn(long.signed);
  expect(names?.["s"]?.length).toBeLessThan(12);
  expect(JSON.stringify(names).length).toBeLessThan(17 * 1024);
});

const secret = (text: string): Credential => ({
  kind: "static",
  header: "x-key",
  value: new Secret(text),
});

it("credentials that are no header, or have no room, are left out; what is no set is none", () => {
  const set = encodeCredentials(
    new Map([
      ["a", secret("1")],
      ["b", secret("line\nbreak")],
      ["c", secret("x".repeat(13 * 1024))],
      ["d", { kind: "none", header: "authorization", value: null }],
    ]),
  );
  expect([...set.servers]).toEqual(["a", "d"]);
  const read = decodeCredentials(set.header?.reveal() ?? "");
  expect([...(read ?? [])]).toEqual([
    ["a", { "x-upstream-authorization": "1", "x-upstream-header": "x-key" }],
    ["d", {}],
  ]);
  const texts = [
    "",
    "e",
    "{}",
    "[]",
    '{"a":1}',
    '{"a":{"host":"x"}}',
    '{"A":{}}',
    '{"a":{"x-upstream-header":"b\\n"}}',
  ];
  for (const text of texts)
    expect(decodeCredentials(Buffer.from(text).toString("base64url"))).toEqual(text === "{}" ? new Map() : null);
  for (const text of ["e30=", "e30 ", `${"A".repeat(16 * 1024)}A`]) expect(decodeCredentials(text)).toBeNull();
});
