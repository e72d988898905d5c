// A Vault for faults: AppRole, tokens and KV v2 as OpenBao 2.7.2 answers them, held to the same contract as the real one
// (test/contract/vault.ts), and whatever else a test wants it to say.
import { randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";

export interface SeenRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

interface Version {
  readonly data: unknown;
  deletionTime: string;
  destroyed: boolean;
}

/** A secret of the engine `dynamic`, which makes users. */
interface FakeLease {
  readonly user: string;
  readonly token: string;
  readonly issuedAt: number;
  endsAt: number;
  readonly seconds: number;
  readonly max: number;
}

interface Token {
  issuedAt: number;
  endsAt: number;
  readonly ttl: number;
}

export interface FakeVault {
  readonly address: string;
  readonly port: number;
  readonly roleId: string;
  readonly secretId: string;
  /** A token without an end. */
  readonly rootToken: string;
  readonly requests: SeenRequest[];
  /** Reads of entries so far. */
  reads(): number;
  logins(): number;
  /** Seconds of each new token, and the most that renewals bring. */
  ttl: { seconds: number; max: number };
  sealed: boolean;
  /** Paths after the mount that the policy of the log-in does not allow. */
  readonly forbidden: Set<string>;
  /** Mounts by path: the KV version, or another engine. */
  readonly mounts: Map<string, "1" | "2" | "transit" | "dynamic">;
  /** Seconds of each new secret of an engine `dynamic`, and the most that renewals bring. */
  lease: { seconds: number; max: number };
  /** Secrets whose leases have not ended, by lease. */
  leases(): ReadonlyMap<string, FakeLease>;
  endLeases(): void;
  /** Answers in place of the Vault; returns false to let it answer. */
  intercept: ((request: SeenRequest, response: ServerResponse) => boolean) | null;
  put(path: string, data: unknown, owner?: { issuer: string; subject: string }): void;
  remove(path: string): void;
  destroy(path: string): void;
  revokeAll(): void;
  /** Nobody listens any more; open connections are cut. */
  stop(): Promise<void>;
  /** Listens again at the same port. */
  restart(): Promise<void>;
}

export async function startFakeVault(port = 0): Promise<FakeVault> {
  const store = createStore();
  const state = { server: null as Server | null, port };
  async function listen(): Promise<void> {
    const server = createServer((request, response) => void receive(store, request, response));
    await new Promise<void>((done, fail) => {
      server.once("error", fail);
      server.listen(state.port, "127.0.0.1", done);
    });
    const address = server.address();
    if (typeof address === "object" && address !== null) state.port = address.port;
    state.server = server;
  }
  await listen();
  return Object.assign(store, {
    address: `http://127.0.0.1:${state.port}`,
    port: state.port,
    restart: listen,
    stop: () =>
      new Promise<void>((done) => {
        state.server?.closeAllConnections();
        if (state.server === null) done();
        else state.server.close(() => done());
        state.server = null;
      }),
  });
}

function createStore() {
  const entries = new Map<string, { versions: Version[]; custom: Record<string, string> | null }>();
  const latest = (path: string) => entries.get(path)?.versions.at(-1);
  const store = {
    roleId: `role-${randomBytes(8).toString("hex")}`,
    secretId: `secret-${randomBytes(8).toString("hex")}`,
    rootToken: `root-${randomBytes(8).toString("hex")}`,
    requests: [] as SeenRequest[],
    entries,
    tokens: new Map<string, Token>(),
    ttl: { seconds: 3600, max: 7200 },
    sealed: false,
    forbidden: new Set<string>(),
    mounts: new Map<string, "1" | "2" | "transit" | "dynamic">([["secret", "2"]]),
    lease: { seconds: 3600, max: 7200 },
    made: new Map<string, FakeLease>(),
    leases: () => {
      const isAlive = ({ token, endsAt }: FakeLease) => store.tokens.has(token) && endsAt > Date.now();
      return new Map([...store.made].filter(([, one]) => isAlive(one)));
    },
    endLeases: () => store.made.clear(),
    intercept: null as FakeVault["intercept"],
    reads: () => store.requests.filter(({ url }) => url.includes("/data/")).length,
    logins: () => store.requests.filter(({ url }) => url.endsWith("/login")).length,
    put(path: string, data: unknown, owner?: { issuer: string; subject: string }) {
      const entry = entries.get(path) ?? { versions: [], custom: null };
      entry.versions.push({ data: structuredClone(data), deletionTime: "", destroyed: false });
      if (owner !== undefined) entry.custom = { owner_iss: owner.issuer, owner_sub: owner.subject };
      entries.set(path, entry);
    },
    remove(path: string) {
      const version = latest(path);
      if (version !== undefined) version.deletionTime = new Date().toISOString();
    },
    destroy(path: string) {
      const version = latest(path);
      if (version !== undefined) version.destroyed = true;
    },
    revokeAll: () => store.tokens.clear(),
  };
  return store;
}

type Store = ReturnType<typeof createStore>;

async function receive(store: Store, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const seen: SeenRequest = {
    method: request.method ?? "",
    url: request.url ?? "",
    headers: request.headers,
    body: Buffer.concat(chunks).toString(),
  };
  store.requests.push(seen);
  if (store.intercept?.(seen, response) === true) return;
  const [status, body] = answer(store, seen);
  const type = body === null ? {} : { "content-type": "application/json", "cache-control": "no-store" };
  response.writeHead(status, type);
  response.end(body === null ? undefined : `${JSON.stringify(body)}\n`);
}

const errors = (...texts: string[]) => ({ errors: texts });
const NO_ACCESS = [403, errors("preflight capability check returned 403")] as const;
const DENIED = [403, errors("permission denied")] as const;

function answer(store: Store, request: SeenRequest): readonly [number, unknown] {
  if (store.sealed) return [503, errors("Vault is sealed")];
  if (request.headers["x-vault-namespace"] !== undefined) return [404, errors("namespace not found")];
  const path = request.url.replace(/^\/v1\//, "");
  if (path === "auth/approle/login") return login(store, request.body);
  const token = String(request.headers["x-vault-token"] ?? "");
  const held = store.tokens.get(token);
  if (token !== store.rootToken && (held === undefined || held.endsAt <= Date.now())) return DENIED;
  if (path.startsWith("sys/leases/")) return ofLease(store, path, request.body);
  if (path.startsWith("auth/")) return ofToken(store, path, { token, held });
  return ofEngine(store, path, token) ?? inMount(store, path);
}

function ofEngine(store: Store, path: string, token: string): readonly [number, unknown] | null {
  const [mount = "", creds, role] = path.split("/");
  const isEngine = store.mounts.get(mount) === "dynamic" && creds === "creds";
  return isEngine ? issue(store, token, { mount, role }) : null;
}

function issue(
  store: Store,
  token: string,
  of: { mount: string; role: string | undefined },
): readonly [number, unknown] {
  if (of.role === "secret-role") return [403, errors("1 error occurred:\n\t* permission denied\n\n")];
  if (of.role !== "app") return [400, errors("unknown role")];
  const { seconds, max } = store.lease;
  const [id, user, now] = [randomBytes(8).toString("hex"), `user-${randomBytes(8).toString("hex")}`, Date.now()];
  const lease = `${of.mount}/creds/app/${id}`;
  store.made.set(lease, { user, token, issuedAt: now, endsAt: now + seconds * 1000, seconds, max });
  const data = { username: user, password: randomBytes(12).toString("hex") };
  return [200, { ...wrap(data), lease_id: lease, renewable: true, lease_duration: seconds }];
}

function ofLease(store: Store, path: string, body: string): readonly [number, unknown] {
  const { lease_id: id, increment } = JSON.parse(body) as { lease_id: string; increment?: number };
  if (path.endsWith("/revoke")) {
    store.made.delete(id);
    return [204, null];
  }
  const lease = store.leases().get(id);
  if (lease === undefined) return [400, errors("lease not found")];
  lease.endsAt = Math.min(Date.now() + (increment ?? lease.seconds) * 1000, lease.issuedAt + lease.max * 1000);
  const left = Math.max(0, Math.round((lease.endsAt - Date.now()) / 1000));
  return [200, { ...wrap(null), lease_id: id, renewable: true, lease_duration: left }];
}

const LOOK = "sys/internal/ui/mounts/";

function inMount(store: Store, path: string): readonly [number, unknown] {
  const looked = path.startsWith(LOOK) ? path.slice(LOOK.length) : null;
  const mount = [...store.mounts.keys()].find((name) => `${looked ?? path}/`.startsWith(`${name}/`));
  if (mount === undefined) {
    return looked === null ? [404, errors(`no handler for route "${path}". route entry not found.`)] : NO_ACCESS;
  }
  const version = store.mounts.get(mount);
  if (looked !== null) {
    const engine = version === "transit" ? { type: version, options: {} } : { type: "kv", options: { version } };
    return [200, wrap({ path: `${mount}/`, ...engine })];
  }
  const entry = path.slice(mount.length + 1).replace(/^data\//, "");
  if (store.forbidden.has(entry)) return [403, errors("1 error occurred:\n\t* permission denied\n\n")];
  return version === "2" ? entryOf(store, entry) : [404, errors()];
}

function wrap(data: unknown, auth: unknown = null) {
  return { request_id: "r", lease_id: "", renewable: false, lease_duration: 0, data, wrap_info: null, auth };
}

function login(store: Store, body: string): readonly [number, unknown] {
  const given = JSON.parse(body) as { role_id?: unknown; secret_id?: unknown };
  if (given.role_id !== store.roleId || given.secret_id !== store.secretId) {
    return [400, errors("invalid role or secret ID")];
  }
  const token = `s.${randomBytes(18).toString("base64url")}`;
  const now = Date.now();
  store.tokens.set(token, { issuedAt: now, endsAt: now + store.ttl.seconds * 1000, ttl: store.ttl.seconds });
  return [200, wrap(null, { client_token: token, lease_duration: store.ttl.seconds, renewable: true, num_uses: 0 })];
}

/** The token of a request, and what is known of it. */
interface Presented {
  readonly token: string;
  readonly held: Token | undefined;
}

function ofToken(store: Store, path: string, { token, held }: Presented): readonly [number, unknown] {
  if (path === "auth/token/lookup-self") {
    const ttl = held === undefined ? 0 : Math.floor((held.endsAt - Date.now()) / 1000);
    return [200, wrap({ id: token, ttl, renewable: held !== undefined })];
  }
  if (path === "auth/token/revoke-self") {
    store.tokens.delete(token);
    return [204, null];
  }
  if (path !== "auth/token/renew-self" || held === undefined) return DENIED;
  const end = Math.min(Date.now() + held.ttl * 1000, held.issuedAt + store.ttl.max * 1000);
  held.endsAt = end;
  const seconds = Math.max(0, Math.ceil((end - Date.now()) / 1000));
  return [200, wrap(null, { client_token: token, lease_duration: seconds, renewable: true })];
}

function entryOf(store: Store, path: string): readonly [number, unknown] {
  const entry = store.entries.get(path);
  const version = entry?.versions.at(-1);
  if (entry === undefined || version === undefined) return [404, errors()];
  const gone = version.destroyed || version.deletionTime !== "";
  const metadata = {
    created_time: "2026-11-25T17:48:53.7Z",
    custom_metadata: entry.custom,
    deletion_time: version.deletionTime,
    destroyed: version.destroyed,
    version: entry.versions.length,
  };
  return [gone ? 404 : 200, wrap({ data: gone ? null : version.data, metadata })];
}
