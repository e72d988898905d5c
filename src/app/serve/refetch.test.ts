// serve's side of the refetch, on its operator listener: who gets another credential, and who does not.
import { createPublicKey } from "node:crypto";
import { afterEach, describe, expect, it } from "vitest";
import { ALICE, THERE } from "../../../test/fakes/authz.ts";
import { makeKey } from "../../../test/fakes/issuer.ts";
import { WRISTBAND } from "../../../test/fakes/wristband.ts";
import type { AuditRecord } from "../../authz/audit-record.ts";
import { newCheckFacts } from "../../authz/facts.ts";
import type { BoundCredential } from "../../authz/types.ts";
import type { Config } from "../../config/load.ts";
import { createChains } from "../../credential/chain.ts";
import { createRefetcher } from "../../credential/refetch.ts";
import { createOpsServer, type OpsServer } from "../../ops/ops-server.ts";
import { Secret } from "../../secret/secret.ts";
import { proofOf, REFETCH_PATH, REFUSED_BY, REFUSED_PROOF } from "../../wristband/refetch.ts";
import { createSigner } from "../../wristband/sign.ts";
import { createVerifier } from "../../wristband/verify.ts";
import { createRefetchRoute, refetchAddress } from "./refetch.ts";

const key = makeKey("k1");
const signing = { kid: "k1", privateKey: key.privateKey, jwk: {} };
const OLD: BoundCredential = {
  destination: THERE,
  kind: "vault",
  header: "authorization",
  value: new Secret("Bearer old-canary"),
  isCached: true,
};
const who = { ...ALICE, expiresAt: Math.floor(Date.now() / 1000) + 600 };

const closing: OpsServer[] = [];
afterEach(async () => {
  for (const server of closing.splice(0)) await server.close();
});

function signed(
  use: object = { use: "call", body: Buffer.from("{}"), destinations: { s: THERE }, isRefetchable: true },
  by = signing,
) {
  const sign = createSigner({ ...WRISTBAND, ttlSeconds: 300, keys: () => [by], now: Date.now, refetchAt: "h:1" });
  const step = sign(who, { tools: { s: ["echo"] }, prompts: {}, resources: {} }, use as never);
  if (!step.ok) throw new Error(step.reason);
  return step.value;
}

/** A serve that has kept one call, and whose store has another value. */
async function world({ written = true, value = "Bearer new-canary" } = {}) {
  const refetcher = createRefetcher({ ttlMs: 60_000, timeoutMs: 500, destinationOf: () => THERE });
  const { jws, jti } = signed();
  const store = { asked: 0 };
  const ask = createChains(
    new Map([
      ["s", [{ kind: "vault", get: () => ((store.asked += 1), { found: { ...OLD, value: new Secret(value) } }) }]],
    ]),
    new Map([["s", THERE]]),
  );
  const facts = { ...newCheckFacts("r1", Date.now()), server: "s", identity: who, wristband: jti };
  refetcher.keep({ jti, server: "s", identity: who, credential: OLD, facts }, ask);
  const records: AuditRecord[] = [];
  const results: string[] = [];
  const route = createRefetchRoute({ wristband: WRISTBAND } as unknown as Config, {
    refetcher,
    keys: () => [signing],
    audit: async (record) => (records.push(record), written),
    observe: (result) => results.push(result),
    now: Date.now,
  });
  const address = { kind: "tcp", host: "127.0.0.1", port: 0 } as const;
  const server = createOpsServer({ name: "ops", address, tls: null, routes: {}, posts: { [REFETCH_PATH]: route } });
  closing.push(server);
  const port = await server.listen();
  const proof = proofOf(jws, new Secret("Bearer old-canary"));
  const post = async (more: Record<string, string> = {}, method = "POST") => {
    const headers = { authorization: `Bearer ${jws}`, [REFUSED_BY]: "s", [REFUSED_PROOF]: proof, ...more };
    const response = await fetch(`http://127.0.0.1:${port}${REFETCH_PATH}`, { method, headers });
    return { status: response.status, text: await response.text() };
  };
  return { post, jws, records, results, store };
}

