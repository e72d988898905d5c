// The way of a call that the broker relays: its wristband, and what is kept of it. Pure: the signature is behind a port.
import { admitBody, type AdmitSettings } from "./admit.ts";
import type { CheckFacts } from "./facts.ts";
import type { Ports } from "./ports.ts";
import { pass, type Step } from "./step.ts";
import type { AuthzRequest, BoundCredential, Identity, PolicyOperation, Wristband } from "./types.ts";

interface RelayContext {
  readonly settings: { readonly admit: AdmitSettings };
  readonly ports: Pick<Ports, "signWristband" | "relayed">;
  readonly request: AuthzRequest;
  readonly facts: CheckFacts;
}

interface AllowedCall {
  readonly identity: Identity;
  readonly operation: PolicyOperation;
  readonly sessionId: string | null;
}

interface RelayTarget {
  readonly server: string;
  readonly credential: BoundCredential;
}

/** The destination of an allowed call. One whose credential came out of a cache is kept: its server may refuse it. */
export async function relayedCall(context: RelayContext, call: AllowedCall, { server, credential }: RelayTarget) {
  const { ports, facts } = context;
  const { identity, sessionId } = call;
  const isRefetchable = ports.relayed !== undefined && credential.isCached === true;
  const signed = await relayWristband(context, call, { server, credential, isRefetchable });
  if (!signed.ok) return signed;
  const wristband = signed.value;
  const { jti } = wristband;
  facts.wristband = jti;
  if (isRefetchable) ports.relayed?.({ jti, server, identity, credential, facts });
  return pass({ to: "relay" as const, server, credential, wristband, sessionId });
}

/** The wristband of a relayed call names exactly that operation and the digest of its body. It needs no catalogue. */
function relayWristband(
  { settings, ports, request, facts }: RelayContext,
  { identity, operation }: AllowedCall,
  { server, credential, isRefetchable }: RelayTarget & { readonly isRefetchable: boolean },
): Step<Wristband> | Promise<Step<Wristband>> {
  const names = { [server]: operation.name === null ? [] : [operation.name] };
  const visible = {
    tools: operation.kind === "tool" ? names : {},
    prompts: operation.kind === "prompt" ? names : {},
    resources: operation.kind === "resource" ? names : {},
  };
  const body = admitBody(settings.admit, request);
  if (!body.ok) return body;
  const policy = facts.policy ?? undefined;
  return ports.signWristband(identity, visible, {
    use: "call",
    body: body.value,
    destinations: { [server]: credential.destination },
    policy,
    isRefetchable,
    trace: facts.span?.traceparent,
  });
}
