// One list of questions, put to every data plane with the configuration that we print for it.
import { request, type IncomingMessage } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { HOST } from "./planes.ts";
import { http2Post, rawBytes, rawRequest, type RawParts, type RawReply } from "../e2e/raw-http.ts";

/** What a question may use: one stack behind every data plane, and the data plane in front of it. */
export interface Asked {
  readonly port: number;
  readonly tokens: Readonly<Record<"alice" | "bob", string>>;
  /** Of `limits.bodyBytes`. */
  readonly bodyBytes: number;
  /** Origin that `cors.origins` lists. */
  readonly origin: string;
}

export interface Question {
  readonly title: string;
  /** `allow`: it reaches the server once. `refuse`: nothing reaches it, whatever the data plane. `own`: the Check or the data plane answers. */
  readonly kind: "allow" | "refuse" | "own";
  readonly ask: (asked: Asked) => Promise<RawReply>;
  /** Statuses that are right; what each data plane says is in results.json. */
  readonly statuses: readonly number[];
  /** Text that the response must have, and text that the server's arrival must not. */
  readonly says?: RegExp;
  readonly spoofs?: RegExp;
}

const call = (name = "whoami") =>
  JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name, arguments: {} } });
const JSON_TYPE = "Content-Type: application/json";
const ACCEPT = "Accept: application/json, text/event-stream";
/** Longer than a data plane waits for a decision. */
const QUIET_MS = 4000;

function send(parts: RawParts, who: "alice" | "bob" | null = "alice"): Question["ask"] {
  return ({ port, tokens }) => {
    const bearer = who === null ? [] : [`Authorization: Bearer ${tokens[who]}`];
    const headers = [JSON_TYPE, ACCEPT, ...bearer, ...(parts.headers ?? [])];
    if (!headers.some((line) => line.startsWith("Connection:"))) headers.push("Connection: close"); // the response ends it
    return rawRequest(port, rawBytes({ host: HOST, body: call(), ...parts, headers }), QUIET_MS);
  };
}

const at = (target: string, statuses: readonly number[]): Question => ({
  title: `the path ${target}`,
  kind: "refuse",
  ask: send({ target }),
  statuses,
});

const SPOOFED = [
  "x-authorized-tools: evil",
  "x-mcp-server: other-evil",
  "x-upstream-authorization: Bearer evil",
  "x-mcp-subject: evil",
  "x-mcp-authorized: evil",
  "x-envoy-auth-partial-body: false",
  "x-forwarded-user: evil",
  "x-original-url: /evil",
  "x-real-ip: 6.6.6.6",
  "forwarded: for=evil",
  "cookie: a=evil",
];

/** Sends the headers, waits for 100 Continue as long as a patient client does, then the body. */
const expecting: Question["ask"] = async ({ port, tokens }) => {
  const head = [
    JSON_TYPE,
    ACCEPT,
    `Authorization: Bearer ${tokens.alice}`,
    "Expect: 100-continue",
    "Connection: close",
  ];
  const bytes = rawBytes({ host: HOST, headers: head, body: call() });
  return rawRequest(port, bytes, QUIET_MS);
};

