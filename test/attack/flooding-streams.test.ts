// A server answers calls with notifications as fast as they are taken, and one caller takes them: other calls go on.
import { startHelper, type Helper } from "./child.ts";
import { withoutCredential } from "./hostile.ts";
import { openAttackLab } from "./lab.ts";
import { testLoad } from "./measure.ts";

let server: Helper | undefined;

testLoad({
  name: "flooding streams",
  finding: "F9",
  open: async () => {
    server = startHelper("servers/hostile-server.ts", { kind: "flood" });
    const url = await server.report<string>();
    return openAttackLab({ servers: { flood: withoutCredential(url) }, grants: { flood: { tool: ["*"] } } });
  },
  attacker: async (lab) => ({
    file: "attackers/held-calls.ts",
    task: {
      token: await lab.idp.mint("alice"),
      path: "/servers/flood/mcp",
      connections: 3,
      streamsPerConnection: 20,
      reads: true,
    },
  }),
  effort: { "200": 20 },
  close: async () => server?.stop(),
});
