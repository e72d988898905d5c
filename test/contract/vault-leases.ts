// What becomes of dynamic secrets, asked of the fake and of the real OpenBao by the same suite. The engine makes a user with a name
// and a password, as `rabbitmq` and `database` do.
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import type { VaultSettings } from "../../src/credential/vault/vault.ts";
import type { VaultEntry } from "../../src/credential/vault/source.ts";
import type { RefusedCredential } from "../../src/credential/source.ts";
import { ask, openVault, person, type Account, type OpenVault } from "../fakes/open-vault.ts";

export interface EngineUnderTest extends Account {
  /** Where the engine is mounted; its role `app` makes secrets, `nobody` is no role, and our log-in may not use `secret-role`. */
  readonly mount: string;
  /** Names of the users that it made and that still are there. */
  users(): readonly string[];
  /** Lease and maximum of the next secrets, in seconds. */
  lease(seconds: number, max: number): Promise<void>;
  /** Ends all leases of the engine. */
  revokeLeases(): Promise<void>;
  /** Ends all tokens that AppRole issued. */
  revokeLogins(): Promise<void>;
  stop(): Promise<void>;
}

const ALICE = person("alice");
const BOB = person("bob");
const WAIT = 8000;

export function vaultLeasesContract(name: string, start: () => Promise<EngineUnderTest>): void {
  describe(`dynamic secrets: ${name}`, () => {
    let engine: EngineUnderTest;
    let opened: OpenVault[] = [];
    beforeAll(async () => {
      engine = await start();
    });
    afterAll(() => engine.stop());
    beforeEach(() => engine.lease(3600, 7200));
    afterEach(async () => {
      for (const { vault } of opened.splice(0)) await vault.close();
      opened = [];
    });

    async function open(settings: Partial<VaultSettings> = {}): Promise<OpenVault> {
      const ours = openVault(engine, settings);
      opened.push(ours);
      await ours.vault.start();
      return ours;
    }
    const sourceOf = (ours: OpenVault, entry: Omit<Partial<VaultEntry>, "path"> & { path?: string } = {}) =>
      ours.source({
        mount: engine.mount,
        path: "creds/app",
        field: "username",
        scheme: "",
        dynamic: { idleMs: 60_000 },
        ...entry,
      });
    const events = ({ told }: OpenVault) =>
      told.flatMap(({ event, fields }) => (event === "lease" ? [String((fields as unknown[])[0])] : []));
    const found = async (source: ReturnType<typeof sourceOf>, who = ALICE) => {
      const [answer, value] = await ask(source, who);
      expect([answer, value]).toEqual(["found", expect.any(String)]);
      return value;
    };

    it("P7.2-3: each caller has a secret of her own, which is made once and kept", async () => {
      const ours = await open();
      const source = sourceOf(ours, { more: [{ header: "x-password", field: "password", scheme: "" }] });
      const [alice, bob] = [await found(source), await found(source, BOB)];
      expect(alice).not.toBe(bob);
      expect(await found(source)).toBe(alice);
      expect([...engine.users()].sort()).toEqual([alice, bob].sort());
      const lookup = await source.get(ALICE, new AbortController().signal);
      expect("found" in lookup && [lookup.found.more?.[0]?.header, lookup.found.origin, lookup.found.isCached]).toEqual(
        ["x-password", { path: `${engine.mount}/creds/app` }, true],
      );
      expect(events(ours)).toEqual(["issued", "issued"]);
    });

    it("P4: thirty who ask at once get one secret; another server's is another", async () => {
      const ours = await open();
      const source = sourceOf(ours);
      const all = new Set(await Promise.all(Array.from({ length: 30 }, () => found(source))));
      expect([all.size, engine.users().length]).toEqual([1, 1]);
      expect(all).not.toContain(await found(sourceOf(ours, { server: "other" })));
    });

    it("G11: a lease is renewed while it is used, and one secret outlives it", async () => {
      await engine.lease(2, 60);
      const ours = await open();
      const source = sourceOf(ours);
      const first = await found(source);
      for (const end = Date.now() + 4500; Date.now() < end; await delay(50)) expect(await found(source)).toBe(first);
      expect(engine.users()).toEqual([first]);
      expect(events(ours).filter((event) => event === "renewed").length).toBeGreaterThan(1);
    });

    it("G11: at its maximum a lease is replaced without one refusal, and no secret is used past its end", async () => {
      await engine.lease(2, 4);
      const ours = await open();
      const source = sourceOf(ours);
      const seen = new Set<string>();
      for (const end = Date.now() + 8000; Date.now() < end; await delay(40)) {
        const value = await found(source);
        seen.add(value);
        expect(engine.users()).toContain(value);
      }
      expect(seen.size).toBeGreaterThan(1);
    });

    it("P7.2-3: it is revoked when it was not used for a while", async () => {
      const source = sourceOf(await open(), { dynamic: { idleMs: 400 } });
      const first = await found(source);
      expect(engine.users()).toEqual([first]);
      await vi.waitFor(() => expect(engine.users()).toEqual([]), WAIT);
      expect(await found(source)).not.toBe(first);
    });

    it("P7.2-3: all are revoked when the gateway ends", async () => {
      const ours = await open();
      const source = sourceOf(ours);
      await Promise.all([ALICE, BOB, person("carol")].map((who) => found(source, who)));
      expect(engine.users()).toHaveLength(3);
      await ours.vault.close();
      await vi.waitFor(() => expect(engine.users()).toEqual([]), WAIT);
    });

    it("G18: hers is revoked with the caller, and nobody else's", async () => {
      const ours = await open();
      const source = sourceOf(ours);
      const [, bob] = [await found(source), await found(source, BOB)];
      ours.vault.purge(({ sub }) => sub === ALICE.subject);
      await vi.waitFor(() => expect(engine.users()).toEqual([bob]), WAIT);
      expect(await found(source, BOB)).toBe(bob);
    });

    it("a lease that the Vault has ended is noticed at its renewal, and the next call gets another secret", async () => {
      await engine.lease(2, 60);
      const ours = await open();
      const source = sourceOf(ours);
      const first = await found(source);
      await engine.revokeLeases();
      await vi.waitFor(async () => expect(await found(source)).not.toBe(first), WAIT);
      expect(events(ours)).toContain("lost");
      expect(engine.users()).toEqual([await found(source)]);
    });

    it("a secret that its server refused is made anew once, and the lease of the old one ends", async () => {
      const ours = await open();
      const source = sourceOf(ours);
      const first = await found(source);
      const held = await source.get(ALICE, new AbortController().signal);
      const credential = "found" in held ? held.found : undefined;
      const refused = (may: boolean): RefusedCredential => ({ credential: credential!, mayAsk: () => may });
      const again = async (may: boolean) => {
        const lookup = await source.get(ALICE, AbortSignal.timeout(5000), refused(may));
        return "found" in lookup ? lookup.found.value?.reveal() : undefined;
      };
      expect(await again(false)).toBe(first);
      const second = await again(true);
      expect(second).not.toBe(first);
      expect(await found(source)).toBe(second);
      await ours.vault.close();
      await vi.waitFor(() => expect(engine.users()).toEqual([]), WAIT);
    });

    it("the leases of a log-in that ended end with it: what was kept is used no more once that is known", async () => {
      await engine.lease(2, 60);
      const source = sourceOf(await open());
      const first = await found(source);
      await engine.revokeLogins();
      await vi.waitFor(async () => expect(await found(source)).not.toBe(first), WAIT);
      await vi.waitFor(async () => expect(engine.users()).toEqual([await found(source)]), WAIT);
    });

    it.each<[string, Omit<Partial<VaultEntry>, "path"> & { path?: string }]>([
      ["a role that is not there", { path: "creds/nobody" }],
      ["a role that our log-in may not use", { path: "creds/secret-role" }],
      ["a field that is not there", { field: "token" }],
      ["an entry of a KV engine, which has no lease", { mount: "secret", path: "data/alice/x", field: "data" }],
      ["a mount that is not there", { mount: "nowhere" }],
    ])("%s is cannot tell, and nothing is left behind", async (_, entry) => {
      const ours = await open();
      expect((await ask(sourceOf(ours, entry), ALICE))[0]).toBe("cannotTell");
      await vi.waitFor(() => expect(engine.users()).toEqual([]), WAIT);
    });

    it("P6: no value is in a log or a metric", async () => {
      const ours = await open();
      const source = sourceOf(ours, { field: "password" });
      const value = await found(source);
      await ours.vault.close();
      expect(JSON.stringify(ours.told)).not.toContain(value);
    });
  });
}
