// What the runtime image promises, wherever it runs: Compose, Kubernetes or by hand.
import { execFile, spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import { GenericContainer, PullPolicy, Wait, type StartedTestContainer } from "testcontainers";

const IMAGE = process.env["AUTHZ_IMAGE"] ?? "mcp-authz:dev";
const docker = async (...args: string[]) => (await promisify(execFile)("docker", args)).stdout;

/** Any program that stays; no network, no rights, nothing to write to. */
const KEEP = "setInterval(() => {}, 1e6); console.log('ready')";
let container: StartedTestContainer;

beforeAll(async () => {
  container = await new GenericContainer(IMAGE)
    .withPullPolicy(PullPolicy.neverPull())
    .withEntrypoint(["/nodejs/bin/node"])
    .withCommand(["-e", KEEP])
    .withNetworkMode("none")
    .withDroppedCapabilities("ALL")
    .withSecurityOpt("no-new-privileges")
    .withWaitStrategy(Wait.forLogMessage("ready"))
    .start();
});
afterAll(() => container.stop());

const run = async (...command: string[]) => {
  const { exitCode, output } = await container.exec(command);
  return { exitCode, output: output.trim() };
};

it("runs as 65532, with our entrypoint and nothing of ours in the environment", async () => {
  const [{ Config }] = JSON.parse(await docker("image", "inspect", IMAGE)) as [
    { Config: { User: string; Entrypoint: string[]; Cmd: string[]; Env: string[]; Volumes: object | null } },
  ];
  expect([Config.User, Config.Entrypoint, Config.Cmd]).toEqual([
    "65532:65532",
    ["/usr/local/bin/mcp-authz"],
    ["serve"],
  ]);
  expect(Config.Volumes ?? {}).toEqual({});
  expect(Config.Env.join("\n")).not.toMatch(/TOKEN|SECRET|PASSWORD/);
  expect((await run("/nodejs/bin/node", "-p", "process.getuid() + ':' + process.getgid()")).output).toBe("65532:65532");
});

it.each(["sh", "bash", "/bin/sh", "/busybox/sh", "npm", "apt", "curl", "wget"])("has no %s", async (program) => {
  expect((await run(program, "-c", "true")).exitCode).toBeGreaterThanOrEqual(126); // not found, or not executable
});

it("speaks: version, the opa of live policy edits, a health check that says no", async () => {
  expect(await run("mcp-authz", "--version")).toMatchObject({ exitCode: 0 });
  expect((await run("opa", "version")).output).toMatch(/^Version: 1\./);
  const health = await run("mcp-authz", "healthcheck");
  expect([health.exitCode, health.output]).toEqual([
    1,
    "http://127.0.0.1:9002/readyz cannot be reached (ECONNREFUSED)",
  ]);
});

it("has what the reference wire stack reads", async () => {
  const script = "import('/app/src/envoy/grpc-js/check-codec.ts').then(() => console.log('loaded'))";
  const loaded = await run("/nodejs/bin/node", "--disable-warning=ExperimentalWarning", "-e", script);
  expect(loaded).toEqual({ exitCode: 0, output: "loaded" });
});

it("without a configuration it says what to do, and ends", async () => {
  const { exitCode, output } = await run("mcp-authz", "serve");
  expect(exitCode).toBe(2);
  expect(output).toContain("/etc/mcp-authz/mcp-authz.yaml");
  expect(output).toContain("MCP_AUTHZ_CONFIG");
});

it("holds no set-id file, nothing that its user could change beside mount points, no tests and no development packages", async () => {
  const tar = spawn("sh", ["-c", `docker export ${container.getId()} | tar -tv --numeric-owner`]);
  const files = (await text(tar.stdout)).split("\n").filter((line) => line !== "");
  const matching = (pattern: RegExp) => files.filter((line) => pattern.test(line));
  expect(files.length).toBeGreaterThan(1000);
  expect(matching(/^-..[sS]|^-.{5}[sS]/)).toEqual([]);
  expect(matching(/ 65532\/65532 /).map((line) => line.split(" ").at(-1))).toEqual(
    expect.arrayContaining(["etc/mcp-authz/keys/", "etc/mcp-authz/policies/", "etc/mcp-authz/secrets/"]),
  );
  expect(matching(/ 65532\/65532 .* (app|usr|nodejs)\//)).toEqual([]);
  expect(matching(/^-.{7}w/)).toEqual([]); // by everybody
  expect(matching(/ app\/(test|bench|docs)\/| app\/src\/.*\.test\.ts$/)).toEqual([]);
  expect(matching(/node_modules\/(typescript|vitest|testcontainers|oxlint|oidc-provider)\//)).toEqual([]);
  expect(matching(/\.(pem|key)$/).filter((line) => line.includes(" app/"))).toEqual([]);
});

it("as the first process of a container it ends with 0 when it is told to", async () => {
  // No init process: signals have no default action there, so only our own handlers can end it.
  const config = `
publicOrigin: http://127.0.0.1:8080
identity: {issuers: [{issuer: "http://127.0.0.1:9", audiences: [x], algorithms: [ES256]}]}
policy: {path: policies}
wristband: {issuer: "http://127.0.0.1:8080", keys: [{kid: a, file: keys/none.pem}]}
servers: {demo: {url: "http://127.0.0.1:9/mcp", callRouting: direct, credential: [{none: {}}]}}
`;
  const broker = await new GenericContainer(IMAGE)
    .withPullPolicy(PullPolicy.neverPull())
    .withCommand(["broker"])
    .withNetworkMode("none")
    .withDroppedCapabilities("ALL")
    .withCopyContentToContainer([{ content: config, target: "/etc/mcp-authz/mcp-authz.yaml" }])
    .withWaitStrategy(Wait.forLogMessage("listening"))
    .withAutoRemove(false)
    .start();
  try {
    await docker("stop", "-t", "10", broker.getId());
    expect((await docker("inspect", "-f", "{{.State.ExitCode}}", broker.getId())).trim()).toBe("0");
  } finally {
    await docker("rm", "-f", "-v", broker.getId());
  }
});
