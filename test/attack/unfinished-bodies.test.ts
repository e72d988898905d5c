// Nobody with a token, and bodies that never end: what Envoy buffers for them is bounded.
import { openAttackLab } from "./lab.ts";
import { testLoad } from "./measure.ts";

const KIB = 1024;

testLoad({
  name: "unfinished bodies",
  finding: "F4",
  open: () => openAttackLab(),
  attacker: async () => ({
    file: "attackers/unfinished-bodies.ts",
    task: {
      http2Connections: 24,
      http1Connections: 200,
      // Just below 1 MiB, the default of `limits.bodyBytes`, and a common small buffer.
      sizes: [1024 * KIB - 64, 256 * KIB - 64, 64 * KIB - 64],
      bytesPerSecond: 32 * KIB * KIB, // a link of about 270 Mbit/s
    },
  }),
  effort: { streams: 500, "HTTP/1.1 requests": 200 },
});
