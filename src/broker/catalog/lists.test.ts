// The broker as Envoy meets it: what a wristband shows, and what nothing shows without one.
import { IMPLEMENTATION } from "../../files/version.ts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compact, makeKey } from "../../../test/fakes/issuer.ts";
import { startTestBroker, type TestBroker } from "../../../test/fakes/broker.ts";
import {
  ask,
  legacyBody,
  modernBody,
  modernHeaders,
  type BrokerRequest,
  type BrokerReply,
} from "../../../test/fakes/broker-client.ts";
import { NOTHING, tool } from "../../../test/fakes/listing.ts";
import { WRISTBAND, READER } from "../../../test/fakes/wristband.ts";
import { signCatalogToken } from "../../catalog/token.ts";

const many = Array.from({ length: 450 }, (_, i) => `t${String(i).padStart(3, "0")}`);
const SERVERS = {
  git: {
    tools: [
      tool("read", { description: "reads" }),
      tool("delete_repo", { description: "hidden_words" }),
      tool("search"),
    ],
    prompts: [{ name: "summary" }, { name: "hidden_prompt" }],
    resources: [
      { uri: "docs://a", name: "a" },
      { uri: "docs://hidden_page", name: "b" },
    ],
    templates: [
      { uriTemplate: "docs://{id}", name: "c" },
      { uriTemplate: "hidden://{id}", name: "d" },
    ],
  },
  big: { tools: many.map((name) => tool(name)) },
  quiet: { prompts: [] },
};
const ALICE = {
  tools: { git: ["read", "search"], big: many, gone: ["x"] },
  prompts: { git: ["summary"] },
  resources: { git: ["docs://a", "docs://{id}"] },
};

const CHANGES = { listChanged: true };
let broker: TestBroker;
let alice: string;
let bob: string;
beforeAll(async () => {
  broker = await startTestBroker(
    Object.fromEntries(Object.entries(SERVERS).map(([name, offered]) => [name, { offered }])),
    { pageEntries: 200 },
  );
  alice = broker.wristband("alice", ALICE);
  bob = broker.wristband("bob", NOTHING);
});
afterAll(() => broker.close());

const eras = [
  [
    "2025-11-25",
    (method: string, params: object, asked: BrokerRequest) => ask(broker, legacyBody(method, params), asked),
  ],
  [
    "2026-07-28",
    (method: string, params: object, asked: BrokerRequest) =>
      ask(broker, modernBody(method, params), { ...asked, headers: { ...modernHeaders(method), ...asked.headers } }),
  ],
] as const;

const MEMBER = {
  "tools/list": "tools",
  "prompts/list": "prompts",
  "resources/list": "resources",
  "resources/templates/list": "resourceTemplates",
} as const;
const itemsOf = (reply: BrokerReply, method: keyof typeof MEMBER) =>
  (reply.message.result?.[MEMBER[method]] ?? []) as Record<string, unknown>[];
const git = "/servers/git/mcp";

