// The Helm chart: what every example values file gives, and what is said where something needed is missing.
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { goProgram } from "../../tools/lib/go-programs.ts";
import { CHART, example, exampleFile, EXAMPLES, find, layOut, podSpec, render, type Manifest } from "./chart.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const folder = mkdtempSync(join(tmpdir(), "mcp-authz-chart-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const POLICY = 'package mcp.authz\n\nallow if "engineering" in input.identity.groups\n';

/** An example whose policy lies where the test can write it, so that check-config finds it. */
function withPolicyAt(name: string, at: string, ...args: readonly string[]): Manifest[] {
  mkdirSync(at, { recursive: true });
  const objects = example(name, "--set", `policy.mountPath=${at}`, ...args);
  const brought = objects.find(({ metadata }) => metadata.name === "mcp-authz-policy")?.data;
  for (const [file, text] of Object.entries(brought ?? { "authz.rego": POLICY })) writeFileSync(join(at, file), text);
  return objects;
}

function checkConfig(file: string, part: string) {
  const args = ["--disable-warning=ExperimentalWarning", "src/cli/mcp-authz.ts", "check-config", file, "--for", part];
  const env = { ...process.env, EXCHANGE_SECRET: "a-secret" };
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: ROOT, encoding: "utf8", env });
  return { status, stdout, stderr };
}

it("helm lint finds nothing", () => {
  for (const name of EXAMPLES) {
    const args = ["lint", "--strict", CHART, "-f", exampleFile(name)];
    const { status, stdout, stderr } = spawnSync(goProgram("helm"), args, { encoding: "utf8" });
    expect({ status, stdout }, stderr).toMatchObject({
      status: 0,
      stdout: expect.stringContaining("0 chart(s) failed"),
    });
  }
});

describe.each(EXAMPLES)("examples/%s.yaml", (name) => {
  const objects = withPolicyAt(name, join(folder, name, "policies"));

  it("fits the schemas of the built-in kinds, unknown fields included", () => {
    const file = join(folder, `${name}.yaml`);
    writeFileSync(file, render("-f", exampleFile(name)).text);
    const program = resolve(ROOT, ".tools/kubernetes-validate/bin/kubernetes-validate");
    for (const version of ["1.30", "1.37"]) {
      const done = spawnSync(program, ["--strict", "-k", version, file], { encoding: "utf8" });
      expect(done.status, `${version}: ${done.stdout}${done.stderr}`).toBe(0);
      const unknown = [...`${done.stdout}${done.stderr}`.matchAll(/schema for kind (\w+)/g)].map(([, kind]) => kind);
      expect(unknown.filter((kind) => kind !== "ServiceMonitor" && kind !== "PrometheusRule")).toEqual([]);
    }
  });

  it.each(["serve", "broker"] as const)("mcp-authz check-config takes what the pod of %s finds", (part) => {
    const file = layOut(objects, part, join(folder, name, part));
    const { status, stdout, stderr } = checkConfig(file, part);
    expect(stderr).not.toContain("can be read by");
    expect({ status, stdout }, stderr).toEqual({ status: 0, stdout: "ok\n" });
  });

  it.each(["serve", "broker"] as const)("the pod of %s has no rights that it does not need", (part) => {
    const spec = podSpec(objects, part);
    expect(spec).toMatchObject({
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      securityContext: { runAsNonRoot: true, runAsUser: 65532, seccompProfile: { type: "RuntimeDefault" } },
    });
    expect(spec).not.toHaveProperty("hostNetwork");
    const { containers } = spec as unknown as { containers: { securityContext: object; volumeMounts: object[] }[] };
    for (const { securityContext, volumeMounts } of containers) {
      expect(securityContext).toEqual({
        allowPrivilegeEscalation: false,
        privileged: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ["ALL"] },
      });
      const writable = volumeMounts.filter((mount) => !("readOnly" in mount));
      expect(writable).toEqual([{ name: "tmp", mountPath: "/tmp" }]);
      // A mount by subPath never changes.
      for (const mount of volumeMounts) expect(mount).not.toHaveProperty("subPath");
    }
  });

  it("the private keys of wristbands are not in the pod of the broker", () => {
    const paths = (part: "serve" | "broker") => JSON.stringify(podSpec(objects, part).volumes);
    expect(paths("serve")).toContain("keys/wristband.pem");
    expect(paths("broker")).not.toContain("wristband.pem");
    expect(paths("broker")).not.toContain("tls/serve/tls.key");
  });

  it("two replicas at least, a disruption budget and a network policy for each part", () => {
    for (const part of ["mcp-authz-serve", "mcp-authz-broker"]) {
      const { replicas } = find(objects, "Deployment", part).spec ?? {};
      const { minReplicas } =
        objects.find(({ kind, metadata }) => kind === "HorizontalPodAutoscaler" && metadata.name === part)?.spec ?? {};
      expect(Number(replicas ?? minReplicas)).toBeGreaterThanOrEqual(2);
      expect(find(objects, "PodDisruptionBudget", part).spec).toMatchObject({ maxUnavailable: 1 });
      expect(find(objects, "NetworkPolicy", part).spec).toMatchObject({ policyTypes: ["Ingress", "Egress"] });
    }
  });

  it("a pod has time for its sleep and its drain", () => {
    for (const part of ["serve", "broker"] as const) {
      const { terminationGracePeriodSeconds: grace, containers } = podSpec(objects, part) as unknown as {
        terminationGracePeriodSeconds: number;
        containers: { lifecycle: { preStop: { sleep: { seconds: number } } } }[];
      };
      const sleep = containers[0]?.lifecycle.preStop.sleep.seconds ?? 0;
      const drain = part === "broker" ? 2 : name === "production" ? 15 : 10;
      expect(sleep).toBeGreaterThanOrEqual(5);
      expect(grace).toBeGreaterThan(sleep + drain);
    }
  });
});

