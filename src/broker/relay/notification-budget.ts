// How many events of a server's stream are read for one call. Pure, with the clock given.

/** Tells for each event whether it may be read as a notification. */
export type NotificationBudget = (bytes: number) => boolean;

/** An event costs one notification for each of these bytes that it begins. */
const BYTES = 16 * 1024;

/**
 * A token bucket that holds one second's notifications. An event that is larger than what is left is let through and leaves
 * a debt: every event can pass once the bucket has filled again.
 * @param monotonic milliseconds of a clock that never goes back
 */
export function createNotificationBudget(perSecond: number, monotonic: () => number): NotificationBudget {
  let tokens = perSecond;
  let filledAt = monotonic();
  return (bytes) => {
    const now = monotonic();
    tokens = Math.min(perSecond, tokens + ((now - filledAt) * perSecond) / 1000);
    filledAt = now;
    if (tokens < 1) return false;
    tokens -= 1 + Math.floor(bytes / BYTES);
    return true;
  };
}