describe.each(eras)("lists of the revision %s", (version, send) => {
  const modern = version === "2026-07-28";

  // No policy and no serve is at hand here: the wristband alone says what she sees.
  it("P2.5-4, P2.5-6: /mcp holds her tools of all servers, prefixed, definitions whole, and of the other kinds", async () => {
    const wristbands = [broker.wristband("alice", { ...ALICE, tools: { git: ["read", "search"], big: ["t000"] } })];
    const reply = await send("tools/list", {}, { wristbands });
    expect(itemsOf(reply, "tools/list")).toEqual([
      tool("big_t000"),
      tool("git_read", { description: "reads" }),
      tool("git_search"),
    ]);
    expect(itemsOf(await send("prompts/list", {}, { wristbands }), "prompts/list")).toEqual([{ name: "git_summary" }]);
    expect(itemsOf(await send("resources/list", {}, { wristbands }), "resources/list")).toEqual([
      { uri: "git+docs://a", name: "a" },
    ]);
    const templates = itemsOf(await send("resources/templates/list", {}, { wristbands }), "resources/templates/list");
    expect(templates).toEqual([{ uriTemplate: "git+docs://{id}", name: "c" }]);
  });

  it("on a server's endpoint, that server's of every kind, under its own names", async () => {
    const names: unknown[] = [];
    for (const method of Object.keys(MEMBER) as (keyof typeof MEMBER)[])
      names.push(
        itemsOf(await send(method, {}, { wristbands: [alice], path: git }), method).map(
          (item) => item["uri"] ?? item["uriTemplate"] ?? item["name"],
        ),
      );
    expect(names).toEqual([["read", "search"], ["summary"], ["docs://a"], ["docs://{id}"]]);
  });

  it("bob's are empty, everywhere", async () => {
    for (const path of ["/mcp", git, "/servers/big/mcp"]) {
      for (const method of Object.keys(MEMBER) as (keyof typeof MEMBER)[]) {
        const reply = await send(method, {}, { wristbands: [bob], path });
        expect([reply.status, itemsOf(reply, method)]).toEqual([200, []]);
        expect(reply.message.result).not.toHaveProperty("nextCursor");
      }
    }
  });

  it("N-04, B43: hers alone, for a moment", async () => {
    const reply = await send("tools/list", {}, { wristbands: [alice], path: git });
    expect(reply.headers["cache-control"]).toBe("no-store");
    const { result } = reply.message;
    if (modern) expect(result).toMatchObject({ resultType: "complete", cacheScope: "private", ttlMs: 5000 });
    else for (const member of ["resultType", "cacheScope", "ttlMs"]) expect(result).not.toHaveProperty(member);
  });

  it("pages hold all of it, once, in order", async () => {
    const names: unknown[] = [];
    let cursor: string | undefined;
    let pages = 0;
    do {
      const params = cursor === undefined ? {} : { cursor };
      const reply = await send("tools/list", params, { wristbands: [alice], path: "/servers/big/mcp" });
      names.push(...itemsOf(reply, "tools/list").map(({ name }) => name));
      cursor = reply.message.result?.["nextCursor"] as string | undefined;
      pages += 1;
    } while (cursor !== undefined);
    expect([pages, names]).toEqual([3, many]);
  });

  it("B44: a cursor that is somebody else's, of another endpoint or kind, or made up is -32602", async () => {
    const first = await send("tools/list", {}, { wristbands: [alice], path: "/servers/big/mcp" });
    const cursor = first.message.result?.["nextCursor"] as string;
    const eve = broker.wristband("eve", ALICE);
    const rows: [string, unknown, string, string][] = [
      [eve, cursor, "/servers/big/mcp", "tools/list"],
      [bob, cursor, "/servers/big/mcp", "tools/list"],
      [alice, cursor, "/mcp", "tools/list"],
      [alice, cursor, git, "tools/list"],
      [alice, cursor, "/servers/big/mcp", "prompts/list"],
      [alice, `${cursor}x`, "/servers/big/mcp", "tools/list"],
      [alice, "", "/servers/big/mcp", "tools/list"],
      [alice, {}, "/servers/big/mcp", "tools/list"],
      [alice, 1, "/servers/big/mcp", "tools/list"],
    ];
    for (const [wristband, made, path, method] of rows) {
      const reply = await send(method, { cursor: made }, { wristbands: [wristband], path });
      expect([reply.status, reply.message.error?.code, reply.message.error?.data.reason]).toEqual([
        400,
        -32602,
        "params_invalid",
      ]);
    }
  });

  it("capabilities say what the endpoint serves, and the same to everybody", async () => {
    const method = modern ? "server/discover" : "initialize";
    const told = modern ? CHANGES : {}; // an older client has no session here, so no stream
    const of = async (path: string, wristband: string) =>
      (await send(method, { protocolVersion: "2025-11-25" }, { wristbands: [wristband], path })).message.result?.[
        "capabilities"
      ];
    for (const wristband of [alice, bob]) {
      expect(await of("/mcp", wristband)).toEqual({ tools: told, prompts: told, resources: told, completions: {} });
      expect(await of(git, wristband)).toEqual({ tools: told, prompts: told, resources: told, completions: {} });
      expect(await of("/servers/big/mcp", wristband)).toEqual({ tools: told });
      expect(await of("/servers/quiet/mcp", wristband)).toEqual({ prompts: told });
    }
  });

  it("B46: what is not in the method table is no method, in her era's way", async () => {
    const methods =
      "tasks/result tasks/list sampling/createMessage roots/list elicitation/create TOOLS/LIST tools/list/ tools".split(
        " ",
      );
    for (const method of methods) {
      const reply = await send(method, {}, { wristbands: [alice] });
      expect([method, reply.status, reply.message.error?.code]).toEqual([method, modern ? 404 : 200, -32601]);
    }
  });

  it("ping is answered; a notification is taken with 202 and an empty body", async () => {
    const ping = await send("ping", {}, { wristbands: [bob] });
    // The stateless revision has none.
    if (modern) expect([ping.status, ping.message.error?.code]).toEqual([404, -32_601]);
    else expect(ping.message.result).toEqual({});
    const body = JSON.parse(modern ? modernBody("notifications/cancelled") : legacyBody("notifications/cancelled")) as {
      id?: number;
    };
    delete body.id;
    const headers = modern ? modernHeaders("notifications/cancelled") : {};
    const reply = await ask(broker, JSON.stringify(body), { wristbands: [bob], headers });
    expect([reply.status, reply.text]).toEqual([202, ""]);
  });

  it("P2.5-5: nothing hidden stands in any byte, also not in the refusal of a call of it", async () => {
    const texts: string[] = [];
    const alice = broker.wristband("alice", { ...ALICE, tools: { git: ["read"] } });
    for (const path of ["/mcp", git]) {
      for (const method of [...Object.keys(MEMBER), modern ? "server/discover" : "initialize", "ping", "nothing/here"])
        texts.push(JSON.stringify(await send(method, {}, { wristbands: [alice], path })));
      for (const params of [{ name: "delete_repo" }, { name: "git_delete_repo" }])
        texts.push(
          JSON.stringify(
            await send("tools/call", params, {
              wristbands: [alice],
              path,
              ...(modern && { headers: { "mcp-name": params.name } }),
            }),
          ),
        );
    }
    expect(texts.join()).not.toMatch(/delete|hidden/);
    expect(texts.join().includes("git_read")).toBe(true);
  });
});

