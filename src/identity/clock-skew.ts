import { clocksDiffer, type IdentityService } from "./identity.ts";

/** Two clocks of which one is wrong. */
export interface ClockFault {
  readonly issuer: string;
  readonly issuer_time: string;
  readonly own_time: string;
  readonly message: string;
}

/**
 * Whether an issuer's clock is so far from ours that its good tokens are refused, or ended ones taken; null when not.
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
