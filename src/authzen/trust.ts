// Who may ask about others: a client whose certificate has one of the names, or a bearer of a trusted issuer with the scope. Pure.
import { TLSSocket } from "node:tls";
import type { IncomingMessage } from "node:http";
import { readPresented } from "../authz/presented.ts";
import { pass, refuse, type Step } from "../authz/step.ts";
import type { Ports } from "../authz/ports.ts";
import type { RequestHeaders } from "../authz/types.ts";

export interface TrustSettings {
  /** True if the listener asks for certificates: then one is needed. */
  readonly byCertificate: boolean;
  /** Our own name, which is an audience of tokens for us. */
  readonly resource: string;
  readonly scope: string;
  readonly identify: Ports["identify"];
}

/** A bearer token alone: no keys, no passwords, no proofs, no proxies. */
const PRESENTS = { keyHeaders: new Set<string>(), basic: false, proxyHeaders: new Set<string>(), dpop: false };

/**
 * The name of the asking party. A certificate is enough where the listener asks for one; a token that is shown beside it must be
 * good as well, for whoever shows it relies on it.
 */
export async function trusted(
  { byCertificate, resource, scope, identify }: TrustSettings,
  {
    request,
    isExpected,
    peer,
  }: { readonly request: IncomingMessage; readonly isExpected: boolean; readonly peer: string },
  signal: AbortSignal,
): Promise<Step<string>> {
  if (!isExpected) return refuse("token_invalid", "the client's certificate has none of the names");
  const presented = readPresented(headersOf(request), PRESENTS);
  if (!presented.ok) return presented;
  if (presented.value.by !== "bearer") return byCertificate ? pass(nameOf(request)) : refuse("token_missing");
  const identified = await identify(presented.value.token, { resource, source: peer }, signal);
  if (!identified.ok) return identified;
  const { subject, scopes, issuer } = identified.value;
  if (!scopes.includes(scope))
    return { ok: false, reason: "scope_insufficient", scopes: [scope], caller: identified.value };
  return pass(`${issuer} ${subject}`);
}

function headersOf({ headersDistinct }: IncomingMessage): RequestHeaders {
  return {
    get: (name) => headersDistinct[name]?.join(","),
    repeated: (name) => (headersDistinct[name]?.length ?? 0) > 1,
    names: () => Object.keys(headersDistinct),
  };
}

function nameOf({ socket }: IncomingMessage): string {
  if (!(socket instanceof TLSSocket)) return "";
  const { subjectaltname, subject } = socket.getPeerCertificate();
  return subjectaltname ?? [subject.CN].flat()[0] ?? "";
}
