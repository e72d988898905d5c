// An issuer for faults: it answers as the test says, and signs whatever it is given.
import { createHmac, generateKeyPairSync, sign, type KeyObject } from "node:crypto";
import { createServer, type ServerResponse } from "node:http";

export interface TestKey {
  readonly kid: string;
  readonly alg: string;
  readonly privateKey: KeyObject;
  readonly jwk: Record<string, unknown>;
}

export function makeKey(
  kid: string,
  alg: "ES256" | "ES384" | "RS256" | "EdDSA" = "ES256",
  options: { bits?: number; exponent?: number } = {},
): TestKey {
  const pair =
    alg === "RS256"
      ? generateKeyPairSync("rsa", { modulusLength: options.bits ?? 2048, publicExponent: options.exponent ?? 65_537 })
      : alg === "EdDSA"
        ? generateKeyPairSync("ed25519")
        : generateKeyPairSync("ec", { namedCurve: alg === "ES256" ? "P-256" : "P-384" });
  return {
    kid,
    alg,
    privateKey: pair.privateKey,
    jwk: { ...pair.publicKey.export({ format: "jwk" }), kid, alg, use: "sig" },
  };
}

const part = (value: unknown) =>
  Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");

/** A compact JWS of any header and payload; texts are taken as they are. */
export function compact(key: TestKey, header: unknown, payload: unknown): string {
  const input = `${part(header)}.${part(payload)}`;
  return `${input}.${signatureOf(key, input).toString("base64url")}`;
}

export function signatureOf(key: TestKey, input: string): Buffer {
  if (key.alg === "EdDSA") return sign(null, Buffer.from(input), key.privateKey);
  const digest = key.alg === "ES384" ? "sha384" : "sha256";
  return sign(digest, Buffer.from(input), { key: key.privateKey, dsaEncoding: "ieee-p1363" });
}

export function hmacCompact(secret: string | Buffer, header: unknown, payload: unknown): string {
  const input = `${part(header)}.${part(payload)}`;
  return `${input}.${createHmac("sha256", secret).update(input).digest("base64url")}`;
}

export interface FakeIssuer {
  readonly issuer: string;
  /** What the key set's URL answers; metadata is always good. */
  respond: (response: ServerResponse) => void;
  /** Requests for the key set so far. */
  fetches: number;
  publish(...keys: readonly TestKey[]): void;
  close(): Promise<void>;
}

export async function startIssuer(...keys: readonly TestKey[]): Promise<FakeIssuer> {
  const server = createServer((request, response) => {
    if (request.url === "/jwks") {
      fake.fetches += 1;
      fake.respond(response);
    } else if (request.url === "/.well-known/openid-configuration") {
      response.end(JSON.stringify({ issuer: fake.issuer, jwks_uri: `${fake.issuer}/jwks` }));
    } else response.writeHead(404).end();
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const fake: FakeIssuer = {
    issuer: `http://127.0.0.1:${port}`,
    fetches: 0,
    respond: () => {},
    publish: (...published) => {
      fake.respond = (response) => response.end(JSON.stringify({ keys: published.map(({ jwk }) => jwk) }));
    },
    close: () =>
      new Promise((done) => {
        server.closeAllConnections();
        server.close(() => done());
      }),
  };
  fake.publish(...keys);
  return fake;
}
