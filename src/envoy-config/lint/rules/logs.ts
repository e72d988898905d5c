// Access logs that would hold tokens or credentials. Pure.
import type { Finding } from "../finding.ts";
import { at, listAt } from "../fields.ts";
import { guardedManagers, type World } from "../world.ts";

export function logFindings(world: World): Finding[] {
  const names = [...world.expected.managed, ...world.expected.reads, "set-cookie"];
  const secrets = new RegExp(`%(?:REQ|RESP)\\((?:[^)]*\\?)?(${names.join("|")})[):]`, "i");
  return guardedManagers(world).flatMap(({ fields, place }) =>
    listAt(fields, "access_log").flatMap((log) => {
      const name = secrets.exec(JSON.stringify(at(log, "typed_config")))?.[1];
      if (name === undefined || name.toLowerCase() === "mcp-session-id" || name.toLowerCase() === "x-mcp-server")
        return [];
      return [
        {
          rule: "secret-in-log",
          severity: "high" as const,
          place,
          message: `The access log holds the header ${name.toLowerCase()}: whoever reads the log has the token or credential.`,
          fix: "Take it out of the log's format.",
        },
      ];
    }),
  );
}
