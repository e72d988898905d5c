// The Helm chart: what every example values file gives, and what is said where something needed is missing.
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { goProgram } from "../../tools/lib/go-programs.ts";
import {
  CHART,
  example,
  exampleFile,
  EXAMPLES,
  find,
  layOut,
  manifests,
  podSpec,
  render,
  renderAs,
  type Manifest,
} from "./chart.ts";

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
    ...[
      ["config.servers.github.credential[0].static=ghp_abc", "static"],
      ["config.vault.auth.token=s.abc", "token"],
      ["config.vault.auth.approle.secretId=abc", "secretId"],
      ["config.servers.github.credential[0].exchange.client.secret=1234", "secret"],
      ["config.traces.headers.authorization=Bearer abc", "authorization"],
      ["config.servers.github.headers.Authorization=Bearer abc", "Authorization"],
      ["config.servers.github.url=https://u:pw@mcp.example.com", "url"],
      ["config.wristband.keys[0].pem=-----BEGIN PRIVATE KEY----- abc", "pem"],
    ].map(([set = "", key = ""]): [string, readonly string[], RegExp] => [
      `a secret in plain: ${set}`,
      ["-f", minimal, "--set", set],
      new RegExp(`config\\.\\S*${key} (?:would stand in a ConfigMap in plain|has a key or a password in plain)`),
    ]),
    [
      "a secret of a variable in plain",
      ["-f", exampleFile("production"), "--set-json", 'env=[{"name":"EXCHANGE_SECRET","value":"abc"}]'],
      /EXCHANGE_SECRET, whose value stands in env in plain/,
    ],
    [
      "a secret from a ConfigMap",
      ["-f", minimal, "--set-json", 'files[1]={"configMap":"c","folder":"secrets","items":["github"]}'],
      /secrets\/github is a secret, and files brings it from a ConfigMap/,
    ],
    [
      "a file twice",
      ["-f", minimal, "--set-json", 'files[2]={"secret":"other","folder":"secrets","items":["github"]}'],
      /files: two would be the file secrets\/github/,
    ],
    [
      "a certificate of one's own",
      ["-f", minimal, "--set-json", 'files[2]={"secret":"other","folder":"tls/serve","items":["tls.key"]}'],
      /files: two would be the file tls\/serve\/tls\.key/,
    ],
    [
      "fewer replicas at most than at least",
      ["-f", minimal, "--set-json", 'serve.autoscaling={"enabled":true,"maxReplicas":1}'],
      /serve\.autoscaling: maxReplicas is below minReplicas/,
    ],
    [
      "a volume of the chart's name",
      ["-f", minimal, "--set-json", 'broker.extraVolumes=[{"name":"files","emptyDir":{}}]'],
      /broker\.extraVolumes: the chart has a volume files/,
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

// One value of another kind, an unknown key, or one that breaks what the chart makes of it.
it.each([
  "serve.replicas=0",
  "broker.replicas=-1",
  'serve.replicas="2"',
  "serve.replicas=1.5",
  "serve.replica=2",
  "serve=null",
  "serve=[]",
  "config=[]",
  'config="publicOrigin: x"',
  "policy.files=[]",
  'policy.files={"../x.rego":"x"}',
  'policy.mountPath="/etc/mcp-authz"',
  'policy.mountPath="/tmp"',
  'policy.mountPath="/a/../etc"',
  'files={"secret":"x"}',
  'files[0].folder="../keys"',
  'files[0].configMap="both"',
  'image.repository="registry.example.com/mcp-authz:1"',
  'image.repository="-x y"',
  "image.tag=1",
  'image.tag="a b"',
  'serve.image.tag="x:y"',
  'serve.image.repository="other"',
  'broker.image.digest="sha256:abc"',
  `fullnameOverride="${"a".repeat(51)}"`,
  'fullnameOverride="Gateway"',
  'nameOverride="a.b"',
  'env=[{"name":"A B","value":"x"}]',
  'env=[{"name":"A","valueForm":{}}]',
  'serve.podLabels={"app.kubernetes.io/component":"broker"}',
  'serve.podLabels={"app.kubernetes.io/instance":"other"}',
  'serve.podAnnotations={"checksum/config-at-start":"x"}',
  'broker.podDisruptionBudget.maxUnavailable="all"',
  'tls.mode="plain"',
  'tls.clientCa="no"',
  'networkPolicy.enabled="false"',
  'networkPolicy.egress={"to":[]}',
  // Helm takes the default away.
  "serve.logLevel=null",
  "tls.clientCa=null",
  "networkPolicy.enabled=null",
  "networkPolicy=null",
  'metrics.serviceMonitor.interval="often"',
])("is no value: %s", (value) => {
  const { text, error } = render("-f", exampleFile("minimal"), "--set-json", value);
  expect(text).toBe("");
  expect(error).toMatch(/don't meet the specifications of the schema|schema/);
});

describe("names", () => {
  const namesOf = (release: string, ...args: readonly string[]) => {
    const { text, error } = renderAs(release, "-f", exampleFile("minimal"), ...args);
    return error === "" ? manifests(text).map(({ kind, metadata }) => `${kind}/${metadata.name}`) : error;
  };

  it("two releases in one namespace share no object, and select their own pods", () => {
    const [one, other] = [namesOf("one"), namesOf("other")];
    expect(one).toHaveLength(other.length);
    expect(new Set([...one, ...other]).size).toBe(one.length + other.length);
    const selectors = ["one", "other"].map(
      (release) =>
        renderAs(release, "-f", exampleFile("minimal")).text.match(/app\.kubernetes\.io\/instance: \S+/g) ?? [],
    );
    expect(selectors.map((found) => new Set(found).size)).toEqual([1, 1]);
  });

  it("of the longest release fit, and end in their part", () => {
    for (const name of namesOf("a".repeat(53))) expect(name.split("/")[1]?.length).toBeLessThanOrEqual(63);
  });

  it("a release that begins with a digit needs a name", () => {
    expect(namesOf("1st")).toMatch(/the release makes the name 1st-mcp-authz.*give fullnameOverride/);
    expect(namesOf("1st", "--set", "fullnameOverride=first")).toContain("Service/first-serve");
  });
});

describe("an upgrade of one part after the other", () => {
  const imagesOf = (...args: readonly string[]) => {
    const objects = example("minimal", "--set", "image.tag=1.0", ...args);
    return (["serve", "broker"] as const).map((part) => {
      const { containers } = podSpec(objects, part) as unknown as { containers: { image: string }[] };
      return containers[0]?.image.replace("registry.example.com/mcp-authz", "");
    });
  };
  const digest = `sha256:${"a".repeat(64)}`;

  it.each<[readonly string[], readonly string[]]>([
    [[], [":1.0", ":1.0"]],
    [["broker.image.tag=1.1"], [":1.0", ":1.1"]],
    [
      ["image.tag=1.1", "serve.image.tag=1.0"],
      [":1.0", ":1.1"],
    ],
    [[`image.digest=${digest}`], [`@${digest}`, `@${digest}`]],
    [
      [`image.digest=${digest}`, "broker.image.tag=1.1"],
      [`@${digest}`, ":1.1"],
    ],
    [[`broker.image.digest=${digest}`], [":1.0", `@${digest}`]],
  ])("%j", (set, images) => expect(imagesOf(...set.flatMap((one) => ["--set", one]))).toEqual(images));

  it("touches nothing of the other's pods", () => {
    const podsOf = (...args: readonly string[]) => find(example("minimal", ...args), "Deployment", "mcp-authz-serve");
    expect(podsOf("--set", "broker.image.tag=1.1")).toEqual(podsOf());
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
