import { describe, expect, it, vi } from "vitest";
import { person, shown } from "../../../test/fakes/open-vault.ts";
import { createLookupCache } from "../lookup-cache.ts";
import type { EntryResult } from "./entry.ts";
import { parsePath, type PathTemplate } from "./path.ts";
import { vaultSource, type VaultEntry, type VaultSourceDeps } from "./source.ts";

const never = new AbortController().signal;
const ALICE = person("alice");
const NOBODY = { issuer: undefined, subject: undefined };

const found = (value: string, endsAt: number | null = null): EntryResult => ({
  found: { value, more: ["second-key"], version: 7, owner: NOBODY, endsAt },
});

function setUp(reading: (path: string) => EntryResult, random = 0.5) {
  const clock = { ms: 1 };
  const read = vi.fn(({ path }: { path: string }) => Promise.resolve(reading(path)));
  const outcomes: string[] = [];
  const deps: VaultSourceDeps = {
    vaultId: "v",
    read,
    cache: createLookupCache({ monotonic: () => clock.ms }),
    cacheTtlMs: 60_000,
    negativeTtlMs: 5000,
    aliasOf: () => null,
    now: () => clock.ms,
    monotonic: () => clock.ms,
    random: () => random,
    onRead: (_, { outcome }) => outcomes.push(outcome),
  };
  const source = (more: Partial<VaultEntry> = {}, others: Partial<VaultSourceDeps> = {}) =>
    vaultSource(
      {
        server: "github",
        host: "api.github.com",
        mount: "secret",
        path: parsePath("{username}/{host}") as PathTemplate,
        field: "token",
        requireOwner: false,
        header: "authorization",
        scheme: "Bearer",
        ...more,
      },
      { ...deps, ...others },
    );
  return { clock, read, outcomes, source };
}

describe("what is kept", () => {
  it("a credential, for its time; and it is at hand then, without a promise", async () => {
    const { clock, read, source } = setUp(() => found("pat"));
    const github = source();
    expect(await github.get(ALICE, never)).toMatchObject({ found: { kind: "vault", header: "authorization" } });
    clock.ms += 59_900;
    const again = github.get(ALICE, never);
    expect(again).not.toBeInstanceOf(Promise);
    clock.ms += 200;
    await github.get(ALICE, never);
    expect(read).toHaveBeenCalledTimes(2);
  });

  it.each([
    [0, 54_000],
    [1, 66_000],
  ])("D20: with a tenth of jitter (%d: %d ms)", async (random, ttl) => {
    const { clock, read, source } = setUp(() => found("pat"), random);
    await source().get(ALICE, never);
    clock.ms += ttl - 100;
    await source().get(ALICE, never);
    expect(read).toHaveBeenCalledTimes(1);
    clock.ms += 200;
    await source().get(ALICE, never);
    expect(read).toHaveBeenCalledTimes(2);
  });

  it("D19: not beyond the time at which a Vault deletes the version", async () => {
    const { clock, read, source } = setUp(() => found("pat", 3001));
    await source().get(ALICE, never);
    clock.ms += 2900;
    await source().get(ALICE, never);
    expect(read).toHaveBeenCalledTimes(1);
    clock.ms += 200;
    await source().get(ALICE, never);
    await source().get(ALICE, never);
    expect(read).toHaveBeenCalledTimes(3);
  });

  it("has none, for a short time; cannot tell, never", async () => {
    const answers: EntryResult[] = [
      { none: "no entry" },
      { cannotTell: "timeout" },
      { cannotTell: "timeout" },
      found("x"),
    ];
    const { clock, source } = setUp(() => answers.shift() ?? { none: "no entry" });
    const said: string[] = [];
    for (const pause of [4900, 200, 0, 0, 0]) {
      said.push(shown(await source().get(ALICE, never))[0]);
      clock.ms += pause;
    }
    expect(said).toEqual(["hasNone", "hasNone", "cannotTell", "cannotTell", "found"]);
  });
});

