// The files that a running Envoy watches: whole at each moment, and no route names a cluster that is missing.
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { stringify } from "yaml";
import { writeXdsFolder } from "../../src/cli/xds-folder.ts";
import { loadConfig } from "../../src/config/load.ts";
import { envoyConfig } from "../../src/envoy-config/envoy-config.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-xds-"));
const out = join(folder, "envoy");
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const direct = { url: "http://127.0.0.1:9/mcp", callRouting: "direct", credential: [{ none: {} }] };

function configOf(...servers: readonly string[]) {
  const file = join(folder, "mcp-authz.yaml");
  const config = {
    publicOrigin: "https://gw.example.com",
    identity: { issuers: [{ issuer: "https://idp.example.com", audiences: ["a"], algorithms: ["ES256"] }] },
    policy: { path: "policies" },
    wristband: { issuer: "https://gw.example.com", keys: [{ kid: "k", file: "w.pem" }] },
    servers: Object.fromEntries(servers.map((name) => [name, direct])),
  };
  writeFileSync(file, stringify(config));
  return loadConfig(file, {}).config;
}

interface Bootstrap {
  readonly static_resources: Readonly<Record<string, Resources>>;
}
type Resources = readonly { readonly name: string }[];
const read = (name: string) => JSON.parse(readFileSync(join(out, name), "utf8")) as { resources: Resources };
const servers = () =>
  new Set(read("clusters.json").resources.flatMap(({ name }) => /^server_([a-z]+)/.exec(name)?.[1] ?? []));

it("writes what the printed configuration has, in parts, and nothing twice", async () => {
  const config = configOf("demo");
  expect(await writeXdsFolder(config, out)).toEqual(["envoy.json", "clusters.json", "listeners.json", "routes.json"]);
  expect(await writeXdsFolder(config, out)).toEqual([]);
  expect(readdirSync(out).toSorted()).toEqual(["clusters.json", "envoy.json", "listeners.json", "routes.json"]);
  const { static_resources: whole } = envoyConfig(config) as Bootstrap;
  const { static_resources: own } = JSON.parse(readFileSync(join(out, "envoy.json"), "utf8")) as Bootstrap;
  const names = (resources: Resources = []) => resources.map(({ name }) => name);
  expect([...names(own["clusters"]), ...names(read("clusters.json").resources)].toSorted()).toEqual(
    names(whole["clusters"]).toSorted(),
  );
  expect([...names(own["listeners"]), ...names(read("listeners.json").resources)].toSorted()).toEqual(
    names(whole["listeners"]).toSorted(),
  );
  expect(JSON.stringify(read("routes.json"))).toContain("/servers/demo/mcp");
});

it("another server changes clusters and routes, and neither the bootstrap nor the listener", async () => {
  await writeXdsFolder(configOf("demo"), out);
  expect(await writeXdsFolder(configOf("demo", "other"), out)).toEqual(["clusters.json", "routes.json"]);
  expect(servers()).toEqual(new Set(["demo", "other"]));
});

it("a server that leaves keeps its clusters until the routes without it are in force", async () => {
  await writeXdsFolder(configOf("demo", "other"), out);
  const before = statSync(join(out, "routes.json")).ino;
  const writing = writeXdsFolder(configOf("demo"), out);
  await expect.poll(() => statSync(join(out, "routes.json")).ino).not.toBe(before);
  expect(servers()).toEqual(new Set(["demo", "other"]));
  expect(await writing).toEqual(["routes.json", "clusters.json"]);
  expect(servers()).toEqual(new Set(["demo"]));
});

it("files that are not ours are replaced whole", async () => {
  writeFileSync(join(out, "clusters.json"), "{");
  await writeXdsFolder(configOf("demo"), out);
  expect(servers()).toEqual(new Set(["demo"]));
});
