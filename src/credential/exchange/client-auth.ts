// How the gateway proves at a token endpoint that it is the client: RFC 6749 §2.3.1, RFC 7523 §2.2, OpenID Connect Core §9.
// Pure but for files of secrets, which are read again at each proof.
import { createPrivateKey, randomUUID, type KeyObject } from "node:crypto";
import { faultOfKey, signCompactJws, type SigningAlgorithm } from "../../jose/sign-compact.ts";
import type { Secret } from "../../secret/secret.ts";

/** The key of `private_key_jwt`. */
export interface ClientKey {
  /** PEM. */
  readonly key: Secret;
  readonly kid: string | null;
  readonly algorithm: SigningAlgorithm;
  /** `aud` of what is signed; null for the token endpoint's URL. */
  readonly audience: string | null;
}

/** The gateway as a client of the IdP, with one of the three proofs. */
export interface OAuthClient {
  readonly id: string;
  readonly secret?: Secret | undefined;
  /** Where the secret stands; in the header by default. */
  readonly auth?: "client_secret_basic" | "client_secret_post" | undefined;
  readonly privateKey?: ClientKey | undefined;
  /** A JWT that somebody else signs and renews, such as a workload's projected token. */
  readonly clientAssertion?: Secret | undefined;
}

/** The proof of one request. */
export interface ClientProof {
  /** The header, or null. */
  readonly authorization: string | null;
  /** Parameters of the form. */
  readonly form: Readonly<Record<string, string>>;
  /** What must not get into a log. */
  readonly secrets: readonly string[];
}

/** Makes the proof of one request, or returns its fault. */
export type ProveClient = () => ClientProof | string;

const ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/** Seconds; RFC 7523 §3 wants a short life. */
const ASSERTION_SECONDS = 60;
/** Three parts of base64url: what a token endpoint reads as a JWT. */
const JWT = /^[\w-]{1,4096}\.[\w-]{1,16384}\.[\w-]{0,4096}$/;

/**
 * Makes the function that proves the client.
 * @param tokenEndpoint its URL, the default `aud` of a signed proof
 * @param now milliseconds since the epoch
 */
export function createClientAuth(client: OAuthClient, tokenEndpoint: string, now: () => number): ProveClient {
  const { id, secret, privateKey, clientAssertion } = client;
  if (secret !== undefined)
    return () => (client.auth === "client_secret_post" ? bySecretInForm : bySecretInHeader)(id, secret.latest());
  if (clientAssertion !== undefined) return () => byAssertion(id, clientAssertion.latest().reveal().trim());
  if (privateKey === undefined) return () => "the client has no secret and no key: see client";
  return () => {
    const key = readClientKey(privateKey);
    if (typeof key === "string") return `the client's key ${key}: see client.privateKey`;
    const seconds = Math.floor(now() / 1000);
    const claims = {
      ...{ iss: id, sub: id, aud: privateKey.audience ?? tokenEndpoint, jti: randomUUID() },
      ...{ iat: seconds, exp: seconds + ASSERTION_SECONDS },
    };
    const { algorithm: alg, kid } = privateKey;
    return byAssertion(id, signCompactJws({ alg, typ: "JWT", ...(kid !== null && { kid }) }, claims, key));
  };
}

/** Reads the key as its file is now, or returns its fault. */
export function readClientKey({ key: pem, algorithm }: Pick<ClientKey, "key" | "algorithm">): KeyObject | string {
  let key: KeyObject;
  try {
    key = createPrivateKey(pem.latest().reveal());
  } catch {
    return "is no private key in PEM form without a passphrase";
  }
  return faultOfKey(key, algorithm) ?? key;
}

/** Makes the value of `authorization`. RFC 6749 §2.3.1: id and secret are form-encoded first, so an id may be a URL. */
function bySecretInHeader(id: string, secret: Secret): ClientProof {
  const pair = `${formEncoded(id)}:${formEncoded(secret.reveal())}`;
  const authorization = `Basic ${Buffer.from(pair).toString("base64")}`;
  return { authorization, form: {}, secrets: [secret.reveal(), authorization] };
}

function bySecretInForm(id: string, secret: Secret): ClientProof {
  const value = secret.reveal();
  return { authorization: null, form: { client_id: id, client_secret: value }, secrets: [value] };
}

function byAssertion(id: string, jwt: string): ClientProof | string {
  if (!JWT.test(jwt)) return "the file of the client's assertion holds no JWT: see client.clientAssertion";
  const form = { client_id: id, client_assertion_type: ASSERTION_TYPE, client_assertion: jwt };
  return { authorization: null, form, secrets: [jwt] };
}

/** Encodes a text by RFC 6749 appendix B. */
function formEncoded(text: string): string {
  return new URLSearchParams({ "": text }).toString().slice(1);
}