describe("N-05: the handshake", () => {
  const agreed = async (protocolVersion: unknown) =>
    (await ask(broker, legacyBody("initialize", { protocolVersion }), { wristbands: [bob] })).message.result?.[
      "protocolVersion"
    ];

  it.each([
    ["2025-11-25", "2025-11-25"],
    ["2025-06-18", "2025-06-18"],
    ["2025-03-26", "2025-03-26"],
    ["2024-11-05", "2024-11-05"],
    ["2026-07-28", "2025-11-25"],
    ["2099-01-01", "2025-11-25"],
    ["", "2025-11-25"],
    [undefined, "2025-11-25"],
    [1, "2025-11-25"],
    [{}, "2025-11-25"],
  ])("who asks for %j gets %s", async (asked, version) => expect(await agreed(asked)).toBe(version));

  it("is in our own words: no session, no instructions, nothing of a server", async () => {
    const reply = await ask(broker, legacyBody("initialize", { protocolVersion: "2025-11-25" }), {
      wristbands: [alice],
      path: git,
    });
    expect(reply.headers).not.toHaveProperty("mcp-session-id");
    expect(Object.keys(reply.message.result ?? {})).toEqual(["protocolVersion", "capabilities", "serverInfo"]);
    expect(reply.message.result?.["serverInfo"]).toMatchObject({ name: "mcp-authz" });
  });

  it("server/discover names every revision, and is hers alone", async () => {
    const reply = await ask(broker, modernBody("server/discover"), {
      wristbands: [alice],
      headers: modernHeaders("server/discover"),
    });
    expect(reply.message.result).toEqual({
      resultType: "complete",
      supportedVersions: ["2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"],
      capabilities: { tools: CHANGES, prompts: CHANGES, resources: CHANGES, completions: {} },
      serverInfo: IMPLEMENTATION,
      _meta: { "io.modelcontextprotocol/serverInfo": IMPLEMENTATION },
      ttlMs: 5000,
      cacheScope: "private",
    });
  });

  it("B22: a revision that we do not speak is refused with those that we do", async () => {
    const reply = await ask(broker, legacyBody("tools/list"), {
      wristbands: [alice],
      headers: { "mcp-protocol-version": "2099-01-01" },
    });
    expect([reply.status, reply.message.error]).toMatchObject([
      400,
      { code: -32022, data: { supported: expect.arrayContaining(["2026-07-28"]) as unknown } },
    ]);
  });

  it("GET and DELETE are no methods here: there are no sessions", async () => {
    for (const http of ["GET", "DELETE", "PUT"]) {
      const reply = await ask(broker, "", { wristbands: [alice], http });
      expect([reply.status, reply.headers["allow"]]).toEqual([405, "POST"]);
    }
  });
});

