// `npm run test:keycloak`: token exchange with a real Keycloak. Brings it, starts it on loopback, runs test/keycloak, stops it.
// Ends on one line: N passed, N failed, N skipped.
import { resolve } from "node:path";
import { installKeycloak, startKeycloak, type Keycloak } from "./lib/keycloak.ts";
import { count, finish, noCounts, runSuite } from "./lib/suite.ts";

const REALM = resolve(import.meta.dirname, "../test/keycloak/realm.json");
const counts = noCounts();

// A terminal's Ctrl-C ends vitest by itself; what follows is the clean-up.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => {});

async function start(): Promise<Keycloak | null> {
  try {
    installKeycloak();
    const started = Date.now();
    console.log("Keycloak: starting (about a minute) …");
    const keycloak = await startKeycloak(REALM);
    console.log(`Keycloak: ready after ${Math.round((Date.now() - started) / 1000)} s at ${keycloak.url}`);
    return keycloak;
  } catch (error) {
    console.error(error instanceof Error ? error.message : "Keycloak could not be started");
    return null;
  }
}

const keycloak = await start();
if (keycloak === null) count(counts, "Keycloak", false);
else {
  process.env["KEYCLOAK_URL"] = keycloak.url;
  try {
    runSuite("keycloak", ["run", "--project", "keycloak"], counts);
  } finally {
    await keycloak.stop();
  }
}
finish(counts);
