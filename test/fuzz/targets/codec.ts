// The protobuf codec: a WireFault is all that bytes may cause, and what is encoded is read back as what it was made of.
import { encodeCheckResponse } from "../../../src/envoy/encode-check-response.ts";
import { decodeCheckRequest } from "../../../src/envoy/decode-check-request.ts";
import { fromCheckRequest } from "../../../src/envoy/from-check-request.ts";
import { WireFault } from "../../../src/envoy/protobuf.ts";
import { isAllow, isRefusal } from "../../../src/envoy/verify-response.ts";
import type { Grant } from "../../../src/authz/grant.ts";
import { checkMessage, codecs, OWN_PROTO } from "../../fakes/check-request.ts";
import { must, type Target } from "./target.ts";

const { request } = codecs(OWN_PROTO);
const HEADERS = { authorization: "Bearer a.b.c", "content-type": "application/json", "mcp-name": "x" };

const granted = { set: new Map([["x-a", "b c"]]), remove: ["x-b"], shared: [] } as unknown as Grant;
const ALLOW = encodeCheckResponse({
  kind: "ok",
  set: new Map([["x-a", "b c"]]),
  remove: ["x-b"],
  responseHeaders: new Map(),
  metadata: [["route", "r"]],
});
const DENY = encodeCheckResponse({
  kind: "denied",
  code: 7,
  http: 403,
  headers: new Map([["x", "y"]]),
  body: "no",
  metadata: [],
});

export const codec: Target = {
  seeds: [
    request.encode(checkMessage({ body: '{"jsonrpc":"2.0"}', headers: HEADERS, form: "map" })),
    request.encode(checkMessage({ body: "é", headers: HEADERS, form: "list" })),
    ALLOW,
    DENY,
  ],
  tokens: [
    "\n",
    "\u0012",
    "\u001a",
    '"',
    "\u0008\u0001",
    "\u0080\u0001",
    "\u0000",
    "authorization",
    "mcp-name",
    "é",
    "\u007f",
  ],
  run(bytes) {
    fromCheckRequest(bytes, decodeCheckRequest);
    onlyWireFaults(() => readAll(bytes));
    onlyWireFaults(() => must(!(isAllow(bytes, granted) && isRefusal(bytes)), "both an allow and a refusal"));
    writtenAndRead(bytes);
  },
};

function onlyWireFaults(run: () => void): void {
  try {
    run();
  } catch (error) {
    if (!(error instanceof WireFault)) throw error;
  }
}

function readAll(bytes: Buffer): void {
  const { headers, path, host, method } = decodeCheckRequest(bytes);
  must(
    [path, host, method].every((text) => text.isWellFormed()),
    "text that is not well-formed",
  );
  for (const name of headers?.names() ?? []) {
    must(headers?.get(name) !== undefined, "a header that is named has no value");
    headers?.repeated(name);
  }
}

/** A grant made of the input: its lines are headers by turns. */
function writtenAndRead(bytes: Buffer): void {
  const lines = bytes.toString("utf8").split("\n").slice(0, 40);
  const set = new Map<string, string>();
  for (let i = 0; i + 1 < lines.length; i += 2) set.set(lines[i] ?? "", lines[i + 1] ?? "");
  const remove = lines.length % 2 === 1 ? [lines.at(-1) ?? ""] : [];
  const grant = { set, remove, shared: [] } as unknown as Grant;
  const message = encodeCheckResponse({ kind: "ok", set, remove, responseHeaders: new Map(), metadata: [["a", "b"]] });
  const allowed = isAllow(message, grant);
  const isPlain = [...set].every(([name, value]) => /^[a-z0-9-]{2,30}$/.test(name) && /^[\x21-\x7e]+$/.test(value));
  const isOwn = ![...set.keys(), ...remove].some((name) =>
    /^(host|te|connection|trailer|upgrade|keep-alive|.*-(length|encoding))$/.test(name),
  );
  const removes = remove.every((name) => /^[a-z0-9-]{2,30}$/.test(name) && !set.has(name));
  if (isPlain && isOwn && removes) must(allowed, "an allow is not read back as one");
  must(!isRefusal(message), "an allow is read back as a refusal");
}
