// Just enough of a Kubernetes API for Authorino: discovery, and lists and watches of one AuthConfig and one Secret. I/O.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { text } from "node:stream/consumers";

const GROUP = "authorino.kuadrant.io";
const VERSION = "v1beta3";
const NAMESPACE = "bench";
const VERBS = ["get", "list", "watch", "create", "update", "patch", "delete"];

interface Resource {
  readonly metadata: Readonly<Record<string, unknown>>;
  status?: unknown;
}

export interface FakeKubernetes {
  readonly address: string;
  close(): Promise<void>;
}

/** @param spec of the AuthConfig; @param pem of the wristband's key, `SEC 1` */
export async function startFakeKubernetes(spec: object, pem: string): Promise<FakeKubernetes> {
  const config = { apiVersion: `${GROUP}/${VERSION}`, kind: "AuthConfig", metadata: meta("mcp", {}), spec };
  const labels = { "authorino.kuadrant.io/managed-by": "authorino" };
  const data = { "key.pem": Buffer.from(pem).toString("base64") };
  const secret = { apiVersion: "v1", kind: "Secret", type: "Opaque", metadata: meta("wristband", labels), data };
  const items: Readonly<Record<string, Resource>> = { authconfigs: config, secrets: secret };
  const server = createServer((request, response) => void receive(items, request, response));
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const address = server.address();
  return {
    address: `127.0.0.1:${typeof address === "object" ? address?.port : ""}`,
    close: () =>
      new Promise((done) => {
        server.closeAllConnections();
        server.close(() => done());
      }),
  };
}

function meta(name: string, labels: object) {
  const common = { namespace: NAMESPACE, resourceVersion: "1", generation: 1 };
  return { ...common, name, uid: `uid-${name}`, creationTimestamp: "2026-01-01T00:00:00Z", labels };
}

const resource = (name: string, kind: string, verbs = VERBS) => ({
  name,
  singularName: "",
  namespaced: true,
  kind,
  verbs,
});
const GROUP_VERSION = { groupVersion: `${GROUP}/${VERSION}`, version: VERSION };
const GROUPS = { name: GROUP, versions: [GROUP_VERSION], preferredVersion: GROUP_VERSION };
const DISCOVERY: Readonly<Record<string, object>> = {
  "/version": { major: "1", minor: "30", gitVersion: "v1.30.0" },
  "/api": { kind: "APIVersions", versions: ["v1"] },
  "/apis": { kind: "APIGroupList", apiVersion: "v1", groups: [GROUPS] },
  [`/apis/${GROUP}`]: { kind: "APIGroup", apiVersion: "v1", ...GROUPS },
  [`/apis/${GROUP}/${VERSION}`]: {
    ...{ kind: "APIResourceList", apiVersion: "v1", groupVersion: `${GROUP}/${VERSION}` },
    resources: [
      resource("authconfigs", "AuthConfig"),
      resource("authconfigs/status", "AuthConfig", ["get", "patch", "update"]),
    ],
  },
  "/api/v1": {
    ...{ kind: "APIResourceList", apiVersion: "v1", groupVersion: "v1" },
    resources: [resource("secrets", "Secret"), resource("events", "Event")],
  },
};

const PATH =
  /^\/(?:api\/v1|apis\/authorino\.kuadrant\.io\/v1beta3)(?:\/namespaces\/[^/]+)?\/(authconfigs|secrets|events)(?:\/([^/]+))?/;

async function receive(items: Readonly<Record<string, Resource>>, request: IncomingMessage, response: ServerResponse) {
  const url = new URL(request.url ?? "/", "http://k");
  const body = await text(request);
  const found = DISCOVERY[url.pathname];
  const [, kind = "", name] = PATH.exec(url.pathname) ?? [];
  const item = items[kind];
  if (found !== undefined) answer(response, found);
  else if (kind === "events") answer(response, {}, 201);
  else if (item === undefined || (name !== undefined && item.metadata["name"] !== name))
    notFound(response, url.pathname);
  else if (name !== undefined) answer(response, withStatus(item, body));
  else if (/^(?:1|true)$/.test(url.searchParams.get("watch") ?? ""))
    watch(response, item, url.searchParams.get("sendInitialEvents"));
  else answer(response, listOf(kind, item));
}

function answer(response: ServerResponse, value: object, status = 200): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
}

function notFound(response: ServerResponse, path: string): void {
  answer(
    response,
    { kind: "Status", apiVersion: "v1", status: "Failure", message: path, reason: "NotFound", code: 404 },
    404,
  );
}

function withStatus(item: Resource, body: string): Resource {
  const { status } = (body.startsWith("{") ? JSON.parse(body) : {}) as { status?: unknown };
  if (status !== undefined) item.status = status;
  return item;
}

/** The stream stays open: nothing ever changes. */
function watch(response: ServerResponse, item: Resource, initial: string | null): void {
  response.writeHead(200, { "content-type": "application/json" }).flushHeaders();
  if (initial !== "true") return;
  const annotations = { "k8s.io/initial-events-end": "true" };
  const { kind, apiVersion } = item as unknown as { kind: string; apiVersion: string };
  const bookmark = { kind, apiVersion, metadata: { resourceVersion: "1", annotations } };
  response.write(
    `${JSON.stringify({ type: "ADDED", object: item })}\n${JSON.stringify({ type: "BOOKMARK", object: bookmark })}\n`,
  );
}

function listOf(kind: string, item: Resource): object {
  const metadata = { resourceVersion: "1" };
  return kind === "secrets"
    ? { kind: "SecretList", apiVersion: "v1", metadata, items: [item] }
    : { kind: "AuthConfigList", apiVersion: `${GROUP}/${VERSION}`, metadata, items: [item] };
}
