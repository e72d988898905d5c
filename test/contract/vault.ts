// What a Vault must do for us, asked of the fake and of the real OpenBao by the same suite.
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import type { VaultSettings } from "../../src/credential/vault/vault.ts";
import { ask, openVault, person, type Account, type OpenVault } from "../fakes/open-vault.ts";

export interface VaultUnderTest extends Account {
  /** Writes a new version of `secret/<path>`. */
  put(path: string, data: unknown, owner?: { issuer: string; subject: string }): Promise<void>;
  /** Soft-deletes the newest version. */
  remove(path: string): Promise<void>;
  destroy(path: string): Promise<void>;
  /** Ends all tokens that AppRole issued. */
  revokeLogins(): Promise<void>;
  /** For the tokens of the next log-ins. */
  ttl(seconds: number, max: number): Promise<void>;
  seal(): Promise<void>;
  unseal(): Promise<void>;
  /** A mount with KV version 1 in which our log-in may read. */
  readonly v1Mount: string;
  /** Somebody whose path the policy does not allow. */
  readonly forbiddenUser: string;
  /** Lease, maximum and time of the test of short leases. */
  readonly soak: { readonly seconds: number; readonly max: number; readonly ms: number };
  stop(): Promise<void>;
}

const PATH = "alice/api.github.com";
const ALICE = person("alice");

