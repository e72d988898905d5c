// The refetch of credentials that servers refuse: serve's side of wristband/refetch.ts, on the operator listener. I/O through
// the credential sources and the audit log.
import { createPublicKey, randomUUID } from "node:crypto";
import { auditRecord, createIsoTime, type AuditRecord } from "../../authz/audit-record.ts";
import { writeMore } from "../../authz/credential-parts.ts";
import type { Config } from "../../config/load.ts";
import {
  createRefetcher,
  type Refetched,
  type Refetcher,
  type RefetcherOptions,
  type RefetchResult,
} from "../../credential/refetch.ts";
import type { OpsRequest, OpsResponse } from "../../ops/ops-server.ts";
import type { SigningKey } from "../../wristband/keys.ts";
import { isProof, REFUSED_BY, REFUSED_PROOF, type RefetchAnswer } from "../../wristband/refetch.ts";
import { createVerifier } from "../../wristband/verify.ts";
import { ownAddress } from "../own-address.ts";

export interface RefetchDeps {
  readonly refetcher: Refetcher;
  readonly keys: () => readonly SigningKey[];
  /** Resolves to true once the record is written for good: no credential leaves without it. */
  readonly audit: (record: AuditRecord) => Promise<boolean>;
  /** False for a worker after whom others are asked. */
  readonly isLast?: boolean;
  /** Counts each end. */
  readonly observe: (result: RefetchResult) => void;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** Keeps the calls of this process. A refetch has the time of a Check. */
export function refetcherOf(
  { wristband, checkTimeoutMs }: Config,
  destinationOf: RefetcherOptions["destinationOf"],
): Refetcher {
  return createRefetcher({ ttlMs: wristband.ttlSeconds * 1000, timeoutMs: checkTimeoutMs, destinationOf });
}

/** Where a broker reaches this process for a refetch; null where no other process can: a socket, or a port that is not known yet. */
export function refetchAddress({ wristband, listen }: Config): string | null {
  const address = wristband.opsAddress ?? listen.ops;
  return address.kind === "unix" || address.port === 0 ? null : ownAddress(address);
}

/**
 * Answers a broker. It gets another credential only for a call of this process, once, and only if it has the call's wristband and
 * knows the credential that was refused: so nobody can get one who was not sent that call.
 */
export function createRefetchRoute({ wristband }: Config, deps: RefetchDeps) {
  const findKey = (kid: string) => {
    const key = deps.keys().find((one) => one.kid === kid);
    return key === undefined ? undefined : createPublicKey(key.privateKey);
  };
  const { issuer, audience } = wristband;
  const verify = createVerifier({ issuer, audience, findKey, now: deps.now });
  const isoTime = createIsoTime();

  const refetch = async ({ headers }: OpsRequest): Promise<Refetched> => {
    const jws = /^Bearer ([A-Za-z0-9._-]+)$/.exec(headers.authorization ?? "")?.[1] ?? "";
    const verified = verify(jws);
    if (!verified.ok || verified.value.use !== "call") return { result: "unknown" };
    const [server, proof] = [String(headers[REFUSED_BY] ?? ""), String(headers[REFUSED_PROOF] ?? "")];
    return deps.refetcher.refetch(
      verified.value.jti,
      server,
      ({ value }) => value !== null && isProof(proof, jws, value),
    );
  };

  const recordOf = ({ credential, call }: Extract<Refetched, { result: "renewed" }>): AuditRecord => {
    const { kind, origin = null } = credential;
    const again = { requestId: randomUUID(), arrivedAt: deps.now(), credential: kind, origin };
    const verdict = {
      decision: "allow",
      reason: null,
      detail: "credential fetched anew after the server's 401",
    } as const;
    return auditRecord({ ...call.facts, ...again }, verdict, { now: deps.now, isoTime });
  };

  return async (request: OpsRequest): Promise<OpsResponse> => {
    const refetched = await refetch(request);
    // Another worker may know the call: the one that is asked last counts that none does.
    if (refetched.result !== "unknown" || deps.isLast !== false) deps.observe(refetched.result);
    if (refetched.result !== "renewed") return answered({ credential: null });
    const { header, value, destination } = refetched.credential;
    const more = writeMore(refetched.credential);
    if (value === null || !(await deps.audit(recordOf(refetched)))) return answered({ credential: null });
    return answered({ credential: { header, value: value.reveal(), more, destination } });
  };
}

function answered(answer: RefetchAnswer): OpsResponse {
  return { status: 200, contentType: "application/json", body: `${JSON.stringify(answer)}\n` };
}
