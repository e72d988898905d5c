// The gateway before servers that can be refused in every way that a client must bear, on loopback. I/O.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parse, stringify } from "yaml";
import { startLab, type Lab } from "../../../demo/lab.ts";
import { freePort, freePorts } from "../../../demo/ports.ts";
import type { DenialForm } from "../../../src/authz/refusal-response.ts";
import { startEraServer } from "../../fakes/mcp-server.ts";

const NONE = [{ none: {} }];
/** Held open for bob, so that each further call of his is one too many. */
const CALLS = 4;

export interface RefusalLab {
  readonly lab: Lab;
  /** Restarts both processes with another form. */
  setDenial(form: DenialForm): Promise<void>;
  /** Begins as many calls of bob as he may have, and again once they have ended. */
  holdCalls(token: string): void;
  /** Waits until so many are at their server. */
  untilHeld(): Promise<void>;
  /** 401s that the audit log has. */
  unauthorized(): number;
  stop(): Promise<void>;
}

/** Servers that can be refused: `slow` never answers, `gone` is not there, no credential of `nocred` can be looked up. */
function configure(config: Record<string, unknown>, folder: string, at: { slow: string; gone: string }): void {
  const { demo } = config["servers"] as { demo: { url: string; credential: readonly object[] } };
  writeFileSync(join(folder, "secrets/vault"), "none\n", { mode: 0o600 });
  config["vault"] = { address: at.gone, auth: { token: { file: "secrets/vault" } } };
  const kept = { mount: "secret", path: "{subject}/{host}", field: "token" };
  Object.assign(config, { legacySse: true, limits: { callsPerCaller: CALLS } });
  config["servers"] = {
    demo: { url: demo.url, credential: demo.credential, discovery: demo.credential, tools: { deny: ["transfer"] } },
    slow: { url: at.slow, credential: NONE, timeoutMs: 300_000 },
    gone: { url: `${at.gone}/mcp`, credential: NONE },
    nocred: { url: demo.url, credential: [{ vault: kept }], discovery: demo.credential },
  };
}

/** Calls that nobody answers; each is made anew when it ends, until the signal. */
function hold(gateway: string, token: string, signal: AbortSignal): void {
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "x" } });
  const type = { "content-type": "application/json", accept: "application/json, text/event-stream" };
  const asked = { method: "POST", headers: { ...type, authorization: `Bearer ${token}` }, body, signal };
  const again = async () => {
    while (!signal.aborted) {
      await fetch(`${gateway}/servers/slow/mcp`, asked).then(
        (response) => response.text(),
        () => "",
      );
      await delay(100);
    }
  };
  for (let i = 0; i < CALLS; i += 1) void again();
}

export async function startRefusalLab(folder: string): Promise<RefusalLab> {
  const slow = await startEraServer("modern");
  slow.onCall = () => {};
  const gone = `http://127.0.0.1:${await freePort()}`;
  const lab = await startLab({
    folder,
    ports: await freePorts(),
    policyFolder: import.meta.dirname,
    alsoKnown: "everybody",
    progress: () => {},
    config: (config) => configure(config, folder, { slow: slow.url, gone }),
  });
  const held = new AbortController();
  let begun = 0;
  return {
    lab,
    async setDenial(form) {
      const config = parse(readFileSync(lab.configFile, "utf8")) as Record<string, unknown>;
      writeFileSync(lab.configFile, stringify({ ...config, denial: form }));
      begun = slow.of("tools/call").length;
      await lab.restartServe();
      await lab.restartBroker();
    },
    holdCalls: (token) => hold(lab.gateway, token, held.signal),
    async untilHeld() {
      const wanted = begun + CALLS;
      while (slow.of("tools/call").length < wanted) await delay(20);
    },
    unauthorized: () => readFileSync(lab.auditFile, "utf8").split('"token_invalid"').length - 1,
    async stop() {
      held.abort();
      await lab.stop();
      await slow.close();
    },
  };
}
