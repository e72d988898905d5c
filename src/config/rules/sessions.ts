// Rules of `sessions`. Pure.
import type { Reporter } from "../problem.ts";
import type { Config } from "../schema.ts";

export function checkSessions({ sessions }: Config, { problem }: Reporter): void {
  if (sessions === null) return;
  sessions.keys.forEach(({ id }, i) => {
    if (sessions.keys.findIndex((other) => other.id === id) !== i)
      problem(`sessions.keys[${i}].id`, `${id} comes twice; give each key its own`);
  });
  if (sessions.idleSeconds > sessions.absoluteSeconds)
    problem("sessions.idleSeconds", "is longer than sessions.absoluteSeconds, so it would never end a session");
  const { address } = sessions;
  if (address !== null && (address.kind === "unix" || address.port === 0 || ["0.0.0.0", "::"].includes(address.host)))
    problem("sessions.address", "is an address that another replica can connect to: host:port of this one");
}
