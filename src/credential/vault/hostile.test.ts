// A hostile Vault: no other host gets the token, no part of it is in a log or an error, and no credential is found.
import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect, promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { ask, openVault, person, type OpenVault } from "../../../test/fakes/open-vault.ts";
import { compact, makeKey } from "../../../test/fakes/issuer.ts";
import { startFakeVault, type FakeVault } from "../../../test/fakes/vault.ts";
import { Secret } from "../../secret/secret.ts";
import type { CredentialSource } from "../source.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-hostile-"));
const ALICE = person("alice");
const GOOD = { data: { data: { token: "pat-canary" }, metadata: { version: 1, destroyed: false, deletion_time: "" } } };
const stolen: unknown[] = [];
const evil = createServer((request, response) => {
  stolen.push(request.headers);
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(GOOD));
});
let fake: FakeVault;
let ours: OpenVault;
let source: CredentialSource;
/** One with little patience. */
let hasty: OpenVault;
let evilAddress: string;
beforeAll(async () => {
  fake = await startFakeVault();
  await new Promise<void>((done) => evil.listen(0, "127.0.0.1", done));
  evilAddress = `http://127.0.0.1:${(evil.address() as AddressInfo).port}`;
  ours = openVault(fake, { cacheTtlMs: 0.5, negativeTtlMs: 0.5 });
  hasty = openVault(fake, { cacheTtlMs: 0.5, timeoutMs: 300 });
  await Promise.all([ours.vault.start(), hasty.vault.start()]);
  source = ours.source();
  fake.put("alice/api.github.com", { token: "pat-canary" });
});
afterAll(async () => {
  await Promise.all([ours.vault.close(), hasty.vault.close()]);
  await fake.stop();
  evil.closeAllConnections();
  evil.close();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(async () => {
  // A good answer in between: the pause after several that were none is tested elsewhere.
  fake.intercept = null;
  expect(await ask(source, ALICE)).toEqual(["found", "Bearer pat-canary"]);
  ours.told.length = 0;
  stolen.length = 0;
});

const tokenOf = () =>
  String(fake.requests.findLast(({ headers }) => headers["x-vault-token"])?.headers["x-vault-token"]);

/** Lets a read of an entry be answered in another way. */
function reads(answer: (response: ServerResponse) => void): void {
  fake.intercept = ({ url }, response) => {
    if (url.includes("/data/")) answer(response);
    return url.includes("/data/");
  };
}

const json =
  (status: number, body: unknown, type = "application/json") =>
  (response: ServerResponse) =>
    void response
      .writeHead(status, { "content-type": type })
      .end(typeof body === "string" || Buffer.isBuffer(body) ? body : JSON.stringify(body));

async function expectNothing(by: OpenVault = ours): Promise<void> {
  const answer = await by.source().get(ALICE, AbortSignal.timeout(10_000));
  expect(Object.keys(answer)).toEqual(["cannotTell"]);
  const all = `${inspect([answer, by.told], { depth: 9 })}${JSON.stringify([answer, by.told])}`;
  for (const secret of [tokenOf(), fake.secretId, fake.roleId, "pat-canary"]) expect(all).not.toContain(secret);
  expect(stolen).toEqual([]);
}

describe("a read that is answered", () => {
  it.each<[string, unknown]>([
    ["with the data alone", { data: { data: { token: "x" } } }],
    ["as KV v1 does", { data: { token: "x" } }],
    ["as KV v1 with a field data", { data: { data: { token: "x" }, ttl: 1 } }],
    ["with metadata that is a text", { data: { data: { token: "x" }, metadata: "1" } }],
    ["with a version that is a text", { data: { data: { token: "x" }, metadata: { version: "1" } } }],
    ["with nothing", {}],
    ["with null", null],
    ["with a list", [GOOD]],
    ["with a text", JSON.stringify("x")],
    ["with data that is null", { data: null }],
    ["with wrapped data", { data: null, wrap_info: { token: "s.x", ttl: 30 } }],
    ["with a list as fields", { data: { data: ["token"], metadata: { version: 1 } } }],
    ["with a field of the prototype", { data: { data: {}, metadata: { version: 1 } } }],
  ])("G09, G10: 200 %s", async (_, body) => {
    reads(json(200, body));
    await expectNothing();
  });

  it.each<[string, string | Buffer, string?]>([
    ["HTML", "<html>login</html>", "text/html"],
    ["HTML that says JSON", "<html>login</html>"],
    ["JSON that says HTML", JSON.stringify(GOOD), "text/html"],
    ["JSON without a type", JSON.stringify(GOOD), ""],
    ["half of it", JSON.stringify(GOOD).slice(0, -5)],
    ["twice", JSON.stringify(GOOD).repeat(2)],
    ["with a name twice", JSON.stringify(GOOD).replace('"data":{"token"', '"data":{"token":"evil"},"data":{"token"')],
    ["with a name in two cases", JSON.stringify(GOOD).replace('{"token"', '{"Token":"evil","token"')],
    ["with a byte-order mark", `\ufeff${JSON.stringify(GOOD)}`],
    ["with bytes that are no text", Buffer.from(JSON.stringify(GOOD).replace("pat", "\u00ff"), "latin1")],
    ["nested a thousand times", `${"[".repeat(1000)}${"]".repeat(1000)}`],
    ["of 65 KiB", JSON.stringify({ ...GOOD, pad: "x".repeat(66_000) })],
    ["without anything", ""],
  ])("G09, G19: 200 %s", async (_, body, type) => {
    reads(json(200, body, type));
    await expectNothing();
  });

  it.each<[string, string, string?]>([
    ["is no JSON", "<html>login</html>", "text/html"],
    ["is too large", JSON.stringify({ ...GOOD, pad: "x".repeat(66_000) })],
  ])("G08: an entry whose response %s does not open the circuit breaker for others", async (_, body, type) => {
    fake.put("bob/api.github.com", { token: "pat-bob" });
    fake.intercept = ({ url }, response) => {
      if (url.includes("/data/alice/")) json(200, body, type)(response);
      return url.includes("/data/alice/");
    };
    for (let i = 0; i < 10; i += 1) await expectNothing();
    expect(await ask(source, person("bob"))).toEqual(["found", "Bearer pat-bob"]);
  });

  it.each<[string, unknown]>([
    ["a mount that is not there", { errors: ["no handler for route"] }],
    ["a namespace that is not there", { errors: ["namespace not found"] }],
    ["a path of KV v1", { data: null, warnings: ["Invalid path for a versioned K/V secrets engine"] }],
    ["nothing", {}],
    ["null", null],
    ["a list", []],
    ["errors that are no list", { errors: {} }],
    ["errors that are null", { errors: null }],
    ["no errors but data", { errors: [], data: { keys: [] } }],
    ["no errors but a warning", { errors: [], warnings: ["x"] }],
    [
      "metadata of a version that is there",
      { data: { data: null, metadata: { deletion_time: "", destroyed: false } } },
    ],
    ["a version that is there", { data: { data: { token: "x" }, metadata: { destroyed: true } } }],
  ])("A2: 404 with %s is not has none", async (_, body) => {
    reads(json(404, body));
    await expectNothing();
  });

  it("A2: 404 with a page is not has none", async () => {
    reads(json(404, "<html>Not found</html>", "text/html"));
    await expectNothing();
  });

  it.each([201, 204, 301, 400, 401, 405, 412, 429, 472, 473, 500, 501, 502, 503])("G08: %i", async (status) => {
    reads(json(status, status === 204 ? "" : GOOD));
    await expectNothing();
  });

  it.each([403, 404, 500])("D24: %i with the token in the error", async (status) => {
    reads(json(status, { errors: [`bad token ${tokenOf()}, pat-canary`] }));
    await expectNothing();
  });

  it.each([301, 302, 303, 307, 308])("G06: %i to another host", async (status) => {
    reads((response) => {
      const type = {
        location: `${evilAddress}/v1/secret/data/alice/api.github.com`,
        "content-type": "application/json",
      };
      response.writeHead(status, type).end(JSON.stringify(GOOD));
    });
    await expectNothing();
  });

  it.each<[string, (response: ServerResponse) => void]>([
    ["never", () => {}],
    [
      "with a head and no more",
      (response) => response.writeHead(200, { "content-type": "application/json" }).write("{"),
    ],
    [
      "slowly without end",
      (response) => {
        response.writeHead(200, { "content-type": "application/json" });
        const timer = setInterval(() => response.write(" "), 20);
        response.on("close", () => clearInterval(timer));
      },
    ],
    [
      "fast without end",
      (response) => {
        response.writeHead(200, { "content-type": "application/json" });
        const more = () => {
          while (response.writable && response.write(" ".repeat(16_384)));
        };
        response.on("drain", more);
        more();
      },
    ],
    ["by a cut", (response) => response.socket?.destroy()],
    [
      "and cut in the middle",
      (response) => {
        response.writeHead(200, { "content-type": "application/json", "content-length": "500" }).write('{"data":');
        setTimeout(() => response.socket?.destroy(), 10);
      },
    ],
    [
      "compressed",
      (response) =>
        response
          .writeHead(200, { "content-type": "application/json", "content-encoding": "gzip" })
          .end(gzipSync(JSON.stringify(GOOD))),
    ],
    ["with 64 KiB of headers", (response) => response.writeHead(200, { "x-pad": "x".repeat(65_536) }).end("{}")],
  ])("G09: %s", async (_, answer) => {
    await vi.waitFor(async () => expect((await ask(hasty.source(), ALICE))[0]).toBe("found"), 5000);
    reads(answer);
    await expectNothing(hasty);
  });
});

describe("a user who is called like a path of the Vault's own", () => {
  it.each([403, 404, 500, 503])("node-vault: sys at the host health is no health check (%i)", async (status) => {
    const system = ours.source({ host: "health" });
    reads(json(status, { errors: ["x"], data: GOOD.data }));
    expect((await ask(system, person("sys")))[0]).toBe("cannotTell");
  });
});

describe("M10, P13", () => {
  it("the path on the wire is the template's, byte for byte, and nothing is asked for any other name", async () => {
    fake.requests.length = 0;
    await ask(ours.source({ path: "mcp/{issuerAlias}/{username}/{server}" }), person("a.b@C_d-9"));
    expect(fake.requests.map(({ method, url }) => `${method} ${url}`)).toEqual([
      "GET /v1/secret/data/mcp/acme/a.b@C_d-9/github",
    ]);
    for (const name of ["..", "../x", "%2e%2e", "a/b", "a\\b", "a?version=1", "a#b", "&#x2F;", "{{username}}"]) {
      expect((await ask(source, person(name)))[0]).toBe("refused");
    }
    expect(fake.requests).toHaveLength(1);
  });

  it("P9.1-3: a GET with the token and nothing of the caller", async () => {
    fake.requests.length = 0;
    await ask(source, ALICE);
    const [{ method, headers, body } = { method: "", headers: {}, body: "" }] = fake.requests;
    expect([method, body]).toEqual(["GET", ""]);
    expect(Object.keys(headers).sort()).toEqual(["accept", "connection", "host", "x-vault-request", "x-vault-token"]);
  });
});

describe("G12, G14, G15: what a Vault is shown", () => {
  const OURS = ["accept", "connection", "host", "x-vault-request"];
  const PATHS = [
    "POST /v1/auth/approle/login",
    "GET /v1/sys/internal/ui/mounts/secret",
    "GET /v1/secret/data/alice/api.github.com",
    "GET /v1/auth/token/lookup-self",
    "POST /v1/auth/token/renew-self",
    "POST /v1/auth/token/revoke-self",
  ];

  it("of a whole life: no header but ours, nothing of the caller's token, and no other path", async () => {
    const token = compact(
      makeKey("k1"),
      { alg: "ES256", typ: "at+jwt" },
      { sub: "alice-sub", groups: ["canary-group"] },
    );
    const alice = person("alice", { token: new Secret(token), claims: { groups: ["canary-group"] } });
    fake.requests.length = 0;
    fake.ttl.seconds = 1; // renewed in this test's time
    const other = openVault(fake, { cacheTtlMs: 0.5 });
    try {
      await other.vault.start();
      await ask(other.source(), alice);
      fake.forbidden.add("alice/api.github.com");
      await ask(other.source(), alice);
      await vi.waitFor(() => expect(fake.requests.some(({ url }) => url.endsWith("/renew-self"))).toBe(true), 5000);
    } finally {
      fake.forbidden.clear();
      fake.ttl.seconds = 3600;
      await other.vault.close();
    }
    expect(new Set(fake.requests.map(({ method, url }) => `${method} ${url}`))).toEqual(new Set(PATHS));
    for (const { url, method, headers, body } of fake.requests) {
      const sent = [...(method === "POST" ? ["content-length"] : []), ...(body === "" ? [] : ["content-type"])];
      const login = url.endsWith("/login") ? [] : ["x-vault-token"];
      expect([url, ...Object.keys(headers).toSorted()]).toEqual([url, ...[...OURS, ...sent, ...login].toSorted()]);
      const text = `${method} ${url} ${JSON.stringify(headers)} ${body}`;
      for (const part of [token, ...token.split("."), "canary-group"]) expect(text).not.toContain(part);
    }
  });

  it("G12: nothing is wrapped: an answer that is, is not unwrapped and holds no credential", async () => {
    const wrap_info = { token: "s.wrapping-canary", ttl: 30, creation_path: "secret/data/alice/api.github.com" };
    reads(json(200, { data: null, wrap_info }));
    fake.requests.length = 0;
    expect(await ask(source, ALICE)).toEqual(["cannotTell", "not an answer of KV v2"]);
    expect(fake.requests).toHaveLength(1);
    expect(JSON.stringify(ours.told)).not.toContain("canary");
  });
});

describe("a log-in that is answered", () => {
  const opened = async (auth: unknown, status = 200) => {
    fake.intercept = ({ url }, response) => {
      if (url.endsWith("/login")) json(status, { data: null, auth })(response);
      return url.endsWith("/login");
    };
    const other = openVault(fake);
    await other.vault.start();
    const answer = await ask(other.source(), ALICE);
    await other.vault.close();
    return { answer, told: JSON.stringify(other.told) };
  };
  const good = { client_token: "s.canary", lease_duration: 60, renewable: true };
  it.each<[string, unknown]>([
    ["without auth", null],
    ["without a token", { ...good, client_token: undefined }],
    ["with a token that is a number", { ...good, client_token: 7 }],
    ["with an empty token", { ...good, client_token: "" }],
    ["with a line break in the token", { ...good, client_token: "s.canary\r\nx: y" }],
    ["with a token of 5 KiB", { ...good, client_token: "s.canary".repeat(700) }],
    ["without a lease", { ...good, lease_duration: undefined }],
    ["with a lease below 0", { ...good, lease_duration: -1 }],
    ["with a lease that is a text", { ...good, lease_duration: "60" }],
    ["with a broken lease", { ...good, lease_duration: 1.5 }],
    ["with a lease beyond numbers", { ...good, lease_duration: 1e300 }],
  ])("%s is none", async (_, auth) => {
    const { answer, told } = await opened(auth);
    expect(answer).toEqual(["cannotTell", "not logged in"]);
    expect(told).not.toContain("canary");
  });

  it("G06: a redirect of the log-in carries the secret id nowhere", async () => {
    fake.intercept = ({ url }, response) => {
      if (url.endsWith("/login")) response.writeHead(307, { location: `${evilAddress}${url}` }).end();
      return url.endsWith("/login");
    };
    const other = openVault(fake);
    await other.vault.start();
    expect((await ask(other.source(), ALICE))[0]).toBe("cannotTell");
    expect(stolen).toEqual([]);
    await other.vault.close();
  });

  it("G04: ids are JSON, whatever is in them", async () => {
    fake.requests.length = 0;
    const other = openVault({ ...fake, roleId: 'x","role":"admin', secretId: "{{role_id}}\n" });
    await other.vault.start();
    await other.vault.close();
    const login = fake.requests.find(({ url }) => url.endsWith("/login"));
    expect(JSON.parse(login?.body ?? "")).toEqual({ role_id: 'x","role":"admin', secret_id: "{{role_id}}\n" });
  });
});

it("a refused token is looked up; when that cannot be told either, nobody logs in anew", async () => {
  for (const lookup of [json(500, {}), json(404, { errors: [] }), json(200, "<html>", "text/html")]) {
    fake.requests.length = 0;
    fake.intercept = ({ url }, response) => {
      if (url.includes("/data/")) json(403, { errors: ["permission denied"] })(response);
      else if (url.endsWith("lookup-self")) lookup(response);
      else return false;
      return true;
    };
    expect(await ask(source, ALICE)).toEqual(["cannotTell", expect.stringContaining("cannot be told")]);
    expect(fake.logins()).toBe(0);
  }
});

it("G07: when the new token is refused as well, it is cannot tell; no loop, and few log-ins however many ask", async () => {
  fake.requests.length = 0;
  fake.intercept = ({ url }, response) => {
    if (url.endsWith("/login")) return false;
    json(403, { errors: ["permission denied"] })(response);
    return true;
  };
  for (let i = 0; i < 20; i++) expect((await ask(source, ALICE))[0]).toBe("cannotTell");
  expect(fake.logins()).toBe(3);
});

describe("the environment", () => {
  it("changes nothing: no address, token, namespace, proxy or debug output of it is used", async () => {
    stolen.length = 0;
    fake.requests.length = 0;
    const script = `
      const { openVault, ask, person } = await import(${JSON.stringify(new URL("../../../test/fakes/open-vault.ts", import.meta.url).href)});
      const ours = openVault(${JSON.stringify({ address: fake.address, roleId: fake.roleId, secretId: fake.secretId })});
      await ours.vault.start();
      console.log(JSON.stringify(await ask(ours.source(), person("alice"))));
      await ours.vault.close();`;
    const hostile = {
      ...{ VAULT_ADDR: evilAddress, VAULT_TOKEN: "env-canary", VAULT_NAMESPACE: "evil", VAULT_PREFIX: "/evil" },
      ...{ VAULT_SKIP_VERIFY: "1", HTTP_PROXY: evilAddress, http_proxy: evilAddress, ALL_PROXY: evilAddress },
      ...{ NODE_USE_ENV_PROXY: "1", DEBUG: "*", NO_PROXY: "" },
    };
    const { stdout, stderr } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", script], {
      env: { ...process.env, ...hostile },
      timeout: 15_000,
    });
    expect([stdout, stderr]).toEqual(['["found","Bearer pat-canary"]\n', ""]);
    expect(stolen).toEqual([]);
    expect(JSON.stringify(fake.requests)).not.toMatch(/env-canary|evil/);
  });
});