it.each([
  ["serve", 5000, 10 + 5 + 10 + 5],
  ["serve", 5500, 10 + 16 + 5],
  ["serve", 600_000, 10 + 600 + 10 + 5],
  ["broker", 5000, 35 + 5 + 2 + 5],
  ["broker", 1, 35 + 3 + 5],
] as const)("the pod of %s with drainDelayMs %i has %i s to end", (part, delayMs, seconds) => {
  const spec = podSpec(example("minimal", "--set", `config.drainDelayMs=${delayMs}`), part);
  expect(spec).toMatchObject({ terminationGracePeriodSeconds: seconds });
});

describe("what is missing is said in one sentence", () => {
  const minimal = exampleFile("minimal");
  const server = "config.servers.github.credential[0].static.file";
  it.each<[string, readonly string[], RegExp]>([
    ["nothing at all", [], /config\.publicOrigin: say under which origin/],
    ["no image", ["-f", minimal, "--set", "image.repository="], /image\.repository: name the image/],
    [
      "no issuer",
      ["-f", minimal, "--set-json", "config.identity.issuers=[]"],
      /config\.identity\.issuers: name the issuer/,
    ],
    [
      "no wristband key",
      ["-f", minimal, "--set-json", "config.wristband.keys=[]"],
      /config\.wristband\.keys: name the key/,
    ],
    ["no server", ["-f", minimal, "--set-json", "config.servers=null"], /config\.servers: name at least one/],
    [
      "no policy",
      ["-f", minimal, "--set-json", 'policy.files={"authz.rego":null}'],
      /Nothing is allowed without a policy/,
    ],
    [
      "two files of one name",
      ["-f", minimal, "--set-json", 'policy.files={"a/b.rego":"x","a__b.rego":"y"}'],
      /policy\.files: a\/b\.rego and a__b\.rego are one key/,
    ],
    [
      "two files of one name, deeper",
      ["-f", minimal, "--set-json", 'policy.files={"a/b__c.rego":"x","a__b/c.rego":"y"}'],
      /policy\.files: a\/b__c\.rego and a__b\/c\.rego are one key/,
    ],
    ["two policies", ["-f", minimal, "--set", "policy.existingConfigMap=x"], /files or existingConfigMap, not both/],
    ["no TLS of serve", ["-f", minimal, "--set", "tls.serve.secretName="], /tls\.serve\.secretName: beyond loopback/],
    [
      "no TLS of the broker",
      ["-f", minimal, "--set", "tls.broker.secretName="],
      /tls\.broker\.secretName: beyond loopback/,
    ],
    [
      "no data plane",
      ["-f", minimal, "--set-json", "networkPolicy.dataPlane=[]"],
      /networkPolicy\.dataPlane: say which pods/,
    ],
    [
      "a secret that nothing brings",
      ["-f", minimal, "--set", `${server}=secrets/other`],
      /secrets\/other, which no entry of files brings/,
    ],
    ["a Secret without the key", ["-f", minimal, "--set-json", "files=[]"], /which no entry of files brings/],
    [
      "a wristband key for the broker",
      ["-f", minimal, "--set-json", 'files[0].for=["serve","broker"]'],
      /is a private key of serve/,
    ],
    [
      "a secret for one of two",
      ["-f", minimal, "--set-json", 'files[1].for=["serve"]'],
      /to the broker, which reads every secret/,
    ],
    [
      "a CA that nothing brings",
      ["-f", minimal, "--set", "config.identity.issuers[0].caFile=ca/ca.crt"],
      /configMap: NAME/,
    ],
    [
      "a variable that env does not set",
      ["-f", exampleFile("production"), "--set-json", "env=[]"],
      /reads the variable EXCHANGE_SECRET/,
    ],
    [
      "a listener of one's own",
      ["-f", minimal, "--set", "config.listen.authz=0.0.0.0:1"],
      /config\.listen\.authz is set by the chart/,
    ],
    [
      "plaintext by the back door",
      ["-f", minimal, "--set", "config.listen.plaintext=true"],
      /config\.listen\.plaintext is set by/,
    ],
    [
      "certificates of one's own",
      ["-f", minimal, "--set", "config.tls.authz.certFile=/x"],
      /config\.tls is set by the chart/,
    ],
    [
      "a policy path of one's own",
      ["-f", minimal, "--set", "config.policy.path=/x"],
      /config\.policy\.path is set by the chart/,
    ],
    [
      "the development identity",
      ["-f", minimal, "--set", "config.identity.development.subject=me"],
      /is for one machine/,
    ],
    [
      "a drain that is no number",
      ["-f", minimal, "--set-string", "config.drainMs=5000"],
      /config\.drainMs: give the number/,
    ],
    [
      "a delay that is no number",
      ["-f", minimal, "--set-string", "config.drainDelayMs=5000"],
      /config\.drainDelayMs: give the number/,
    ],
    [
      "a ServiceAccount without a name",
      ["-f", minimal, "--set", "serviceAccount.create=false"],
      /serviceAccount\.name: name the/,
    ],
  ])("%s", (_, args, sentence) => {
    const { text, error } = render(...args);
    expect(text).toBe("");
    expect(error).toMatch(sentence);
  });
});

