// Servers that list as many names as may be, as long as they may be, and others each time; and a caller who lists them all.
import { startHelper, type Helper } from "./child.ts";
import { withoutCredential } from "./hostile.ts";
import { openAttackLab } from "./lab.ts";
import { testLoad } from "./measure.ts";

const servers: Helper[] = [];
const all = { tool: ["*"], prompt: ["*"], resource: ["*"] };

/** A hostile server of this kind. */
async function startHostile(kind: "names" | "uris"): Promise<object> {
  const server = startHelper("servers/hostile-server.ts", { kind });
  servers.push(server);
  return withoutCredential(await server.report<string>());
}

testLoad({
  name: "name flood",
  finding: "F5",
  open: async () =>
    openAttackLab({
      servers: { names: await startHostile("names"), uris: await startHostile("uris") },
      grants: { names: all, uris: all },
    }),
  // Well-behaved while the lab starts and in the quiet phase; what is listed then must not be what is served under attack.
  before: async (lab) => {
    for (const server of servers) server.tell({});
    await lab.restartBroker();
    await lab.restartServe();
    await lab.listable();
  },
  attacker: async (lab) => ({
    file: "attackers/costly-requests.ts",
    task: {
      kind: "lists",
      token: await lab.idp.mint("alice"),
      connections: 8,
      bytesPerSecond: 1024 * 1024,
      lists: [
        ["/mcp", "tools/list"],
        ["/servers/names/mcp", "tools/list"],
        ["/servers/names/mcp", "prompts/list"],
        ["/servers/uris/mcp", "resources/list"],
      ],
    },
  }),
  effort: { sent: 200 },
  close: async () => {
    for (const server of servers.splice(0)) await server.stop();
  },
});