describe("TLS", () => {
  const make = (name: string, san: string) => {
    const file = (kind: string) => join(folder, `${name}.${kind}`);
    execFileSync(
      "openssl",
      [
        ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"],
        ...["-keyout", file("key"), "-out", file("crt"), "-subj", `/CN=${name}`, "-addext", `subjectAltName=${san}`],
      ],
      { stdio: "ignore" },
    );
    return { key: readFileSync(file("key")), cert: readFileSync(file("crt")) };
  };
  it("G20: the CA of the configuration, and a certificate for this host; nothing is sent to any other", async () => {
    const right = make("right", "IP:127.0.0.1");
    const other = make("other", "DNS:other.example.com");
    const asked: string[] = [];
    const start = async (pair: typeof right) => {
      const server = createTlsServer(pair, (request, response) => {
        asked.push(request.url ?? "");
        json(200, { auth: { client_token: "s.x", lease_duration: 0, renewable: false } })(response);
      });
      await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
      return { server, address: `https://127.0.0.1:${(server.address() as AddressInfo).port}` };
    };
    const results: [string, number][] = [];
    for (const [pair, ca] of [
      [right, right.cert],
      [right, null],
      [right, other.cert],
      [other, other.cert],
    ] as const) {
      const { server, address } = await start(pair);
      const tls = openVault({ address, roleId: "r", secretId: "s" }, { ca });
      await tls.vault.start();
      results.push([tls.told[0]?.event ?? "", asked.length]);
      await tls.vault.close();
      server.closeAllConnections();
      server.close();
    }
    expect(results.map(([event]) => event)).toEqual(["login", "login", "login", "login"]);
    expect(asked.filter((url) => url.endsWith("/login"))).toHaveLength(1);
  });
});
