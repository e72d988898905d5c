// What docker-compose.yml and the Dockerfile promise, read from the files: it holds where no engine is.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { readRevocation } from "../../src/identity/revocation-lines.ts";
import { composeEnvoyYaml } from "../../tools/compose-envoy.ts";

interface Service {
  readonly image: string;
  readonly attach?: boolean;
  readonly build?: object;
  readonly pull_policy?: string;
  readonly entrypoint?: readonly string[];
  readonly command?: readonly string[];
  readonly user?: string;
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
  readonly security_opt?: readonly string[];
  readonly privileged?: boolean;
  readonly restart?: string;
  readonly ports?: readonly string[];
  readonly networks?: readonly string[];
  readonly network_mode?: string;
  readonly volumes?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly deploy?: { readonly resources: { readonly limits: { readonly memory?: string; readonly pids?: number } } };
}

interface Compose {
  readonly version?: string;
  readonly services: Readonly<Record<string, Service>>;
  readonly networks: Readonly<Record<string, { readonly internal?: boolean }>>;
  readonly configs: Readonly<Record<string, { readonly file: string }>>;
}

const root = resolve(import.meta.dirname, "../..");
const read = (name: string) => readFileSync(join(root, name), "utf8");
const compose = parse(read("docker-compose.yml"), { merge: true }) as Compose;
const services = Object.entries(compose.services);

it("has no version, and names files that are there", () => {
  expect(compose.version).toBeUndefined();
  for (const { file } of Object.values(compose.configs)) expect(existsSync(join(root, file)), file).toBe(true);
});

describe.each(services)("%s", (_, service) => {
  it("starts the same way from the published image and from any other: entrypoint, command and user are stated", () => {
    expect(service.entrypoint?.length).toBeGreaterThan(0);
    expect(service.command?.length).toBeGreaterThan(0);
    expect(service.user).toMatch(/^[1-9]\d+:[1-9]\d+$/); // numbers, and not root
  });

  it("is never pulled if it is ours: a registry's image of that name would be somebody else's", () => {
    expect(service.pull_policy).toBe(/mcp-authz/.test(service.image) ? "never" : undefined);
    if (service.build !== undefined) expect(service.image).toMatch(/mcp-authz/);
  });

  it("is read-only, without capabilities or ways to get them, within limits", () => {
    expect(service.read_only).toBe(true);
    expect(service.cap_drop).toEqual(["ALL"]);
    expect(service.security_opt).toEqual(["no-new-privileges:true"]);
    expect(service.privileged).toBeUndefined();
    expect(service.deploy?.resources.limits.memory).toMatch(/^\d+M$/);
    expect(service.deploy?.resources.limits.pids).toBeGreaterThan(0);
  });

  it("publishes on loopback only, holds no secret in its environment, has a health check unless it ends by itself", () => {
    for (const port of service.ports ?? []) expect(port).toMatch(/^127\.0\.0\.1:/);
    for (const name of Object.keys(service.environment ?? {}))
      expect(name).not.toMatch(/(?:TOKEN|SECRET|PASSWORD|KEY)$/); // the name of a file may stand there
    expect(service.healthcheck !== undefined).toBe(service.restart !== "no");
  });
});

it("each image of ours is built once, by a service that the others with it wait for or start beside", () => {
  const built = services.filter(([, { build }]) => build !== undefined);
  expect(built.map(([name, { image }]) => [name, image])).toEqual([
    ["init", "${DEMO_IMAGE:-mcp-authz-demo:dev}"],
    ["serve", "${AUTHZ_IMAGE:-mcp-authz:dev}"],
  ]);
  const ours = services.filter(([, { image }]) => /mcp-authz/.test(image)).map(([, { image }]) => image);
  expect(new Set(ours)).toEqual(new Set(built.map(([, { image }]) => image)));
});

it("a terminal that is attached shows the lines to copy, and no service's log between them", () => {
  expect(services.filter(([, { attach }]) => attach !== false).map(([name]) => name)).toEqual(["idp"]);
});

it("no file of the clone is written: revocations are in a volume, which the provider writes and serve reads", () => {
  const holders = services.flatMap(([name, { volumes = [] }]) =>
    volumes.filter((volume) => volume.startsWith("revocations:")).map((volume) => [name, volume.endsWith(":ro")]),
  );
  expect(holders).toEqual([
    ["init", false],
    ["idp", false],
    ["serve", true],
  ]);
});

it("only Envoy and the provider are published; only they are on a network that leads out", () => {
  const published = services.filter(([, { ports }]) => ports !== undefined).map(([name]) => name);
  const outside = services
    .filter(
      ([, service]) =>
        service.networks === undefined || service.networks.some((name) => !compose.networks[name]?.internal),
    )
    .filter(([, { network_mode: mode }]) => mode !== "none")
    .map(([name]) => name);
  expect(published).toEqual(["idp", "envoy"]);
  expect(outside).toEqual(published);
});

