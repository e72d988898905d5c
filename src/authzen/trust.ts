// Who may ask about others: a client whose certificate has one of the names, or a bearer of a trusted issuer with the scope. Pure.
import { TLSSocket } from "node:tls";
import type { IncomingMessage } from "node:http";
import { pass, refuse, type Step } from "../authz/step.ts";
import type { Ports } from "../authz/ports.ts";

export interface TrustSettings {
  /** True if the listener asks for certificates: then one is needed. */
  readonly byCertificate: boolean;
  /** Our own name, which is an audience of tokens for us. */
  readonly resource: string;
  readonly scope: string;
  readonly identify: Ports["identify"];
}

/** Exactly one header, and nothing beside the token (RFC 6750 §2.1). */
const BEARER = /^bearer ([A-Za-z0-9\-._~+/]+=*)$/i;

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
  const values = request.headersDistinct["authorization"] ?? [];
  if (values.length === 0) return byCertificate ? pass(nameOf(request)) : refuse("token_missing");
  if (values.length > 1) return refuse("header_malformed", "two credentials at once");
  const token = BEARER.exec(values[0] ?? "")?.[1];
  if (token === undefined) return refuse("token_invalid", "no bearer token");
  const identified = await identify(token, { resource, source: peer }, signal);
  if (!identified.ok) return identified;
  const { subject, scopes, issuer } = identified.value;
  if (!scopes.includes(scope))
    return { ok: false, reason: "scope_insufficient", scopes: [scope], caller: identified.value };
  return pass(`${issuer} ${subject}`);
}

function nameOf({ socket }: IncomingMessage): string {
  if (!(socket instanceof TLSSocket)) return "";
  const { subjectaltname, subject } = socket.getPeerCertificate();
  return subjectaltname ?? [subject.CN].flat()[0] ?? "";
}
