// A token endpoint for faults: it answers as the test says. Left alone it exchanges, for the people, audience and scope
// that it knows.
import { BY_TOKEN } from "./identity.ts";
import { randomUUID } from "node:crypto";
import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import type { TokenIdentity } from "../../src/authz/types.ts";
import { Secret } from "../../src/secret/secret.ts";
import { compact, makeKey } from "./issuer.ts";

export const CLIENT = { id: "https://gw.example.com", secret: "client-secret-canary: 50% & more" };
export const AUDIENCE = "https://backend-mcp-server.example.com";
export const SCOPE = "mcp:tools mcp:read";
export const ACCESS_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token";

export interface TokenRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly form: URLSearchParams;
}

export interface FakeTokenEndpoint {
  readonly url: string;
  /** Everything that arrived, oldest first. */
  readonly requests: TokenRequest[];
  /** What to answer; {@link honest} unless a test says otherwise. */
  respond: (response: ServerResponse, request: TokenRequest) => void;
  honest: (response: ServerResponse, request: TokenRequest) => void;
  close(): Promise<void>;
}

const key = makeKey("fake-1");
const seconds = () => Math.floor(Date.now() / 1000);

const issued = new Set<string>();

/** A signed token of the fake's issuer. */
export function tokenOf(claims: object): string {
  const token = compact(key, { alg: "ES256", typ: "at+jwt", kid: key.kid }, claims);
  issued.add(token);
  return token;
}

/** A caller as identity makes it, with a real token. Somebody whose name begins with "bob" may have nothing. */
export function callerOf(subject: string, ttlSeconds = 300): TokenIdentity {
  const claims = { iss: "https://idp.example.com", sub: subject, aud: CLIENT.id, exp: seconds() + ttlSeconds };
  return {
    issuer: claims.iss,
    subject,
    username: subject,
    groups: [],
    scopes: [],
    ...BY_TOKEN,
    actors: [],
    claims,
    expiresAt: claims.exp,
    token: new Secret(tokenOf(claims)),
  };
}

/** The exchanged token for a subject, as the honest fake gives it. */
export function exchangedFor(subject: string, audience = AUDIENCE, extra: object = {}): string {
  return tokenOf({ iss: "https://idp.example.com", sub: subject, aud: audience, exp: seconds() + 300, ...extra });
}

/** A good answer; members that are undefined are left out. */
export function granting(token: string, changes: Record<string, unknown> = {}): Record<string, unknown> {
  const answer = { access_token: token, issued_token_type: ACCESS_TOKEN_TYPE, token_type: "Bearer", expires_in: 300 };
  return { ...answer, scope: SCOPE, ...changes };
}

export function answerJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json;charset=UTF-8", "cache-control": "no-store" });
  response.end(JSON.stringify(body));
}

export async function startTokenEndpoint(): Promise<FakeTokenEndpoint> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const { method = "", url = "", headers } = request;
      const body = Buffer.concat(chunks).toString("utf8");
      const seen = { method, path: url, headers, body, form: new URLSearchParams(body) };
      fake.requests.push(seen);
      fake.respond(response, seen);
    });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const fake: FakeTokenEndpoint = {
    url: `http://127.0.0.1:${port}/realms/acme/protocol/openid-connect/token`,
    requests: [],
    respond: honest,
    honest,
    close: () =>
      new Promise((done) => {
        server.closeAllConnections();
        server.close(() => done());
      }),
  };
  return fake;
}

function honest(response: ServerResponse, { headers, form }: TokenRequest): void {
  const error = (status: number, code: string) => answerJson(response, status, { error: code });
  const encoded = (text: string) => new URLSearchParams({ "": text }).toString().slice(1);
  const credentials = Buffer.from(`${encoded(CLIENT.id)}:${encoded(CLIENT.secret)}`).toString("base64");
  if (headers.authorization !== `Basic ${credentials}`) return error(401, "invalid_client");
  if (form.get("grant_type") === "client_credentials") return answerJson(response, 200, ownGrant());
  const subject = subjectOf(form.get("subject_token"));
  const actor = subjectOf(form.get("actor_token"));
  if (subject === null || (form.has("actor_token") && actor === null)) return error(400, "invalid_request");
  if (form.get("audience") !== AUDIENCE) return error(400, "invalid_target");
  if (subject.startsWith("bob")) return error(400, "access_denied");
  const scope = form.get("scope") ?? "";
  if (!isKnownScope(scope)) return error(400, "invalid_scope");
  const act = actor === null ? {} : { act: { sub: actor } };
  return answerJson(response, 200, granting(exchangedFor(subject, AUDIENCE, act), { scope }));
}

function isKnownScope(scope: string): boolean {
  return scope.split(" ").every((name) => ["mcp:tools", "mcp:read", ""].includes(name));
}

/** The answer to client_credentials: the client's own token. */
export function ownGrant(claims: object = {}): Record<string, unknown> {
  const token = tokenOf({ sub: CLIENT.id, exp: seconds() + 300, jti: randomUUID(), ...claims });
  return { access_token: token, token_type: "Bearer", expires_in: 300 };
}

function subjectOf(token: string | null): string | null {
  if (token === null || !issued.has(token)) return null;
  return (JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()) as { sub: string }).sub;
}