it("B43: a list is kept no longer than its wristband lives", async () => {
  const now = Math.floor(Date.now() / 1000);
  const wristband = sign({ ...claims(), iat: now - 298, exp: now + 2 });
  const reply = await ask(broker, modernBody("tools/list"), {
    wristbands: [wristband],
    headers: modernHeaders("tools/list"),
  });
  expect(reply.message.result?.["ttlMs"]).toBeLessThanOrEqual(2000);
});

const header = { alg: "ES256", typ: "wristband+jwt", kid: "k1" };
const claims = () => {
  const now = Math.floor(Date.now() / 1000);
  return {
    iss: WRISTBAND.issuer,
    aud: WRISTBAND.audience,
    sub: "alice",
    idp: "https://idp.example.com",
    client: "",
    iat: now,
    exp: now + 300,
    jti: "j",
    caller_exp: now + 3600,
    use: "list",
    ...ALICE,
    tools: { git: ["read", "search"] },
  };
};
const sign = (made: object, head: object = header, key = broker.key) => compact(key, head, made);

describe("F01, F02, F04, B55: without a valid wristband nothing is shown and nothing called", () => {
  const now = Math.floor(Date.now() / 1000);
  const rows: [string, () => readonly string[] | undefined][] = [
    ["absent", () => undefined],
    ["empty", () => [""]],
    ["F04: two copies of one", () => [alice, alice]],
    ["F04: two of two people", () => [bob, alice]],
    ["F04: two in one line", () => [`${alice},${alice}`]],
    ["F04: two in one line, spaced", () => [`${bob}, ${alice}`]],
    ["a bearer's form", () => [`Bearer ${alice}`]],
    ["F01: unsigned", () => [`${alice.split(".").slice(0, 2).join(".")}.`]],
    ["F01: alg none", () => [sign(claims(), { ...header, alg: "none" })]],
    ["F01: a stranger's key of the same kid", () => [sign(claims(), header, makeKey("k1"))]],
    ["F01: an unknown key", () => [sign(claims(), { ...header, kid: "k9" }, makeKey("k9"))]],
    ["F01: one changed letter", () => [alice.replace(/.$/, (last) => (last === "A" ? "B" : "A"))]],
    ["expired", () => [sign({ ...claims(), iat: now - 300, exp: now - 1 })]],
    ["of tomorrow", () => [sign({ ...claims(), iat: now + 3600, exp: now + 3700 })]],
    ["F02: another audience", () => [sign({ ...claims(), aud: "other-broker" })]],
    ["F02: another issuer", () => [sign({ ...claims(), iss: "https://other" })]],
    ["F02: no subject", () => [sign({ ...claims(), sub: undefined })]],
    ["F09: tools missing", () => [sign({ ...claims(), tools: undefined })]],
    ["F09: tools null", () => [sign({ ...claims(), tools: null })]],
    [
      "A21: a catalogue token",
      () => [
        signCatalogToken(
          { ...WRISTBAND, ...READER },
          { kid: "k1", privateKey: broker.key.privateKey, jwk: {} },
          Date.now(),
        ),
      ],
    ],
    ["A21: an access token", () => [sign(claims(), { ...header, typ: "at+jwt" })]],
    ["A21: a JWT of no type", () => [sign(claims(), { alg: "ES256", kid: "k1" })]],
    ["F05: 33 KiB", () => [sign({ ...claims(), tools: { git: many.map((name) => name.repeat(20)) } })]],
  ];
  const asked: [string, string][] = [
    ["/mcp", legacyBody("tools/list")],
    [git, legacyBody("tools/list")],
    ["/mcp", legacyBody("initialize", { protocolVersion: "2025-11-25" })],
    [git, legacyBody("tools/call", { name: "read" })],
    ["/mcp", "not JSON"],
  ];

  it.each(rows)("%s", async (_, wristbands) => {
    for (const [path, body] of asked) {
      const made = wristbands();
      const reply = await ask(broker, body, { path, ...(made && { wristbands: made }) });
      expect([reply.status, reply.message.error?.data.reason]).toEqual([403, "wristband_invalid"]);
      expect(reply.text).not.toMatch(/read|search|git|docs/);
    }
  });

  it("B53, B55: whatever other headers say", async () => {
    const headers = {
      authorization: `Bearer ${alice}`,
      "x-mcp-server": "git",
      "x-upstream-authorization": "Bearer x",
      "x-mcp-authorized": alice,
      "x-authorized_tools": alice,
      "content-type": "text/plain",
      origin: "https://evil.example.com",
    };
    const reply = await ask(broker, legacyBody("tools/list"), { headers });
    expect([reply.status, reply.message.error?.data.reason]).toEqual([403, "wristband_invalid"]);
  });

  it("M14: the proof of one call shows nothing, not even what it names", async () => {
    const wristbands = [sign({ ...claims(), use: "call", body: "A".repeat(43), destinations: {} })];
    for (const method of ["tools/list", "initialize", "ping", "notifications/initialized"]) {
      const isRequest = !method.startsWith("notifications/");
      const body = JSON.stringify({ jsonrpc: "2.0", ...(isRequest && { id: 1 }), method, params: {} });
      const reply = await ask(broker, body, { wristbands });
      expect([reply.status, reply.message.error?.data.reason]).toEqual([403, "wristband_invalid"]);
    }
  });

  it("M14, B38: a server that is not configured is nobody's, whatever the wristband says", async () => {
    for (const path of [
      "/servers/gone/mcp",
      "/servers/constructor/mcp",
      "/servers/__proto__/mcp",
      "/",
      "/mcp/",
      "/MCP",
    ]) {
      const reply = await ask(broker, legacyBody("tools/list"), { path, wristbands: [alice] });
      expect(reply.status).toBe(404);
    }
  });

  it("a wristband that names what does not exist shows nothing of it", async () => {
    const wristbands = [broker.wristband("eve", { ...NOTHING, tools: { git: ["no_such", "READ"], gone: ["x"] } })];
    const reply = await ask(broker, legacyBody("tools/list"), { wristbands });
    expect(reply.message.result).toEqual({ tools: [] });
  });
});

