// Authorino on the same Checks, by its binary (`--peer authorino=PATH`), which reads its AuthConfig from a Kubernetes API: a fake one.
// As it comes, and with a cache on every evaluator that can have one. I/O: starts it.
import { generateKeyPairSync } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePorts } from "../../demo/ports.ts";
import { openerOf } from "../ours/serve.ts";
import type { Variant } from "../service.ts";
import { GRANTS, SERVER_NAMES, type World } from "../world.ts";
import { startFakeKubernetes } from "./fake-kubernetes.ts";
import { peerService, type PeerRow } from "./peer-row.ts";

/** The name in `Host` by which it finds its configuration. */
const HOST = "127.0.0.1";
const TTL_SECONDS = 600;

export function authorino(path: string, row: PeerRow, isCached: boolean): Variant {
  return {
    name: isCached ? "authorino-cached" : "authorino",
    title: isCached ? "Authorino, every cache on" : "Authorino",
    async start(world) {
      const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
      const spec = await specOf(world, row, isCached);
      const kubernetes = await startFakeKubernetes(spec, String(privateKey.export({ type: "sec1", format: "pem" })));
      world.onClose(() => kubernetes.close());
      const ports = await freePorts();
      const config = join(world.folder, `kubeconfig-${ports.authz}`);
      writeFileSync(config, kubeconfig(kubernetes.address));
      const command = [
        ...[path, "server", "--watch-namespace=bench", "--log-level=error", "--evaluator-cache-size=16"],
        ...[`--ext-auth-grpc-port=${ports.authz}`, `--ext-auth-http-port=${ports.broker}`],
        ...[`--oidc-http-port=${ports.brokerOps}`, `--metrics-addr=127.0.0.1:${ports.gateway}`],
        ...[
          `--health-probe-addr=127.0.0.1:${ports.ops}`,
          "--pprof-bind-address=0",
          `--webhook-service-port=${ports.idp}`,
        ],
      ];
      const child = world.processes.serve(command, { GOMAXPROCS: "1", KUBECONFIG: config });
      await world.processes.ready(child, `http://127.0.0.1:${ports.ops}/readyz`);
      return peerService(world, row, {
        pid: child.pid ?? 0,
        end: () => world.processes.end(child),
        open: openerOf(`127.0.0.1:${ports.authz}`),
      });
    },
  };
}

function kubeconfig(address: string): string {
  return JSON.stringify({
    ...{ apiVersion: "v1", kind: "Config", "current-context": "x" },
    clusters: [{ name: "c", cluster: { server: `http://${address}` } }],
    users: [{ name: "u", user: { token: "none" } }],
    contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
  });
}

const names = (group: string, server: string) =>
  (GRANTS[group] ?? []).filter((tool) => tool.server === server).map(({ name }) => name);
const byGroup = (of: (names: readonly string[]) => unknown) =>
  Object.fromEntries(
    Object.keys(GRANTS).map((group) => [
      group,
      Object.fromEntries(SERVER_NAMES.map((server) => [server, of(names(group, server))])),
    ]),
  );

/** The rules of `decision.rego`; `tool` and `visible` are read by the wristband. */
function rego({ rule }: PeerRow): string {
  const isList = rule === "list";
  return `
grants := ${JSON.stringify(byGroup((tools) => Object.fromEntries(tools.map((name) => [name, true]))))}
lists := ${JSON.stringify(isList ? byGroup((tools) => tools) : {})}
body := json.unmarshal(input.context.request.http.body)
server := split(input.context.request.http.path, "/")[2]
allow if {
	input.auth.identity.aud == "gateway"
	${
    isList
      ? 'body.method == "tools/list"'
      : 'body.method == "tools/call"\n\tsome group in input.auth.identity.groups\n\tgrants[group][server][body.params.name]'
  }
}
tools := ${
    isList
      ? `{name: list | some name in ${JSON.stringify(SERVER_NAMES)}; list := [tool | some group in input.auth.identity.groups; some tool in lists[group][name]]}`
      : "{server: [body.params.name]}"
  }
`;
}

async function specOf(world: World, row: PeerRow, isCached: boolean): Promise<object> {
  const cache = (selector: string) => (isCached ? { cache: { key: { selector }, ttl: TTL_SECONDS } } : {});
  const isBand = row.rule === "relay" || row.rule === "list";
  const subject = "auth.identity.sub";
  // The body is what the decision is on: a key of less would answer one call by another's decision.
  const decisionKey = "{auth.identity.sub}|{context.request.http.path}|{context.request.http.body}";
  const headers = {
    "x-authz-subject": { plain: { selector: subject } },
    "x-authz-groups": { plain: { selector: "auth.identity.groups" } },
  };
  return {
    hosts: [HOST],
    authentication: { idp: { jwt: { issuerUrl: world.issuer }, ...cache("request.headers.authorization") } },
    authorization: { mcp: { opa: { version: "v1", rego: rego(row), allValues: isBand }, ...cache(decisionKey) } },
    ...(row.rule === "secret" && { metadata: { vault: await secret(world) } }),
    response: {
      success: {
        headers: {
          ...headers,
          ...(isBand && { "x-authorized-tools": wristband(cache(row.rule === "list" ? subject : decisionKey)) }),
          ...(row.rule === "secret" && bearer),
        },
      },
    },
  };
}

const bearer = { authorization: { plain: { selector: "Bearer {auth.metadata.vault.data.data.token}" } } };

function wristband(cache: object): object {
  const customClaims = {
    ...{ sub: { selector: "auth.identity.sub" }, aud: { value: "mcp" } },
    tools: { selector: "auth.authorization.mcp.tools" },
  };
  const signingKeyRefs = [{ name: "wristband", algorithm: "ES256" }];
  return { wristband: { issuer: "http://127.0.0.1/mcp", customClaims, tokenDuration: 300, signingKeyRefs }, ...cache };
}

/** Kept in both variants, as by all others in this row. */
async function secret(world: World): Promise<object> {
  const address = await world.answer(JSON.stringify({ data: { data: { token: "secret-of-user" } } }));
  const http = {
    url: `http://${address}/v1/secret/data/{auth.identity.sub}`,
    method: "GET",
    headers: { "x-vault-token": { value: "t" } },
  };
  return { http, cache: { key: { selector: "auth.identity.sub" }, ttl: TTL_SECONDS } };
}
