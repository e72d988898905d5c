// What the façades add to the parts behind them: faults that cannot be taken for an answer. The parts have tests of their own.
import { destinationOf } from "../authz/destination.ts";
import { BY_TOKEN } from "../../test/fakes/identity.ts";
import { describe, expect, it } from "vitest";
import { demoBundle } from "../../test/fakes/demo-bundle.ts";
import { makeKey } from "../../test/fakes/issuer.ts";
import type { Identity, Visible, WristbandUse } from "../authz/types.ts";
import { Secret } from "../secret/secret.ts";
import { createSigner } from "../wristband/sign.ts";
import { readMcpRequest } from "./mcp-reader.ts";
import { loadPolicyBundle, PolicyError, type PolicyInput } from "./policy.ts";
import { createWristbandVerifier, namesOf, WristbandError } from "./wristband.ts";

describe("mcp-reader", () => {
  const body = Buffer.from('{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"}}');
  const reasonOf = (...headers: [string, string][]) => {
    const read = readMcpRequest(body, headers);
    return read.ok ? null : read.fault.reason;
  };

  it("finds headers in any case, and a header that comes twice", () => {
    expect(reasonOf(["MCP-Method", "tools/call"], ["mcp-name", "echo"])).toBeNull();
    expect(reasonOf(["MCP-METHOD", "tools/list"])).toBe("header_mismatch");
    expect(reasonOf(["mcp-name", "echo"], ["Mcp-Name", "echo"])).toBe("header_malformed");
  });

  it("takes what a Headers object gives", () =>
    expect(readMcpRequest(body, new Headers({ "Mcp-Name": "echo" })).ok).toBe(true));
});

describe("policy", () => {
  it("an answer that is not whole throws, and none is an allow", async () => {
    const policy = await loadPolicyBundle(await demoBundle(["policy.wasm", "data.json"]));
    expect(policy.decide({} as PolicyInput).allow).toBe(false);
    const loop: Record<string, unknown> = {};
    loop["mcp"] = loop;
    expect(() => policy.decide(loop as unknown as PolicyInput)).toThrow(PolicyError);
    expect(() => policy.visible(loop as unknown as PolicyInput)).toThrow(PolicyError);
    expect(policy.revision).toMatch(/^[0-9a-f]{64}$/);
  });

  it("a bundle without a policy, or of another kind, does not load", async () => {
    await expect(loadPolicyBundle(await demoBundle(["data.json"]))).rejects.toThrow("policy.wasm");
    await expect(loadPolicyBundle(Buffer.from("\0asm"))).rejects.toThrow("bundle");
  });
});

describe("wristband", () => {
  const NOW = 1_790_000_000;
  const parties = { issuer: "https://gw.example.com", audience: "mcp-broker" };
  const key = makeKey("w");
  const body = Buffer.from("{}");
  const url = "https://demo.example.com/mcp";
  const destinations = { demo: destinationOf(url) };
  const call = { server: "demo", kind: "tool", name: "echo", url, body } as const;
  const keySet = (...keys: object[]) => Buffer.from(JSON.stringify({ keys }));
  const alice: Identity = {
    ...{ issuer: "https://idp.example.com", subject: "alice", username: "alice", groups: [], scopes: [], claims: {} },
    ...BY_TOKEN,
    actors: [],
    expiresAt: NOW + 3600,
    token: new Secret("alices-token"),
  };
  const jwsOf = (use: WristbandUse, tools: Visible["tools"] = { demo: ["echo"] }) => {
    const keys = () => [{ kid: key.kid, privateKey: key.privateKey, jwk: {} }];
    const sign = createSigner({ ...parties, ttlSeconds: 300, keys, now: () => NOW * 1000, onCache: () => {} });
    const signed = sign(alice, { tools, prompts: {}, resources: {} }, use);
    return signed.ok ? signed.value.jws : "";
  };
  const verifierOf = (now = NOW) => {
    const verifier = createWristbandVerifier({ ...parties, now: () => now * 1000 });
    verifier.setKeys(keySet(key.jwk));
    return verifier;
  };
  const carried = jwsOf({ use: "call", body, destinations });
  const shown = jwsOf({ use: "list", merged: false });

  it("each serves its own use", () => {
    expect(verifierOf().call(carried, call)).toMatchObject({ sub: "alice", use: "call" });
    expect(namesOf(verifierOf().list(shown), "tools", "demo")).toEqual(["echo"]);
    expect(() => verifierOf().call(shown, call)).toThrow(WristbandError);
    expect(() => verifierOf().list(carried)).toThrow(WristbandError);
  });

  it.each([
    ["another name", carried, { ...call, name: "delete_repo" }],
    ["another server", carried, { ...call, server: "tickets" }],
    ["another kind", carried, { ...call, kind: "prompt" as const }],
    ["another URL of this server", carried, { ...call, url: `${url}/` }],
    ["another body", carried, { ...call, body: Buffer.from("{ }") }],
    ["more than this call", jwsOf({ use: "call", body, destinations }, { demo: ["echo", "whoami"] }), call],
    ["no wristband", "", call],
  ])("%s is refused", (_, jws, asked) => expect(() => verifierOf().call(jws, asked)).toThrow(WristbandError));

  it("so is one that is over, and each one without keys", () => {
    expect(() => verifierOf(NOW + 301).call(carried, call)).toThrow("time");
    expect(() => createWristbandVerifier(parties).call(carried, call)).toThrow("kid");
  });

  it("a set of keys that cannot be read leaves those that are in force; one without a key ends it", () => {
    const verifier = verifierOf();
    expect(() => verifier.setKeys(Buffer.from("{}"))).toThrow(Error);
    expect(verifier.list(shown).sub).toBe("alice");
    verifier.setKeys(keySet(makeKey("other").jwk));
    expect(() => verifier.list(shown)).toThrow("kid");
  });
});
