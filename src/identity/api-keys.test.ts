import { hash } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { KeyToIdentify } from "../authz/ports.ts";
import { createApiKeys, type ApiKey, type ApiKeyDeps } from "./api-keys.ts";

const NOW = 1_790_000_000;
const KEY = "k".repeat(21) + "1";
const OTHER = "o".repeat(43);
const sha = (text: string) => hash("sha256", text);

const keyOf = (more: Partial<ApiKey> = {}): ApiKey => ({
  ...{ name: "job", sha256: [sha(KEY)], header: "x-api-key", bearer: false, basic: false, expiresAt: null },
  ...{ opens: new Set(["s"]), kind: "machine", username: null, groups: [], scopes: [], claims: { plan: "gold" } },
  ...more,
});
const finder = (keys: ApiKey[], deps: Partial<ApiKeyDeps> = {}) =>
  createApiKeys(keys, { now: () => NOW * 1000, ...deps });
const asHeader = (key: string, header = "x-api-key"): KeyToIdentify => ({ by: "key", header, key });
const asBearer = (key: string): KeyToIdentify => ({ by: "bearer", key });
const asBasic = (key: string, name = "job"): KeyToIdentify => ({ by: "basic", name, key });

function verdict(find: ReturnType<typeof finder>, presented: KeyToIdentify): string {
  const step = find(presented);
  if (step === null) return "no key";
  return step.ok ? step.value.subject : step.reason;
}

describe("AZ-01: a key is its caller", () => {
  it("with what the configuration says of it", () => {
    const step = finder([keyOf({ groups: ["jobs"], scopes: ["mcp:read"], username: "job-1" })])(asHeader(KEY));
    expect(step).toMatchObject({
      ok: true,
      value: {
        ...{ method: "api_key", issuer: "urn:mcp-authz:api-key", subject: "job", username: "job-1", kind: "machine" },
        ...{ groups: ["jobs"], scopes: ["mcp:read"], claims: { plan: "gold" }, amr: [], acr: null, authTime: null },
      },
    });
    expect(step).not.toHaveProperty("value.token");
  });

  it("by any of its digests, among others", () => {
    const find = finder([keyOf(), keyOf({ name: "two", sha256: [sha("x".repeat(30)), sha(OTHER)] })]);
    expect([KEY, OTHER, "x".repeat(30)].map((key) => verdict(find, asHeader(key)))).toEqual(["job", "two", "two"]);
  });

  it.each<[string, Partial<ApiKey>, KeyToIdentify, string]>([
    ["another key", {}, asHeader(`${KEY}x`), "token_invalid"],
    ["its digest", {}, asHeader(sha(KEY)), "token_invalid"],
    ["another header", {}, asHeader(KEY, "x-key"), "token_invalid"],
    ["a bearer that is not meant", {}, asBearer(KEY), "no key"],
    ["a password that is not meant", {}, asBasic(KEY), "token_invalid"],
    ["a bearer", { bearer: true }, asBearer(KEY), "job"],
    ["a bearer that is another", { bearer: true }, asBearer(OTHER), "no key"],
    ["a password", { basic: true }, asBasic(KEY), "job"],
    ["a password of somebody else", { basic: true }, asBasic(KEY, "other"), "token_invalid"],
    ["a password, and no user", { basic: true }, asBasic(KEY, ""), "token_invalid"],
    ["a header that is not meant", { header: null, bearer: true }, asHeader(KEY), "token_invalid"],
    ["an empty key", { sha256: [sha("")] }, asHeader(""), "token_invalid"],
    ["a key that somebody thought out", { sha256: [sha("Summer2026!")] }, asHeader("Summer2026!"), "token_invalid"],
    ["one second before its end", { expiresAt: NOW + 1 }, asHeader(KEY), "job"],
    ["at its end", { expiresAt: NOW }, asHeader(KEY), "token_expired"],
  ])("%s", (_, more, presented, expected) => expect(verdict(finder([keyOf(more)]), presented)).toBe(expected));

  it.each([
    ["sub", "token_revoked"],
    ["unavailable", "revocations_unavailable"],
  ] as const)("a key whose name is revoked is refused: %s", (by, reason) => {
    const step = finder([keyOf()], { revoked: () => by })(asHeader(KEY));
    expect(step).toMatchObject({ ok: false, reason, caller: { subject: "job" } });
  });

  it("the same object for an hour, so that what is made of it can be kept; it ends within two", () => {
    let now = 1_790_002_800; // a full hour
    const find = finder([keyOf()], { now: () => now * 1000 });
    const at = () => {
      const step = find(asHeader(KEY));
      return step?.ok === true ? step.value : null;
    };
    const first = at();
    now += 3599;
    expect(at()).toBe(first);
    expect(first?.expiresAt).toBe(1_790_002_800 + 7200);
    now += 1;
    expect(at()?.expiresAt).toBe(1_790_002_800 + 10_800);
  });

  it("what it gives ends with the key", () => {
    const step = finder([keyOf({ expiresAt: NOW + 5 })])(asHeader(KEY));
    expect(step).toMatchObject({ value: { expiresAt: NOW + 5 } });
  });
});
