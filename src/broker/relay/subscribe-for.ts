// `resources/subscribe` of a client of an older revision at a server of the stateless one, which has no such method: the broker opens
// the server's stream for her session, and answers itself. I/O by ../watch.
import { refuse, type Refused } from "../../authz/step.ts";
import { readObjectSpan } from "../../json/spans.ts";
import { MODERN } from "../../mcp/versions.ts";
import type { Eras } from "../upstream/era.ts";
import type { Subscribed } from "../watch/session-watch.ts";
import type { RelayCall } from "./admit.ts";
import type { CallClient } from "./call-client.ts";
import { sendResponse } from "./client-response.ts";

/** A call at a server of the stateless revision. */
export interface ModernCall {
  readonly call: RelayCall;
  readonly client: CallClient;
}

const REFUSED: Readonly<Record<Exclude<Subscribed, "subscribed">, Refused>> = {
  unsupported: refuse("method_unknown", "no subscriptions"),
  full: refuse("rate_limited", "subscriptions"),
  unavailable: refuse("upstream_unavailable", "no subscriptions"),
};

/** `relayed` for a call that goes to the server as any other; null once its client has her answer. */
export async function subscribeFor(eras: Eras, { call, client }: ModernCall): Promise<Refused | null | "relayed"> {
  const { session, operation, upstream, credential, name: uri } = call;
  if (session === null || operation.version === MODERN) return "relayed";
  session.watch.renew({ upstream, credential });
  if (operation.method === "resources/unsubscribe") session.watch.delete(upstream.name, uri);
  else if (operation.method !== "resources/subscribe") return "relayed";
  else {
    const subscribed = await session.watch.add({ upstream, credential, uri, eras });
    if (subscribed !== "subscribed") return notSubscribed(call, subscribed);
  }
  const id = readObjectSpan(call.body)?.members.get("id");
  const text = id === undefined ? "null" : call.body.toString("utf8", id.start, id.end);
  sendResponse(client, { status: 200, body: [Buffer.from(`{"jsonrpc":"2.0","id":${text},"result":{}}`)] });
  return null;
}

function notSubscribed({ session, upstream, name }: RelayCall, why: Exclude<Subscribed, "subscribed">): Refused {
  session?.subscriptions.delete(upstream.name, name);
  return REFUSED[why];
}