it("P2.4-6, P7.4-4: the path and the version that were read go to the audit line, also when the answer was kept", async () => {
  const { read, source } = setUp(() => found("pat"));
  for (let i = 0; i < 2; i += 1) {
    const answer = await source().get(ALICE, never);
    expect("found" in answer && answer.found.origin).toEqual({ path: "secret/alice/api.github.com", version: 7 });
  }
  expect(read).toHaveBeenCalledTimes(1);
});

describe("P4, D17: what the key tells apart", () => {
  it.each<[string, Partial<VaultEntry>, Partial<VaultSourceDeps>]>([
    ["server", { server: "gitlab" }, {}],
    ["host", { host: "api.gitlab.com" }, {}],
    ["mount", { mount: "other" }, {}],
    ["field", { field: "pat" }, {}],
    ["header", { header: "x-api-key" }, {}],
    ["scheme", { scheme: "" }, {}],
    ["owner check", { requireOwner: true }, {}],
    ["Vault", {}, { vaultId: "w" }],
  ])("%s", async (_, entry, deps) => {
    const { read, source } = setUp(() => found("pat"));
    await source().get(ALICE, never);
    await source(entry, deps).get(ALICE, never);
    expect(read).toHaveBeenCalledTimes(2);
  });

  it.each([
    ["issuer", person("alice", { issuer: "https://other.example.com" })],
    ["subject", person("alice", { subject: "another" })],
    ["username", person("bob", { subject: ALICE.subject })],
  ])("%s", async (_, other) => {
    const { read, source } = setUp(() => found("pat"));
    await source().get(ALICE, never);
    await source().get(other, never);
    expect(read).toHaveBeenCalledTimes(2);
  });
});

it("G05: two issuers with the same sub, username and path share neither an answer nor a read under way", async () => {
  const { read, source } = setUp(() => found("pat"));
  const other = { ...ALICE, issuer: "https://other.example.com" };
  const github = source();
  await Promise.all([ALICE, other, ALICE, other].map(async (person) => github.get(person, never)));
  expect(read).toHaveBeenCalledTimes(2);
  await Promise.all([ALICE, other].map(async (person) => github.get(person, never)));
  expect(read).toHaveBeenCalledTimes(2);
});

it("P5: fifty first calls at once are one read", async () => {
  const { read, source } = setUp(() => found("pat"));
  const github = source();
  await Promise.all(Array.from({ length: 50 }, async () => github.get(ALICE, never)));
  expect(read).toHaveBeenCalledTimes(1);
});

it("M10: a name that is no segment is refused at once, without a promise and without a read", () => {
  const { read, source } = setUp(() => found("pat"));
  for (const username of ["../admin", "", null]) {
    expect(source().get({ ...ALICE, username }, never)).toMatchObject({ refused: expect.any(String) as string });
  }
  expect(read).not.toHaveBeenCalled();
});

it("requireOwner: somebody else's entry is refused, and counted", async () => {
  const owned = (issuer: unknown, subject: unknown) =>
    ({ found: { value: "pat", version: 7, owner: { issuer, subject }, endsAt: null } }) as EntryResult;
  const cases: [EntryResult, string][] = [
    [found("pat"), "refused"],
    [owned(ALICE.issuer, undefined), "refused"],
    [owned(undefined, ALICE.subject), "refused"],
    [owned(ALICE.issuer, ALICE.subject.toUpperCase()), "refused"],
    [owned([ALICE.issuer], ALICE.subject), "refused"],
    [owned(ALICE.subject, ALICE.issuer), "refused"],
    [{ none: "no entry" }, "hasNone"],
    [owned(ALICE.issuer, ALICE.subject), "found"],
  ];
  for (const [reading, expected] of cases) {
    const { outcomes, source } = setUp(() => reading);
    expect(shown(await source({ requireOwner: true }).get(ALICE, never))[0]).toBe(expected);
    expect(outcomes).toEqual([{ refused: "not_owner", hasNone: "none", found: "ok" }[expected]]);
  }
});
