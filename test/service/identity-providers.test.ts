// docs/identity.md is true: each provider's part passes check-config, and reads invented tokens of that provider's form as it
// says.
import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { parse, stringify } from "yaml";
import { issuersOf } from "../../src/app/issuers.ts";
import type { Identity } from "../../src/authz/types.ts";
import { runMain } from "../../src/cli/command.ts";
import { COMMANDS } from "../../src/cli/commands.ts";
import { loadConfig, type Config } from "../../src/config/load.ts";
import { checkSettings } from "../../src/config/settings.ts";
import { findTool } from "../../src/files/program.ts";
import { createIdentity, type IdentityService } from "../../src/identity/identity.ts";
import { KEY, NOW, PROVIDERS, type Provider, type Reading } from "../fakes/identity-providers.ts";
import { compact } from "../fakes/issuer.ts";

const root = resolve(import.meta.dirname, "../..");
const page = readFileSync(join(root, "docs/identity.md"), "utf8");
const PARTS = new Map(
  [...page.matchAll(/^<!-- issuer: (\S+) -->\n```yaml\n([^`]*)```/gm)].map(([, name = "", text = ""]) => [name, text]),
);
const folder = mkdtempSync(join(tmpdir(), "mcp-authz-providers-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function fileOf(part: string): string {
  const file = join(folder, "mcp-authz.yaml");
  const rest = {
    publicOrigin: "https://gw.example.com",
    policy: { path: join(root, "policies/demo") },
    wristband: { issuer: "https://gw.example.com", keys: [{ kid: "k1", file: "w.pem" }] },
    servers: { s: { url: "https://s.example.com/mcp", credential: [{ none: {} }] } },
  };
  writeFileSync(file, stringify({ ...rest, ...(parse(part) as object) }));
  return file;
}

beforeAll(() => {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  writeFileSync(join(folder, "w.pem"), privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
});

it("the page has a part for every provider, and every part is tried", () =>
  expect([...PARTS.keys()].toSorted()).toEqual(PROVIDERS.map(({ name }) => name).toSorted()));

/** The issuers of a part, which fetch nothing but the provider's documents. */
function serviceOf(config: Config, { documents }: Provider, asked: string[]): IdentityService {
  const fetch = (url: string, chosenBy = "configured") => {
    asked.push(`${chosenBy} ${url}`);
    const document = documents[url];
    const body = Buffer.from(JSON.stringify(document ?? {}));
    return Promise.resolve({ status: document === undefined ? 404 : 200, headers: {}, body });
  };
  return createIdentity({ issuers: issuersOf(config), now: () => NOW * 1000, fetch });
}

function readingOf({ subject, username, groups, scopes, kind }: Identity): Reading {
  return { subject, username, groups, scopes, kind };
}

describe.each(PROVIDERS)("$name", (provider) => {
  const asked: string[] = [];
  let config: Config;
  let service: IdentityService;
  beforeAll(async () => {
    config = loadConfig(fileOf(PARTS.get(provider.name) ?? ""), {}).config;
    service = serviceOf(config, provider, asked);
    await service.start();
  });
  afterAll(() => service.close());

  it("its keys are found where the provider has them", () => {
    expect(service.status()).toMatchObject([{ lastError: null }]);
    expect(asked.map((line) => line.split(" ")[1])).toEqual(Object.keys(provider.documents));
    const away = provider.name === "google" ? "document" : "configured";
    expect(asked.at(-1)?.split(" ")[0]).toBe(away);
  });

  it.each(provider.tokens)("$about", async ({ header, claims, reading }) => {
    const endpoint = checkSettings(config).endpoints.paths.get("/servers/s/mcp");
    const { resource, namedResource = null } = endpoint?.kind === "mcp" ? endpoint : { resource: "" };
    const use = { resource, namedResource, source: "192.0.2.1" };
    const step = await service.identify(compact(KEY, header, claims), use, AbortSignal.timeout(5000));
    if (step.ok) expect(readingOf(step.value)).toEqual(reading);
    else expect([step.reason, step.detail].filter((text) => text !== undefined).join(": ")).toBe(reading);
  });
});

it.skipIf(findTool("opa") === null)(
  "check-config takes all of them together, with the warnings that the page announces",
  async () => {
    const said: string[] = [];
    for (const stream of ["log", "error"] as const)
      vi.spyOn(console, stream).mockImplementation((text) => void said.push(String(text)));
    const parts = [...PARTS.values()].map(
      (part) => parse(part) as { identity: { issuers: object[] }; challenge?: object },
    );
    const issuers = parts.flatMap(({ identity }) => identity.issuers);
    const challenge = parts.map((part) => part.challenge).find((one) => one !== undefined);
    const code = await runMain(COMMANDS, ["check-config", fileOf(stringify({ challenge, identity: { issuers } }))]);
    vi.restoreAllMocks();
    const text = said.join("\n");
    expect([code, text.split("\n").at(-1)]).toEqual([0, "ok"]);
    expect(text).not.toContain("challenge.resource");
    expect(text).toContain("audienceClaim");
  },
);

it.each(["ya29.a0AfH6SMinvented", "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..a.b.c"])(
  "opaque and encrypted tokens (Google, Auth0 without an audience) are refused: %s",
  async (text) => {
    const [provider] = PROVIDERS;
    if (provider === undefined) throw new Error("no provider");
    const service = serviceOf(loadConfig(fileOf(PARTS.get(provider.name) ?? ""), {}).config, provider, []);
    const step = await service.identify(text, "r", AbortSignal.timeout(1000));
    service.close();
    expect(step).toMatchObject({ ok: false, reason: "token_invalid" });
  },
);
