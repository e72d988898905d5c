// Nobody with a token, and many that are forged: long, with the right header and issuer, each another one.
import { openAttackLab } from "./lab.ts";
import { testLoad } from "./measure.ts";

testLoad({
  name: "forged tokens",
  finding: "F12",
  open: () => openAttackLab(),
  attacker: async (lab) => ({
    file: "attackers/costly-requests.ts",
    task: {
      kind: "forged tokens",
      model: await lab.idp.mint("alice"),
      connections: 200,
      bytesPerSecond: 16 * 1024 * 1024, // about 1,000 a second
    },
  }),
  effort: { sent: 5000 },
});
