import { vaultLeasesContract } from "../contract/vault-leases.ts";
import { vaultContract } from "../contract/vault.ts";
import { startFakeVault } from "../fakes/vault.ts";

vaultContract("the fake", async () => {
  const fake = await startFakeVault();
  fake.mounts.set("old", "1");
  fake.forbidden.add("mallory/api.github.com");
  const now = (run: () => void) => Promise.resolve(run());
  return {
    ...{ address: fake.address, roleId: fake.roleId, secretId: fake.secretId },
    ...{ v1Mount: "old", forbiddenUser: "mallory", soak: { seconds: 1, max: 2, ms: 3500 } },
    put: (path, data, owner) => now(() => fake.put(path, data, owner)),
    remove: (path) => now(() => fake.remove(path)),
    destroy: (path) => now(() => fake.destroy(path)),
    revokeLogins: () => now(() => fake.revokeAll()),
    ttl: (seconds, max) => now(() => (fake.ttl = { seconds, max })),
    seal: () => now(() => (fake.sealed = true)),
    unseal: () => now(() => (fake.sealed = false)),
    stop: () => fake.stop(),
  };
});

vaultLeasesContract("the fake", async () => {
  const fake = await startFakeVault();
  fake.mounts.set("rabbit", "dynamic");
  const now = (run: () => void) => Promise.resolve(run());
  return {
    ...{ address: fake.address, roleId: fake.roleId, secretId: fake.secretId, mount: "rabbit" },
    users: () => [...fake.leases().values()].map(({ user }) => user),
    lease: (seconds, max) => now(() => (fake.lease = { seconds, max })),
    revokeLeases: () => now(() => fake.endLeases()),
    revokeLogins: () => now(() => fake.revokeAll()),
    stop: () => fake.stop(),
  };
});
