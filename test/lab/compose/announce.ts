import { request } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { composePlace, printedSteps } from "../demo-steps.ts";
import { gatewayOrigin } from "./settings.ts";

/** Prints lines to copy as soon as a request comes all the way through Envoy and serve. */
export async function announceWhenUp(): Promise<void> {
  while (!(await isUp())) await delay(500);
  console.log(lines(gatewayOrigin()));
}

/** A public document: answered by serve, through Envoy, for nobody in particular. */
function isUp(): Promise<boolean> {
  return new Promise((done) => {
    const path = "/.well-known/oauth-protected-resource/servers/demo/mcp";
    const probe = request({ host: "envoy", port: 8080, path, headers: { host: "localhost" }, timeout: 1000 });
    probe.on("response", (response) => {
      response.resume();
      done(response.statusCode === 200);
    });
    probe.on("error", () => done(false));
    probe.on("timeout", () => probe.destroy());
    probe.end();
  });
}

function lines(gateway: string): string {
  return `
The gateway is up: ${gateway}/servers/demo/mcp. Paste these into another terminal, in this folder.

${printedSteps(composePlace(gateway))}

An MCP client needs only the URL ${gateway}/servers/demo/mcp: it finds the login, and a page lets you be alice or bob.
Edit policies/demo/*.rego or data.yaml: live within 2 seconds; docker compose logs serve says so.
Every decision: docker compose logs -f --no-log-prefix serve    These lines again: docker compose logs --no-log-prefix idp
Ctrl-C, then docker compose down -v, ends everything.`;
}
