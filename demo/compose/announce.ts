// Prints the lines to copy once the stack of docker-compose.yml answers. I/O: asks Envoy every half second.
import { request } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { clientLines, composePlace, composeWhyLine, printedSteps, WORLD_STEPS } from "../demo-steps.ts";
import { gatewayOrigin } from "./settings.ts";

/** Prints lines to copy as soon as a request comes all the way through Envoy and serve. */
export async function announceWhenUp(): Promise<void> {
  while (!(await isUp())) await delay(500);
  console.log(lines(gatewayOrigin()));
}

/** A public document: answered by serve, through Envoy, for nobody in particular. */
function isUp(): Promise<boolean> {
  return new Promise((done) => {
    const path = "/.well-known/oauth-protected-resource/mcp";
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
The gateway is up: ${gateway}/mcp for all servers, ${gateway}/servers/NAME/mcp for one. Paste these into another
terminal, in this folder.

${printedSteps(composePlace(gateway), WORLD_STEPS)}
${WORLD_STEPS.length + 1}. Why was that refused?
   ${composeWhyLine(composePlace(gateway))}

Your own client needs only the URL. It sends you to a page where you choose to be alice, bob or carol:
   ${clientLines(gateway)}

Edit policies/demo/*.rego or data.yaml: live within 2 seconds; docker compose logs serve says so.
Every decision: docker compose logs -f --no-log-prefix serve    These lines again: docker compose logs --no-log-prefix idp
Ctrl-C, then docker compose down -v, ends everything.`;
}
