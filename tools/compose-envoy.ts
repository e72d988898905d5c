// `npm run compose-envoy` writes envoy/envoy.yaml: what `mcp-authz envoy-config` prints for the configuration of
// docker-compose.yml. A test keeps the two equal.
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { loadConfig } from "../src/config/load.ts";
import { envoyConfigYaml } from "../src/envoy-config/envoy-config.ts";

const ROOT = resolve(import.meta.dirname, "..");
const CONFIG = join(ROOT, "deploy/compose/mcp-authz.yaml");

/** The Envoy configuration of the compose stack. It holds no secret and no port of the host, so any will do. */
export function composeEnvoyYaml(): string {
  const folder = mkdtempSync(join(tmpdir(), "mcp-authz-compose-"));
  try {
    const file = join(folder, "mcp-authz.yaml");
    copyFileSync(CONFIG, file);
    for (const [, path = ""] of readFileSync(file, "utf8").matchAll(/\bfile: (secrets\/[\w-]+)/g)) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), "placeholder", { mode: 0o600 });
    }
    return envoyConfigYaml(loadConfig(file, { GATEWAY_PORT: "8080", IDP_PORT: "9080" }).config);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (process.argv[1]?.endsWith("compose-envoy.ts") === true) {
  writeFileSync(join(ROOT, "envoy/envoy.yaml"), composeEnvoyYaml());
  console.log("envoy/envoy.yaml: written");
}
