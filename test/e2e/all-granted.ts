// The demo's policy with everything of some servers granted to engineering.
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parse, stringify } from "yaml";

/** @returns the folder of the policy, in `folder` */
export function policyForAll(folder: string, servers: readonly string[]): string {
  const policies = join(folder, "policies");
  cpSync(resolve(import.meta.dirname, "../../policies/demo"), policies, { recursive: true });
  const file = join(policies, "data.yaml");
  const data = parse(readFileSync(file, "utf8")) as { grants: { engineering: Record<string, unknown> } };
  for (const server of servers) data.grants.engineering[server] = { tool: ["*"], prompt: ["*"], resource: ["*"] };
  writeFileSync(file, stringify(data));
  return policies;
}