export function vaultContract(name: string, start: () => Promise<VaultUnderTest>): void {
  describe(`a Vault: ${name}`, () => {
    let vault: VaultUnderTest;
    let opened: OpenVault[] = [];
    beforeAll(async () => {
      vault = await start();
    });
    afterAll(() => vault.stop());
    beforeEach(() => vault.ttl(3600, 7200));
    afterEach(async () => {
      for (const { vault: ours } of opened.splice(0)) await ours.close();
      opened = [];
    });

    async function open(settings: Partial<VaultSettings> = {}, account: Partial<Account> = {}): Promise<OpenVault> {
      const ours = openVault({ ...vault, ...account }, { cacheTtlMs: 0.5, negativeTtlMs: 0.5, ...settings });
      opened.push(ours);
      await ours.vault.start();
      return ours;
    }

    it("P2.4-1, P2.4-2, P9.1-3: alice gets what is at her name and the host; bob does not", async () => {
      await vault.put(PATH, { token: "pat-of-alice" });
      const source = (await open()).source();
      expect(await ask(source, ALICE)).toEqual(["found", "Bearer pat-of-alice"]);
      expect(await ask(source, person("bob"))).toEqual(["hasNone", "no entry"]);
    });

    it("P2.4-5: a new version is used", async () => {
      await vault.put(PATH, { token: "old" });
      const source = (await open()).source({ scheme: "" });
      expect(await ask(source, ALICE)).toEqual(["found", "old"]);
      await vault.put(PATH, { token: "new" });
      expect(await ask(source, ALICE)).toEqual(["found", "new"]);
    });

    it("A2: a deleted and a destroyed version are has none, and a later one is found", async () => {
      await vault.put("dora/api.github.com", { token: "x" });
      await vault.remove("dora/api.github.com");
      const source = (await open()).source();
      expect(await ask(source, person("dora"))).toEqual(["hasNone", "the entry is deleted"]);
      await vault.put("dora/api.github.com", { token: "y" });
      await vault.destroy("dora/api.github.com");
      expect(await ask(source, person("dora"))).toEqual(["hasNone", "the entry is deleted"]);
      await vault.put("dora/api.github.com", { token: "z" });
      expect(await ask(source, person("dora"))).toEqual(["found", "Bearer z"]);
    });

    it.each<[string, unknown]>([
      ["an entry without fields", {}],
      ["an entry that is null", null],
      ["another field", { pat: "x" }],
      ["a number", { token: 7 }],
      ["an object", { token: { a: "x" } }],
      ["nothing", { token: "" }],
      ["null", { token: null }],
      ["a newline", { token: "x\ny: z" }],
      ["a space", { token: "x y" }],
      ["not ASCII", { token: "pät" }],
      ["more than 4 KiB", { token: "x".repeat(4097) }],
      ["more than 64 KiB", { token: "x", other: "y".repeat(70_000) }],
      ["two fields that differ in case", { token: "x", Token: "y" }],
    ])("G09, G16, G19: %s is cannot tell", async (_, data) => {
      await vault.put("eve/api.github.com", data);
      expect((await ask((await open()).source(), person("eve")))[0]).toBe("cannotTell");
    });

    it("A2: a mount that is not there is cannot tell, though a Vault says 404", async () => {
      const ours = await open();
      expect((await ask(ours.source({ mount: "nowhere" }), ALICE))[0]).toBe("cannotTell");
      expect(JSON.stringify(ours.told)).toContain("vault_mount_unusable");
    });

    it("G10: a KV v1 mount is cannot tell, and the log says what to change", async () => {
      const ours = await open();
      const [answer, detail] = await ask(ours.source({ mount: vault.v1Mount }), ALICE);
      expect([answer, detail]).toEqual(["cannotTell", `mount ${vault.v1Mount}: the mount is not KV version 2`]);
      expect(JSON.stringify(ours.told)).toContain("kv enable-versioning");
    });

    it("G13: a namespace that is not there is cannot tell", async () => {
      const ours = await open({ namespace: "nowhere" });
      expect((await ask(ours.source(), ALICE))[0]).toBe("cannotTell");
    });

    it("G07: what policy refuses is cannot tell, and no log-in after another", async () => {
      const ours = await open();
      const source = ours.source();
      for (let i = 0; i < 3; i++) {
        expect(await ask(source, person(vault.forbiddenUser))).toEqual([
          "cannotTell",
          expect.stringContaining("policy"),
        ]);
      }
      expect(ours.told.filter(({ event }) => event === "login")).toHaveLength(1);
    });

    it("G07, G11: a token that was revoked is replaced once, for fifty at the same time", async () => {
      await vault.put(PATH, { token: "pat-of-alice" });
      await Promise.all(Array.from({ length: 50 }, (_, i) => vault.put(`u${i}/api.github.com`, { token: `pat-${i}` })));
      const ours = await open();
      const source = ours.source();
      expect(await ask(source, ALICE)).toEqual(["found", "Bearer pat-of-alice"]);
      await vault.revokeLogins();
      const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => ask(source, person(`u${i}`))));
      expect(answers).toEqual(Array.from({ length: 50 }, (_, i) => ["found", `Bearer pat-${i}`]));
      expect(ours.told.filter(({ event }) => event === "login")).toHaveLength(2);
    });

    it("a wrong secret id is cannot tell, and the log names the key and no value", async () => {
      const ours = await open({}, { secretId: "wr0ng-canary" });
      expect(await ask(ours.source(), ALICE)).toEqual(["cannotTell", expect.stringContaining("not logged in")]);
      const told = JSON.stringify(ours.told);
      expect(told).toContain("vault.auth.approle");
      expect(told).toContain("error vault_login_refused");
      expect(told).not.toContain("wr0ng-canary");
      expect(told).not.toContain(vault.roleId);
    });

    it("G08: sealed is cannot tell; it heals within five seconds", async () => {
      await vault.put(PATH, { token: "pat-of-alice" });
      const source = (await open()).source();
      await vault.seal();
      for (let i = 0; i < 7; i++) expect((await ask(source, ALICE))[0]).toBe("cannotTell");
      await vault.unseal();
      await vi.waitFor(async () => expect(await ask(source, ALICE)).toEqual(["found", "Bearer pat-of-alice"]), 5000);
    });

    it("a Vault that is sealed at the start is logged in to within five seconds after", async () => {
      await vault.put(PATH, { token: "pat-of-alice" });
      await vault.seal();
      const source = (await open()).source();
      expect((await ask(source, ALICE))[0]).toBe("cannotTell");
      await vault.unseal();
      await vi.waitFor(async () => expect(await ask(source, ALICE)).toEqual(["found", "Bearer pat-of-alice"]), 5000);
    });

    it("G11: short leases are renewed, and replaced at their maximum, without one refusal", async () => {
      await vault.put(PATH, { token: "pat-of-alice" });
      await vault.ttl(vault.soak.seconds, vault.soak.max);
      const ours = await open();
      const source = ours.source();
      const answers = new Set<string>();
      const until = Date.now() + vault.soak.ms;
      while (Date.now() < until) {
        answers.add((await ask(source, ALICE)).join(" "));
        await delay(20);
      }
      expect([...answers]).toEqual(["found Bearer pat-of-alice"]);
      expect(ours.told.filter(({ event }) => event === "login").length).toBeGreaterThan(1);
    });

    it("requireOwner: the entry must say that it is this caller's, byte for byte", async () => {
      const source = (await open()).source({ requireOwner: true });
      await vault.put("fay/api.github.com", { token: "pat-of-fay" });
      expect((await ask(source, person("fay")))[0]).toBe("refused");
      const { issuer } = ALICE;
      await vault.put("fay/api.github.com", { token: "pat-of-fay" }, { issuer, subject: "fay-sub" });
      expect(await ask(source, person("fay"))).toEqual(["found", "Bearer pat-of-fay"]);
      expect((await ask(source, person("fay", { subject: "Fay-sub" })))[0]).toBe("refused");
      expect((await ask(source, person("fay", { issuer: `${issuer}/` })))[0]).toBe("refused");
    });

    it("G01: names that are no segment are refused", async () => {
      const source = (await open()).source();
      for (const name of ["..", "../../admin", "%2e%2e", "a/b", "", "alice ", "*"]) {
        expect((await ask(source, person(name)))[0]).toBe("refused");
      }
    });
  });
}