it("each secret goes to those who need it: the wristband key to serve, the unseal key to OpenBao", () => {
  const holders = (volume: string) =>
    services.filter(([, { volumes }]) => volumes?.some((one) => one.startsWith(`${volume}:`))).map(([name]) => name);
  expect(holders("keys")).toEqual(["init", "serve"]);
  expect(holders("unseal")).toEqual(["init", "openbao"]);
  expect(holders("idp")).toEqual(["init", "idp"]);
  expect(holders("secrets")).toEqual(["init", "openbao", "serve", "broker"]);
  expect(holders("known")).toEqual(["init", "demo", "tickets", "everything", "budget"]);
  for (const [name, { volumes = [] }] of services.filter(([one]) => one !== "init"))
    for (const volume of volumes) if (volume !== "revocations:/state/revocations") expect(volume, name).toMatch(/:ro$/);
});

it("revoke writes a line that serve takes, for people who are there only", () => {
  const folder = mkdtempSync(join(tmpdir(), "mcp-authz-revoke-"));
  mkdirSync(join(folder, "revocations"));
  const env = { ...process.env, STATE_FOLDER: folder, IDP_PORT: "9080" };
  const revoke = (person: string) =>
    spawnSync(process.execPath, [join(root, "demo/compose/revoke.ts"), person], { env }).status;
  expect([revoke("alice"), revoke("mallory"), revoke("bob")]).toEqual([0, 1, 0]);
  const lines = readFileSync(join(folder, "revocations/revoked.jsonl"), "utf8").split("\n");
  rmSync(folder, { recursive: true });
  expect(lines.pop()).toBe("");
  const read = lines.map((line) => readRevocation(Buffer.from(line)));
  expect(read).toEqual(
    ["alice", "bob"].map((id) => ({
      by: "sub",
      id,
      iss: "http://127.0.0.1:9080",
      before: expect.any(Number) as number,
    })),
  );
});

it("envoy/envoy.yaml is what envoy-config prints for this configuration (else: npm run compose-envoy)", () => {
  expect(read("envoy/envoy.yaml")).toBe(composeEnvoyYaml());
});

it("the Dockerfile fetches no frontend, pins nothing that only a release can pin, and ends as nobody", () => {
  const text = read("Dockerfile");
  expect(text).not.toMatch(/^#\s*syntax=/m);
  expect(text).not.toContain("@sha256:");
  expect(text.match(/^USER .*$/gm)).toEqual(["USER 65532:65532", "USER 65532:65532"]);
  expect(text.match(/^FROM \S+ AS (\w+)$/gm)?.at(-1)).toBe("FROM ${RUNTIME_IMAGE} AS runtime");
});

it("both images carry the licence and the notice", () => {
  expect(read("Dockerfile").match(/^COPY LICENSE NOTICE package\.json \/app\/$/gm)).toHaveLength(2);
  expect(read(".dockerignore")).toMatch(/^!LICENSE\n!NOTICE$/m);
});

it("the build context begins empty: what is not named never reaches an image", () => {
  const lines = read(".dockerignore")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));
  expect(lines[0]).toBe("*");
  for (const line of lines.slice(1))
    expect(line).toMatch(
      /^(!(package(?:-lock)?\.json|\.npmrc|src|protos|policies|deploy\/image|demo|LICENSE|NOTICE)$|\*\*\/\*\.test\.ts)/,
    );
});

it("both images have protos/, which the reference wire stack reads at the start", () => {
  expect(read("Dockerfile").match(/^COPY protos \/app\/protos$/gm)).toHaveLength(2);
  expect(read(".dockerignore")).toContain("\n!protos\n");
});

it("the opa of the image is the one of the tools", () => {
  const [, version] = /OPA_IMAGE=openpolicyagent\/opa:([\d.]+)-static/.exec(read("Dockerfile")) ?? [];
  expect(read("tools/lib/install-opa.ts")).toContain(`version: "v${version}"`);
});

it("F4: Envoy's heap is bounded by less than its container has: a third more is for all that is not heap", () => {
  const limit = Number(/^(\d+)M$/.exec(compose.services["envoy"]?.deploy?.resources.limits.memory ?? "")?.[1]);
  const heap = Number(/max_heap_size_bytes: (\d+)/.exec(read("envoy/envoy.yaml"))?.[1]) / 1024 / 1024;
  expect(heap).toBeGreaterThan(0);
  expect(limit * 3).toBeGreaterThanOrEqual(heap * 4);
});
