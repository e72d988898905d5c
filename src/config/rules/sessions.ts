// Rules of `sessions`. Pure.
import type { Reporter } from "../problem.ts";
import type { Config } from "../schema.ts";

export function checkSessions(config: Config, { problem }: Reporter): void {
  checkLegacySse(config, problem);
  const { sessions } = config;
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

/** A stream of HTTP+SSE is a session, and the broker has those. */
function checkLegacySse({ sessions, legacySse, servers, callRouting }: Config, problem: Reporter["problem"]): void {
  const needs = "needs `sessions.keys`: the stream of such a client is a session";
  if (legacySse && sessions === null) problem("legacySse", needs);
  for (const [name, server] of Object.entries(servers)) {
    if (!server.legacySse) continue;
    if (sessions === null) problem(`servers.${name}.legacySse`, needs);
    if ((server.callRouting ?? callRouting) === "direct")
      problem(
        `servers.${name}.legacySse`,
        "needs `callRouting: broker`: a direct server's calls do not pass the broker",
      );
  }
}
