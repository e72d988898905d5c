// A caller without rights sends bodies that cost much to read: other callers do not pay for them.
import { openAttackLab } from "./lab.ts";
import { testLoad } from "./measure.ts";

const KIB = 1024;

testLoad({
  name: "costly bodies",
  finding: "F12",
  open: () => openAttackLab(),
  attacker: async (lab) => ({
    file: "attackers/costly-requests.ts",
    task: {
      kind: "bodies",
      token: await lab.idp.mint("bob"),
      connections: 20,
      bytesPerSecond: 32 * KIB * KIB,
      // Just below 1 MiB and below the default of `limits.bodyBytes`.
      sizes: [1024 * KIB - 64, 256 * KIB - 64, 256 * KIB - 64, 256 * KIB - 64],
    },
  }),
  effort: { sent: 200 },
});
