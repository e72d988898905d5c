// The broker's side of wristband/refetch.ts: asks the serve that allowed a call for another credential, after the call's server
// has refused the one that it came with. No answer in time, or any fault: none. I/O: one POST.
import { createHttpClient, type HttpClient } from "../../http/client.ts";
import {
  MAX_REFETCHED_BYTES,
  proofOf,
  readRefetchAnswer,
  REFETCH_PATH,
  REFUSED_BY,
  REFUSED_PROOF,
} from "../../wristband/refetch.ts";
import type { UpstreamCredential } from "../upstream/upstream.ts";
import { credentialFrom, type RelayCall } from "./admit.ts";

/** Another credential for a call whose server answers 401; null for none. Never rejects. */
export type Refetch = (call: RelayCall, signal: AbortSignal) => Promise<UpstreamCredential | null>;

export interface RefetchOptions {
  readonly isTls: boolean;
  /** PEM of the CA of serve's operator listener; null for the system's. */
  readonly ca: Buffer | null;
  /** The name in its certificate; null for the host of the address. */
  readonly serverName: string | null;
  /** Longest wait, in milliseconds. */
  readonly timeoutMs: number;
  /** Counts each answer. */
  readonly observe: (server: string, result: "renewed" | "none") => void;
}

export interface Refetching {
  readonly refetch: Refetch;
  close(): void;
}

/** Replicas of serve, with room for those of a rollout. */
const MAX_REPLICAS = 64;
const MAX_CONNECTIONS = 32;
/** Requests at a time: a server that refuses everybody must not pile them up. */
const MAX_ASKED = 256;
/** serve takes 16 KiB of headers. */
const MAX_JWS = 12 * 1024;

export function createRefetching(options: RefetchOptions): Refetching {
  const clients = new Map<string, HttpClient>();
  let asked = 0;

  async function ask(call: RelayCall, at: string, signal: AbortSignal): Promise<UpstreamCredential | null> {
    const { jws, credential, upstream } = call;
    if (credential === null || jws.length > MAX_JWS) return null;
    const headers = {
      authorization: `Bearer ${jws}`,
      [REFUSED_BY]: upstream.name,
      [REFUSED_PROOF]: proofOf(jws, credential.value),
    };
    const within = AbortSignal.any([signal, AbortSignal.timeout(options.timeoutMs)]);
    const request = { method: "POST", path: REFETCH_PATH, headers, body: null, signal: within };
    const { status, body } = await clientOf(clients, at, options).fetch(request, MAX_REFETCHED_BYTES);
    const other = status === 200 ? (readRefetchAnswer(body)?.credential ?? null) : null;
    const isOurs = other !== null && other.destination === upstream.destination;
    const usable = isOurs ? credentialFrom(upstream, other) : null;
    return usable?.ok === true ? usable.value : null;
  }

  return {
    async refetch(call, signal) {
      const at = call.wristband.use === "call" ? call.wristband.refetch : undefined;
      if (at === undefined || asked >= MAX_ASKED) return null;
      asked += 1;
      const renewed = await ask(call, at, signal).catch(() => null);
      asked -= 1;
      options.observe(call.upstream.name, renewed === null ? "none" : "renewed");
      return renewed;
    },
    close() {
      for (const client of clients.values()) client.close();
    },
  };
}

/** @param at of a verified wristband */
function clientOf(clients: Map<string, HttpClient>, at: string, { isTls, ca, serverName }: RefetchOptions): HttpClient {
  const known = clients.get(at);
  if (known !== undefined) return known;
  const [oldest] = clients;
  if (clients.size >= MAX_REPLICAS && oldest !== undefined) {
    oldest[1].close();
    clients.delete(oldest[0]);
  }
  const origin = `${isTls ? "https" : "http"}://${at}`;
  const client = createHttpClient({ origin, ca, serverName, maxConnections: MAX_CONNECTIONS, name: "refetch" });
  clients.set(at, client);
  return client;
}
