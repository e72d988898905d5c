// opa-envoy-plugin on the same Checks, by its binary (`--peer opa-envoy-plugin=PATH`): RS256 by a key in its data, which is the
// cheapest that it has, log level error, one thread. I/O: starts it.
import { createPublicKey, generateKeyPairSync } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePorts } from "../../demo/ports.ts";
import { openerOf } from "../ours/serve.ts";
import { peerService, type PeerRow } from "./peer-row.ts";
import type { Variant } from "../service.ts";
import { GRANTS, SERVER_NAMES, type World } from "../world.ts";

export function opaEnvoyPlugin(path: string, row: PeerRow): Variant {
  return {
    name: "opa-envoy-plugin",
    title: "opa-envoy-plugin",
    async start(world) {
      const data = join(world.folder, "opa.json");
      writeFileSync(data, JSON.stringify(await dataOf(world, row)));
      const { authz, ops } = await freePorts();
      const address = `127.0.0.1:${authz}`;
      const command = [
        ...[path, "run", "--server", "--log-level=error", "--skip-version-check", `--addr=127.0.0.1:${ops}`],
        `--set=plugins.envoy_ext_authz_grpc.addr=${address}`,
        `--set=plugins.envoy_ext_authz_grpc.path=envoy/authz/${row.rule}`,
        ...[join(import.meta.dirname, "decision.rego"), data],
      ];
      const child = world.processes.serve(command, { GOMAXPROCS: "1" });
      await world.processes.ready(child, `http://127.0.0.1:${ops}/health`);
      return peerService(world, row, {
        pid: child.pid ?? 0,
        end: () => world.processes.end(child),
        open: openerOf(address),
      });
    },
  };
}

async function dataOf(world: World, { rule }: PeerRow): Promise<object> {
  const pem = createPublicKey({ key: world.key.jwk, format: "jwk" }).export({ type: "spki", format: "pem" });
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const answer = JSON.stringify({ data: { data: { token: "secret-of-user" } } });
  const names = (group: string, server: string) =>
    (GRANTS[group] ?? []).filter((tool) => tool.server === server).map(({ name }) => name);
  const byGroup = (of: (tools: readonly string[]) => unknown) =>
    Object.fromEntries(
      Object.keys(GRANTS).map((group) => [
        group,
        Object.fromEntries(SERVER_NAMES.map((server) => [server, of(names(group, server))])),
      ]),
    );
  return {
    issuer: { name: world.issuer, key: pem },
    grants: byGroup((tools) => Object.fromEntries(tools.map((name) => [name, true]))),
    lists: byGroup((tools) => tools),
    servers: SERVER_NAMES,
    wristband: privateKey.export({ format: "jwk" }),
    vault: rule === "secret" ? `http://${await world.answer(answer)}/v1/secret/data` : "",
  };
}