const NONE = { status: 200, text: '{"credential":null}\n' };

it("P2.4-5: the call's other credential, once, after its audit line, which has no value in it", async () => {
  const { post, records, results } = await world();
  const answer = {
    credential: { header: "authorization", value: "Bearer new-canary", more: null, destination: THERE },
  };
  expect(JSON.parse((await post()).text)).toEqual(answer);
  expect(records).toMatchObject([{ decision: "allow", subject: who.subject, server: "s", credential: "vault" }]);
  expect(records[0]?.request_id).not.toBe("r1");
  expect(JSON.stringify(records)).not.toContain("canary");
  expect(await post()).toEqual(NONE);
  expect(results).toEqual(["renewed", "unknown"]);
});

it("P15: none without its audit line", async () => {
  const { post } = await world({ written: false });
  expect(await post()).toEqual(NONE);
});

it("none where the store has the refused one still", async () => {
  const { post, results, records } = await world({ value: "Bearer old-canary" });
  expect([await post(), results, records]).toEqual([NONE, ["same"], []]);
});

const other = makeKey("k1");
describe("none, and the store is not asked, for", () => {
  it.each<[string, Record<string, string>]>([
    ["the wristband alone", { [REFUSED_PROOF]: "" }],
    ["a guessed credential", { [REFUSED_PROOF]: proofOf(signed().jws, new Secret("Bearer old-canary")) }],
    ["another server of the same caller", { [REFUSED_BY]: "t" }],
    ["no server", { [REFUSED_BY]: "" }],
    ["another call of the same caller", { authorization: `Bearer ${signed().jws}` }],
    ["a list", { authorization: `Bearer ${signed({ use: "list", merged: false }).jws}` }],
    [
      "another's signature",
      { authorization: `Bearer ${signed(undefined, { ...signing, privateKey: other.privateKey }).jws}` },
    ],
    ["no wristband", { authorization: "" }],
    ["another scheme", { authorization: "Basic YTpi" }],
  ])("%s", async (_, headers) => {
    const { post, store, results } = await world();
    expect(await post(headers)).toEqual(NONE);
    expect([store.asked, results]).toEqual([0, ["unknown"]]);
    // And the call's own question is answered still.
    expect((await post()).text).toContain("new-canary");
  });
  it("a call whose text is altered", async () => {
    const { post, jws, store } = await world();
    const [head = "", body = "", tail = ""] = jws.split(".");
    const claims = JSON.parse(Buffer.from(body, "base64url").toString()) as object;
    const bent = Buffer.from(JSON.stringify({ ...claims, sub: "bob" })).toString("base64url");
    expect(await post({ authorization: `Bearer ${head}.${bent}.${tail}` })).toEqual(NONE);
    expect(store.asked).toBe(0);
  });
  it.each(["GET", "PUT", "DELETE"])("%s", async (method) => {
    const { post, store } = await world();
    expect([(await post({}, method)).status, store.asked]).toEqual([405, 0]);
  });
});

it("a wristband names the place only for a call whose credential can be fetched anew", () => {
  const findKey = () => createPublicKey({ key: key.jwk as never, format: "jwk" });
  const verify = createVerifier({ ...WRISTBAND, findKey, now: Date.now });
  const placeIn = (use?: object) => {
    const verified = verify(signed(use).jws);
    return verified.ok && verified.value.use === "call" ? (verified.value.refetch ?? null) : verified;
  };
  expect([placeIn(), placeIn({ use: "call", body: Buffer.from("{}"), destinations: {} })]).toEqual(["h:1", null]);
});

it.each([
  [{ kind: "tcp", host: "127.0.0.1", port: 9002 }, "127.0.0.1:9002"],
  [{ kind: "tcp", host: "::1", port: 9002 }, "[::1]:9002"],
  [{ kind: "tcp", host: "127.0.0.1", port: 0 }, null],
  [{ kind: "unix", path: "/run/ops" }, null],
])("the place of a listener %j is %s", (ops, at) => {
  expect(refetchAddress({ wristband: { opsAddress: null }, listen: { ops } } as unknown as Config)).toBe(at);
});
