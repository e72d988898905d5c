// Finds issuers whose clock differs from this machine's, by the `Date` of their responses. Pure.
import { clocksDiffer, type IdentityService } from "./identity.ts";

/** The log event for two clocks of which one is wrong. */
export interface ClockFault {
  readonly issuer: string;
  readonly issuer_time: string;
  readonly own_time: string;
  readonly message: string;
}

/**
 * Describes an issuer's clock that is too far from ours, so that good tokens are refused or expired ones accepted; else null.
 * @param now milliseconds since the epoch
 */
export function clockFault(
  status: ReturnType<IdentityService["status"]>,
  issuer: string,
  now: number,
): ClockFault | null {
  const aheadMs = status.find((one) => one.issuer === issuer)?.clockAheadMs ?? null;
  if (!clocksDiffer(aheadMs)) return null;
  return {
    issuer,
    issuer_time: new Date(now + aheadMs).toISOString(),
    own_time: new Date(now).toISOString(),
    message: `the issuer's clock is ${Math.abs(Math.round(aheadMs / 1000))} s ${aheadMs > 0 ? "ahead of" : "behind"} this machine's: its tokens are refused, or live too long; set the one that is wrong (timedatectl)`,
  };
}
