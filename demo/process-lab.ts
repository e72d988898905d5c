// The lab of processes behind the interface that the lab of containers has, too. I/O.
import { readFileSync } from "node:fs";
import { findTool, type ToolName } from "../src/files/program.ts";
import { jsonLines, type OpenLab } from "./lab-interface.ts";
import { startLab } from "./lab.ts";
import { freePorts } from "./ports.ts";

const NEEDED: readonly ToolName[] = ["envoy", "bao", "opa"];

/** What the lab of processes lacks on this machine. */
export function processesMissing(): string[] {
  return NEEDED.filter((name) => findTool(name) === null).map(
    (name) => `${name}: npm run tools ${name}, or name one with the variable ${name.toUpperCase()}`,
  );
}

/** The lab of `npm start` behind the interface that the lab of containers has too. */
export async function openProcessLab(folder: string): Promise<OpenLab> {
  const lab = await startLab({ folder, ports: await freePorts(), policyFolder: null, world: true, progress: () => {} });
  return {
    kind: "processes",
    about: NEEDED.map((name) => `${name} ${findTool(name) ?? "?"}`).join(", "),
    gateway: lab.gateway,
    issuer: lab.idp.issuer,
    policyFolder: lab.policyFolder,
    token: (person, scope) => lab.idp.mint(person, scope === undefined ? {} : { scope }),
    reached: async () => lab.demo.arrivals.flatMap(({ body }) => toolOf(body)),
    audit: async () => jsonLines(readFileSync(lab.auditFile, "utf8")),
    async killServe() {
      lab.children.serve.kill("SIGKILL");
      await lab.children.serve.exited;
    },
    startServe: lab.restartServe,
    stop: lab.stop,
  };
}

function toolOf(body: string): string[] {
  const [message] = jsonLines(body);
  const params = message?.["params"] as { name?: unknown } | undefined;
  return message?.["method"] === "tools/call" && typeof params?.name === "string" ? [params.name] : [];
}