export const QUESTIONS: readonly Question[] = [
  { title: "a call that policy allows", kind: "allow", ask: send({}), statuses: [200], says: /event-stream|result/ },
  {
    title: "a call that policy denies",
    kind: "refuse",
    ask: send({ body: call("delete_repo") }, "bob"),
    statuses: [200],
    says: /"error"/,
  },
  {
    title: "no token",
    kind: "refuse",
    ask: send({}, null),
    statuses: [401],
    says: /www-authenticate: *Bearer.*resource_metadata/i,
  },
  {
    title: "the metadata document",
    kind: "own",
    ask: send({ method: "GET", target: "/.well-known/oauth-protected-resource/servers/demo/mcp", body: "" }, null),
    statuses: [200],
    says: /authorization_servers/,
  },
  {
    title: "managed headers of a client",
    kind: "allow",
    ask: send({ headers: SPOOFED }),
    statuses: [200],
    spoofs: /evil|6\.6\.6\.6/,
  },
  {
    title: "a managed name with underscores",
    kind: "refuse",
    ask: send({ headers: ["x_authorized_tools: evil"] }),
    statuses: [400],
  },
  {
    title: "an announced body over the limit",
    kind: "refuse",
    ask: (asked) => send({ body: call().padEnd(asked.bodyBytes + 1) })(asked),
    statuses: [413],
  },
  {
    title: "HTTP/2: the last frame passes the limit",
    kind: "refuse",
    ask: ({ port, tokens, bodyBytes }) => {
      const frames = [Buffer.from(call().padEnd(bodyBytes - 100)), Buffer.alloc(5000, 32)];
      return http2Post(port, { ":authority": HOST, authorization: `Bearer ${tokens.alice}` }, frames);
    },
    statuses: [413, 0],
  },
  {
    title: "a body as long as the limit",
    kind: "allow",
    ask: (asked) => send({ body: call().padEnd(asked.bodyBytes) })(asked),
    statuses: [200],
  },
  {
    title: "a body that is not UTF-8",
    kind: "refuse",
    ask: send({ body: Buffer.from(call("who\u00ffami"), "latin1") }),
    statuses: [200, 400],
    says: /body_malformed|Parse error|"error"/,
  },
  { title: "gzip", kind: "refuse", ask: send({ headers: ["Content-Encoding: gzip"] }), statuses: [200, 415] },
  at("//servers/demo/mcp?x", [200, 400, 404]),
  at("/servers%2fdemo/mcp", [400, 404]),
  at("/servers%5cdemo/mcp", [400, 404]),
  at("/.well-known/..%2fservers/demo/mcp", [400, 404]),
  at("/.well-known/oauth-protected-resource/..;/servers/demo/mcp", [400, 404]),
  at("/servers/demo/mcp;x", [404]),
  at("/SERVERS/demo/mcp", [404]),
  at("/servers%252fdemo/mcp", [404]),
  { title: "another host", kind: "refuse", ask: send({ host: "evil.example.com" }), statuses: [404] },
  { title: "two hosts", kind: "refuse", ask: send({ headers: ["Host: evil.example.com"] }), statuses: [400, 404] },
  {
    title: "two Authorization headers",
    kind: "refuse",
    ask: send({ headers: ["Authorization: Bearer x"] }),
    statuses: [200, 400, 401],
  },
  {
    title: "CORS preflight",
    kind: "own",
    ask: (asked) =>
      rawRequest(
        asked.port,
        rawBytes({
          method: "OPTIONS",
          host: HOST,
          headers: [`Origin: ${asked.origin}`, "Access-Control-Request-Method: POST", "Connection: close"],
          body: "",
        }),
        QUIET_MS,
      ),
    statuses: [200, 204],
    says: /access-control-allow-origin/i,
  },
  { title: "Expect: 100-continue", kind: "allow", ask: expecting, statuses: [100, 200] },
  {
    title: "an upgrade to WebSocket",
    kind: "refuse",
    ask: send({
      method: "GET",
      body: "",
      headers: [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Version: 13",
      ],
    }),
    statuses: [200, 400, 403],
  },
  {
    title: "CONNECT",
    kind: "refuse",
    ask: send({ method: "CONNECT", target: `${HOST}:80`, body: "" }),
    statuses: [400, 404, 405],
  },
];

/** A stream of a session: opened early, asked late whether it is open still. */
export async function openStream(asked: Asked) {
  const params = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "t", version: "1" } };
  const initialize = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "initialize", params });
  const opened = await requestTo(asked, { method: "POST", body: initialize });
  opened.resume();
  const session = String(opened.headers["mcp-session-id"]);
  const headers = { "mcp-session-id": session, "mcp-protocol-version": "2025-11-25" };
  const stream = await requestTo(asked, { method: "GET", headers });
  const since = Date.now();
  let ended = false;
  stream.on("close", () => {
    ended = true;
  });
  stream.on("error", () => {});
  stream.resume();
  return {
    status: stream.statusCode,
    type: stream.headers["content-type"],
    /** True if the stream has outlived this time. */
    async outlives(ms: number): Promise<boolean> {
      await delay(Math.max(0, since + ms - Date.now()));
      return !ended;
    },
    close: () => void stream.destroy(),
  };
}

interface Sent {
  readonly method: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

function requestTo({ port, tokens }: Asked, { method, headers = {}, body = "" }: Sent): Promise<IncomingMessage> {
  return new Promise((done, fail) => {
    const sent = request({
      ...{ host: "127.0.0.1", port, method, path: "/servers/demo/mcp" },
      headers: {
        ...{ host: HOST, authorization: `Bearer ${tokens.alice}`, "content-type": "application/json" },
        accept: "application/json, text/event-stream",
        ...headers,
      },
    });
    sent.on("response", done);
    sent.on("error", fail);
    sent.end(body);
  });
}
