import { createPublicKey } from "node:crypto";
import { describe, expect, it } from "vitest";
import { ALICE } from "../../test/fakes/authz.ts";
import { makeKey } from "../../test/fakes/issuer.ts";
import { claimsOf, KEY, publicKeysOf, WRISTBAND, wristband } from "../../test/fakes/wristband.ts";
import type { Identity, WristbandUse } from "../authz/types.ts";
import { createSigner } from "./sign.ts";
import { createVerifier } from "./verify.ts";

const key = makeKey("k");
const publicKey = createPublicKey({ key: key.jwk, format: "jwk" });
const now = () => 1_790_000_000_000;
const signer = () =>
  createSigner({ ...WRISTBAND, ttlSeconds: 300, keys: () => [{ kid: "k", privateKey: key.privateKey, jwk: {} }], now });

function claimsFor(claims: Identity["claims"], use: WristbandUse, sign = signer()) {
  const step = sign({ ...ALICE, claims }, { tools: {}, prompts: {}, resources: {} }, use);
  if (!step.ok) throw new Error(step.reason);
  const verified = createVerifier({ ...WRISTBAND, findKey: () => publicKey, now })(step.value.jws);
  if (!verified.ok) throw new Error(verified.fault);
  return { ...verified.value, jws: step.value.jws };
}

describe("B08: the claim client, so that two clients of one user are told apart", () => {
  it.each<[string, Identity["claims"], string]>([
    ["azp", { azp: "agent" }, "agent"],
    ["client_id", { client_id: "agent" }, "agent"],
    ["azp before client_id", { azp: "agent", client_id: "other" }, "agent"],
    ["client_id where azp is empty", { azp: "", client_id: "agent" }, "agent"],
    ["client_id where azp is no text", { azp: ["x"], client_id: "agent" }, "agent"],
    ["nothing", {}, ""],
    ["no text", { azp: 1, client_id: null }, ""],
  ])("%s", (_, claims, client) => {
    for (const use of [
      { use: "session" },
      { use: "list", merged: true },
      { use: "call", body: Buffer.from(""), destinations: {} },
    ] as const)
      expect(claimsFor(claims, use).client).toBe(client);
  });

  it("long ones that begin alike stay different", () => {
    const clientOf = (end: string) => claimsFor({ azp: `${"a".repeat(4000)}${end}` }, { use: "session" }).client;
    expect(clientOf("b")).not.toBe(clientOf("c"));
    expect(clientOf("b")).toMatch(/^sha256:[\w-]{43}$/);
    const digest = clientOf("b");
    expect(claimsFor({ azp: digest }, { use: "session" }).client).not.toBe(digest);
  });

  it("a wristband that was signed for one client is not used again for another", () => {
    const sign = signer();
    for (const use of [{ use: "session" }, { use: "list", merged: false }] as const) {
      const first = claimsFor({ azp: "a" }, use, sign);
      expect(claimsFor({ azp: "a" }, use, sign).jws).toBe(first.jws);
      expect(claimsFor({ azp: "b" }, use, sign)).toMatchObject({ client: "b" });
    }
  });
});

describe("use session", () => {
  const verify = createVerifier({ ...WRISTBAND, findKey: publicKeysOf(new Map([[KEY.kid, KEY]])), now: Date.now });
  const verdict = (more: object) => {
    const verified = verify(wristband(claimsOf({ use: "session", ...more })));
    return verified.ok ? verified.value.use : verified.fault;
  };

  it("names nothing", () => {
    expect(verdict({})).toBe("session");
    for (const kind of ["tools", "prompts", "resources"]) expect(verdict({ [kind]: { s: ["a"] } })).toBe("claims");
    expect(verdict({ tools: { s: [] } })).toBe("claims");
    expect(verdict({ body: "A".repeat(43) })).toBe("claims");
  });

  it("a wristband is never signed for a session and for a list at once", () => {
    const sign = signer();
    const list = claimsFor({}, { use: "list", merged: false }, sign);
    const session = claimsFor({}, { use: "session" }, sign);
    expect([list.use, session.use]).toEqual(["list", "session"]);
    expect(session.jws).not.toBe(list.jws);
  });

  it.each([
    ["client missing", { client: undefined }],
    ["client as a number", { client: 1 }],
    ["client too long", { client: "a".repeat(257) }],
  ])("%s: no wristband", (_, more) => expect(verdict(more)).toBe("claims"));
});
