// What the demo's containers are told by docker-compose.yml.

/** @throws with the variable's name when docker-compose.yml does not set it */
export function setting(name: string): string {
  const value = process.env[name];
  if (value === undefined || value === "") throw new Error(`the variable ${name} is not set`);
  return value;
}

/** As clients see it: on the host, by a published port. */
export const gatewayOrigin = (): string => `http://127.0.0.1:${setting("GATEWAY_PORT")}`;
export const issuerOrigin = (): string => `http://127.0.0.1:${setting("IDP_PORT")}`;

/** Who can log in. */
export const PEOPLE: readonly string[] = ["alice", "bob", "carol"];

export const PORTS = { idp: 9080, mint: 9081, demo: 9100 } as const;

/** The first process of a container gets no default action for signals: without this it would have to be killed. */
export function endOnSignal(close: () => Promise<void>): void {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => void close().finally(() => process.exit(0)));
  }
}
