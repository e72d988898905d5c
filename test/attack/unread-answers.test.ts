// One caller whose client takes the headers of large answers and never their bodies: what the broker holds is bounded.
import { startHelper, type Helper } from "./child.ts";
import { withoutCredential } from "./hostile.ts";
import { openAttackLab } from "./lab.ts";
import { testLoad } from "./measure.ts";

let server: Helper | undefined;

testLoad({
  name: "unread answers",
  finding: "F10",
  open: async () => {
    server = startHelper("servers/hostile-server.ts", { kind: "big" });
    const url = await server.report<string>();
    return openAttackLab({ servers: { big: withoutCredential(url) }, grants: { big: { tool: ["*"] } } });
  },
  attacker: async (lab) => ({
    file: "attackers/held-calls.ts",
    task: {
      token: await lab.idp.mint("alice"),
      path: "/servers/big/mcp",
      connections: 8,
      streamsPerConnection: 80,
      reads: false,
    },
  }),
  effort: { calls: 240 },
  close: async () => server?.stop(),
});
