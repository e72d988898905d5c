// Wristbands for a test broker: of any claims, or as serve signs them for lists.
import { BY_TOKEN } from "./identity.ts";
import { createPublicKey, randomUUID, type KeyObject } from "node:crypto";
import { destinationOf } from "../../src/authz/destination.ts";
import type { Identity, Visible } from "../../src/authz/types.ts";
import { Secret } from "../../src/secret/secret.ts";
import { createSigner } from "../../src/wristband/sign.ts";
import type { FindKey } from "../../src/wristband/verify.ts";
import { compact, makeKey, type TestKey } from "./issuer.ts";

export const WRISTBAND = { issuer: "https://gw.example.com", audience: "mcp-broker" };
/** The serve that reads the catalogue in tests. */
export const READER = { instance: "serve-1", policy: "policy-1" };
/** The key that a test broker knows from its start. */
export const KEY = makeKey("k1");

export function claimsOf(more: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  const now = Math.floor(Date.now() / 1000);
  return {
    iss: WRISTBAND.issuer,
    aud: WRISTBAND.audience,
    sub: "alice",
    idp: "https://idp.example.com",
    client: "",
    iat: now,
    exp: now + 300,
    jti: randomUUID(),
    caller_exp: now + 3600,
    policy: READER.policy,
    use: "call",
    tools: {},
    prompts: {},
    resources: {},
    ...more,
  };
}

const destinations = new Map<number, Readonly<Record<string, string>>>();

/** Keeps where the servers of a test broker are. */
export function setDestinations(port: number, urls: Readonly<Record<string, string>>): void {
  destinations.set(port, Object.fromEntries(Object.entries(urls).map(([name, url]) => [name, destinationOf(url)])));
}

/** The claim that the broker at this port takes, for its servers of these names. @param port another's, or null, for the one that started last */
export function boundFor(
  port: number | null,
  names: readonly (string | null)[],
): { destinations: Record<string, string> } {
  const known = Object.entries(destinations.get(port ?? 0) ?? [...destinations.values()].at(-1) ?? {});
  return { destinations: Object.fromEntries(known.filter(([name]) => names.includes(name))) };
}

export const wristband = (claims: Readonly<Record<string, unknown>>) =>
  compact(KEY, { alg: "ES256", typ: "wristband+jwt", kid: KEY.kid }, claims);

/** Their public halves, made once: the broker compares them by identity. */
export function publicKeysOf(known: ReadonlyMap<string, TestKey>): FindKey {
  const publicKeys = new Map<TestKey, KeyObject>();
  return (kid) => {
    const found = known.get(kid);
    if (found === undefined) return undefined;
    const made = publicKeys.get(found) ?? createPublicKey({ key: found.jwk as never, format: "jwk" });
    publicKeys.set(found, made);
    return made;
  };
}

/** A wristband for lists. */
export function wristbandOf(who: string, visible: Visible, { kid, privateKey }: TestKey): string {
  const keys = () => [{ kid, privateKey, jwk: {} }];
  const step = createSigner({ ...WRISTBAND, ttlSeconds: 300, keys, now: Date.now })(identityOf(who), visible, {
    use: "list",
    merged: false,
  });
  if (!step.ok) throw new Error(step.reason);
  return step.value.jws;
}

function identityOf(subject: string): Identity {
  return {
    issuer: "https://idp.example.com",
    subject,
    username: subject,
    groups: [],
    scopes: [],
    ...BY_TOKEN,
    actors: [],
    claims: {},
    expiresAt: Math.floor(Date.now() / 1000) + 3600,
    token: new Secret("token"),
  };
}