describe("F03: it is the wristband that speaks", () => {
  it("who wears another's sees what that one may see, and not a name of her own", async () => {
    const carol = broker.wristband("carol", { ...NOTHING, tools: { git: ["search"] } });
    const names = async (wristband: string) =>
      itemsOf(await ask(broker, legacyBody("tools/list"), { wristbands: [wristband], path: git }), "tools/list").map(
        ({ name }) => name,
      );
    expect([await names(alice), await names(carol), await names(alice)]).toEqual([
      ["read", "search"],
      ["search"],
      ["read", "search"],
    ]);
  });

  it("one connection may carry many people: answers never mix", async () => {
    const people = Array.from({ length: 60 }, (_, i) => ({ who: `u${i}`, sees: many.slice(i, i + 3) }));
    const answers = await Promise.all(
      people.map(async ({ who, sees }) => {
        const wristbands = [broker.wristband(who, { ...NOTHING, tools: { big: sees } })];
        const reply = await ask(broker, legacyBody("tools/list", {}, who), { wristbands, path: "/servers/big/mcp" });
        return [reply.message.id, itemsOf(reply, "tools/list").map(({ name }) => name)];
      }),
    );
    expect(answers).toEqual(people.map(({ who, sees }) => [who, sees]));
  });
});

it("F06: two keys are believed while one replaces the other, one alone before and after", async () => {
  const next = makeKey("k2");
  const old = alice;
  const status = async (wristband: string) =>
    (await ask(broker, legacyBody("tools/list"), { wristbands: [wristband] })).status;
  const rotated = broker.wristband("alice", ALICE, next);
  expect([await status(old), await status(rotated)]).toEqual([200, 403]);
  broker.known.set("k2", next);
  expect([await status(old), await status(rotated)]).toEqual([200, 200]);
  broker.known.delete("k1");
  expect([await status(old), await status(rotated)]).toEqual([403, 200]);
  broker.known.set("k1", broker.key);
  broker.known.delete("k2");
});

it("every answer is observed, by its method and its reason", async () => {
  broker.requests.length = 0;
  await ask(broker, legacyBody("tools/list"), { wristbands: [alice] });
  await ask(broker, legacyBody("tools/list", { cursor: "x" }), { wristbands: [alice] });
  await ask(broker, legacyBody("tools/list"), {});
  await ask(broker, "{", { wristbands: [alice] });
  expect(broker.requests).toEqual([
    "tools/list ok",
    "tools/list params_invalid",
    "? wristband_invalid",
    "? body_malformed",
  ]);
});
