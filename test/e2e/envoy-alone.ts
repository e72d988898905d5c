// Envoy with the printed configuration, and nothing of ours behind it but what a test puts there.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { requireTool } from "../../src/files/program.ts";
import { loadConfig } from "../../src/config/load.ts";
import { envoyConfigYaml } from "../../src/envoy-config/envoy-config.ts";
import { startChild, waitReady, type Child } from "../../demo/child.ts";
import { freePort } from "../../demo/ports.ts";

export interface AloneOptions {
  /** Where Envoy asks. Where nothing listens, each request is answered with 503, and answered it is. */
  readonly authz: number;
  /** Further keys of the configuration, and of `envoy` in it. */
  readonly config?: object;
  readonly envoy?: object;
}

export interface EnvoyAlone {
  readonly child: Child;
  readonly port: number;
  readonly ops: string;
}

/** Files go to this folder; certificates of `envoy.tls` are there. */
export async function startEnvoyAlone(folder: string, options: AloneOptions): Promise<EnvoyAlone> {
  const [port, opsPort, dead] = await Promise.all([freePort(), freePort(), freePort()]);
  const local = (number: number) => `127.0.0.1:${number}`;
  mkdirSync(join(folder, "run"), { recursive: true });
  const file = join(folder, "mcp-authz.yaml");
  writeFileSync(
    file,
    stringify({
      publicOrigin: "https://gw.example.com",
      hosts: ["127.0.0.1"],
      identity: { issuers: [{ issuer: "https://idp.example.com", audiences: ["a"], algorithms: ["ES256"] }] },
      policy: { path: "policies" },
      wristband: { issuer: "https://gw.example.com", keys: [{ kid: "k", file: "w.pem" }] },
      listen: { authz: local(options.authz), broker: local(dead) },
      envoy: { listen: local(port), opsListen: local(opsPort), ...options.envoy },
      servers: { demo: { url: "http://127.0.0.1:9/mcp", credential: [{ none: {} }] } },
      ...options.config,
    }),
  );
  const envoyFile = join(folder, "envoy.yaml");
  writeFileSync(envoyFile, envoyConfigYaml(loadConfig(file, {}).config));
  const child = startChild({
    name: "envoy",
    command: requireTool("envoy"),
    args: ["-c", envoyFile, "--use-dynamic-base-id", "--concurrency", "1", "--log-level", "error"],
    cwd: folder,
    logFile: join(folder, "envoy.log"),
  });
  const ops = `http://127.0.0.1:${opsPort}`;
  try {
    await waitReady(child, `${ops}/ready`);
  } catch (error) {
    await child.stop();
    throw error;
  }
  return { child, port, ops };
}
