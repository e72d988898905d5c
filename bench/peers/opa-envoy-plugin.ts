// opa-envoy-plugin on the same Check, by its binary (`--peer opa-envoy-plugin=PATH`): RS256 by a key in its data, which is the
// cheapest that it has. I/O: starts it.
import { spawn } from "node:child_process";
import { createPublicKey } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePorts } from "../../demo/ports.ts";
import { compact, makeKey } from "../../test/fakes/issuer.ts";
import { refusedCalls, toolCall } from "../decision.ts";
import { checkCall, requireRefusals } from "../grpc-call.ts";
import type { Target } from "../target.ts";
import { aliceClaims, waitUntilOk } from "../world.ts";

const ISSUER = "https://idp.example";

export function opaEnvoyPlugin(path: string): Target {
  return {
    name: "opa-envoy-plugin",
    title: "opa-envoy-plugin, the same decision",
    against: null,
    async start(world) {
      const key = makeKey("peer", "RS256");
      const token = compact(key, { alg: "RS256", typ: "JWT", kid: key.kid }, aliceClaims(ISSUER));
      const data = join(world.folder, "peer.json");
      const publicKey = createPublicKey({ key: key.jwk, format: "jwk" });
      const pem = publicKey.export({ type: "spki", format: "pem" });
      const grants = { engineering: ["search_docs"] };
      writeFileSync(data, JSON.stringify({ issuer: { name: ISSUER, key: pem }, grants }));
      const { authz, ops } = await freePorts();
      const address = `127.0.0.1:${authz}`;
      const child = spawn(
        path,
        [
          ...["run", "--server", "--log-level=error", "--skip-version-check", `--addr=127.0.0.1:${ops}`],
          `--set=plugins.envoy_ext_authz_grpc.addr=${address}`,
          "--set=plugins.envoy_ext_authz_grpc.path=envoy/authz/result",
          ...[join(import.meta.dirname, "decision.rego"), data],
        ],
        { stdio: ["ignore", "ignore", "inherit"], env: { ...process.env, GOMAXPROCS: "1" } },
      );
      world.adopt(child);
      await waitUntilOk(child, `http://127.0.0.1:${ops}/health`);
      await requireRefusals(address, refusedCalls(token, { form: "map" }));
      return { child, call: await checkCall(address, toolCall(token, { form: "map" })) };
    },
  };
}
