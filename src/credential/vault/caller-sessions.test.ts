// Callers' own log-ins at a Vault, against the fake: whose token asks, how often, and what becomes of it.
import { createHash, randomBytes } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ask, openVault, person, type OpenVault } from "../../../test/fakes/open-vault.ts";
import { startFakeVault, type FakeVault } from "../../../test/fakes/vault.ts";
import type { Identity } from "../../authz/types.ts";
import { Secret } from "../../secret/secret.ts";

let fake: FakeVault;
/** Vault tokens by the caller's token that got them. */
let issued: Map<string, string>;
let seconds: number;
beforeAll(async () => {
  fake = await startFakeVault();
  for (const who of ["alice", "bob"]) fake.put(`${who}/api.github.com`, { token: `pat-of-${who}` });
});
afterAll(() => fake.stop());

beforeEach(() => {
  issued = new Map();
  seconds = 3600;
  fake.requests.length = 0;
  fake.intercept = ({ url, body, headers }, response) => {
    const json = (status: number, value: unknown) =>
      void response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
    if (url === "/v1/auth/jwt/login") {
      const { jwt, role } = JSON.parse(body) as { jwt: string; role: string };
      if (role !== "mcp" || jwt.includes("stranger")) return (json(400, { errors: ["no"] }), true);
      const token = `s.${randomBytes(12).toString("hex")}`;
      issued.set(jwt, token);
      return (json(200, { auth: { client_token: token, lease_duration: seconds, renewable: true } }), true);
    }
    const isCallers = [...issued.values()].includes(String(headers["x-vault-token"]));
    if (isCallers && url.endsWith("revoke-self")) {
      for (const [jwt, token] of issued) if (token === headers["x-vault-token"]) issued.delete(jwt);
      return (void response.writeHead(204).end(), true);
    }
    if (isCallers) headers["x-vault-token"] = fake.rootToken;
    return false;
  };
});

async function withVault<T>(run: (ours: OpenVault, clock: { now: number }) => Promise<T>, role = "mcp"): Promise<T> {
  const clock = { now: 1 };
  const settings = { callerLogin: { mount: "jwt", role }, cacheTtlMs: 0.5, negativeTtlMs: 0.5 };
  const ours = openVault(fake, settings, { monotonic: () => clock.now });
  try {
    return await run(ours, clock);
  } finally {
    await ours.vault.close();
  }
}

const caller = (who: string, more: object = {}): Identity =>
  person(who, {
    token: new Secret(`jwt-of-${who}`),
    expiresAt: Math.floor(Date.now() / 1000) + 3600,
    ...more,
  });
const logins = () => fake.requests.filter(({ url }) => url.endsWith("jwt/login")).length;

describe("by the caller's own token", () => {
  it("each caller reads with a Vault token of her own, got once; at the end all are given back", async () => {
    await withVault(async (ours, clock) => {
      const source = ours.source({ asCaller: true });
      for (const who of ["alice", "bob", "alice"]) {
        expect(await ask(source, caller(who))).toEqual(["found", `Bearer pat-of-${who}`]);
        clock.now += 10;
      }
      expect([logins(), issued.size]).toEqual([2, 2]);
      const told = JSON.stringify(ours.told);
      for (const text of ["jwt-of-", ...issued.values()]) expect(told).not.toContain(text);
    });
    expect(issued.size).toBe(0);
  });

  it("many at once log in once; a lease near its end is replaced, and never outlives her token", async () => {
    await withVault(async (ours, clock) => {
      const source = ours.source({ asCaller: true });
      await Promise.all(Array.from({ length: 20 }, () => ask(source, caller("alice"))));
      expect(logins()).toBe(1);
      clock.now += 2400 * 1000 + 1;
      await ask(source, caller("alice"));
      expect(logins()).toBe(2);
      const short = caller("alice", {
        expiresAt: Math.floor(Date.now() / 1000) + 10,
        token: new Secret("jwt-of-alice-2"),
      });
      await ask(source, short);
      clock.now += 10_001;
      await ask(source, short);
      expect(logins()).toBe(4);
    });
  });

  it("attack: another token of the same person gets a log-in and a look-up of its own", async () => {
    await withVault(async (ours) => {
      const source = ours.source({ asCaller: true });
      await ask(source, caller("alice"));
      const other = caller("alice", { token: new Secret("jwt-of-stranger") });
      expect(await ask(source, other)).toEqual(["refused", "the Vault does not take the caller's token"]);
    });
  });

  it("a caller with a key, a role that is none, no log-in set up: never the gateway's own token in its place", async () => {
    const keyed = { ...caller("alice"), method: "api_key", opens: null } as unknown as Identity;
    await withVault(async (ours) => {
      const gateways = fake.requests.length;
      expect((await ask(ours.source({ asCaller: true }), keyed))[0]).toBe("refused");
      expect(fake.requests).toHaveLength(gateways);
    });
    await withVault(
      async (ours) => expect((await ask(ours.source({ asCaller: true }), caller("alice")))[0]).toBe("refused"),
      "none",
    );
    const without = openVault(fake, { callerLogin: null });
    expect((await ask(without.source({ asCaller: true }), caller("alice")))[0]).toBe("cannotTell");
    await without.vault.close();
    expect(fake.reads()).toBe(0);
  });

  it("a token that died is replaced once; a policy that denies is cannot tell", async () => {
    await withVault(async (ours, clock) => {
      const source = ours.source({ asCaller: true });
      await ask(source, caller("alice"));
      issued.clear(); // revoked at the Vault
      clock.now += 10;
      expect(await ask(source, caller("alice"))).toEqual(["found", "Bearer pat-of-alice"]);
      expect(logins()).toBe(2);
      fake.forbidden.add("bob/api.github.com");
      expect((await ask(source, caller("bob")))[0]).toBe("cannotTell");
      fake.forbidden.clear();
      expect(logins()).toBe(3);
    });
  });

  it("whoever is revoked has her Vault token given back", async () => {
    await withVault(async (ours) => {
      await ask(ours.source({ asCaller: true }), caller("alice"));
      ours.vault.purge(({ sub }) => sub === "alice-sub");
      await expect.poll(() => issued.size).toBe(0);
    });
  });

  it("a mount of KV version 1, and a Vault that is away, are cannot tell", async () => {
    await withVault(async (ours) => {
      fake.mounts.set("old", "1");
      expect((await ask(ours.source({ asCaller: true, mount: "old" }), caller("alice")))[0]).toBe("cannotTell");
      fake.sealed = true;
      const other = caller("alice", { token: new Secret(createHash("sha256").update("x").digest("hex")) });
      const before = fake.intercept;
      fake.intercept = null;
      expect((await ask(ours.source({ asCaller: true }), other))[0]).toBe("cannotTell");
      fake.intercept = before;
      fake.sealed = false;
    });
  });
});