describe("the configuration in the ConfigMap", () => {
  const configOf = (objects: readonly Manifest[]) =>
    JSON.parse(find(objects, "ConfigMap", "mcp-authz").data?.["mcp-authz.yaml"] ?? "") as Record<string, unknown>;

  it("texts that look like numbers, dates or booleans stay texts, and numbers numbers", () => {
    const odd = ["2026-11-30", "1e3", "0o17", "0x1F", "on", "no", "null", "~", "1_000", "12:30:45", ".5", "<&>", "{a}"];
    const values = JSON.stringify({ config: { challenge: { scopes: odd }, limits: { revocations: 1_000_000 } } });
    const file = join(folder, "odd.yaml");
    writeFileSync(file, values);
    expect(configOf(example("minimal", "-f", file))).toMatchObject({
      challenge: { scopes: odd },
      limits: { revocations: 1_000_000 },
    });
  });

  it("listeners are plain behind a sidecar alone, and then by name", () => {
    expect(configOf(example("istio"))).toMatchObject({ listen: { plaintext: true } });
    for (const name of EXAMPLES.filter((each) => each !== "istio")) {
      const config = configOf(example(name));
      expect(config).toMatchObject({ listen: { plaintext: false } });
      expect(config).toMatchObject({ tls: { authz: { clientCaFile: "tls/serve/ca.crt" } } });
      expect(config).toMatchObject({ tls: { broker: { clientCaFile: "tls/broker/ca.crt" } } });
      expect(config["allowHttp"]).toBeUndefined();
    }
  });

  it("a policy of several folders finds its way through a ConfigMap, whose keys have no slash", () => {
    const set = ["--set-json", 'policy.files={"teams/a/data.yaml":"grants: {}"}'];
    const objects = example("minimal", ...set);
    expect(find(objects, "ConfigMap", "mcp-authz-policy").data).toHaveProperty("teams__a__data.yaml");
    expect(JSON.stringify(podSpec(objects, "serve").volumes)).toContain(
      '{"key":"teams__a__data.yaml","path":"teams/a/data.yaml"}',
    );
  });
});
