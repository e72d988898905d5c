// The keys that sign assertions, read from their files. I/O: key files.
import type { Config } from "../config/load.ts";
import { ConfigProblem } from "../files/config-problem.ts";
import { loadSigningKeys, type SigningKey } from "../wristband/keys.ts";

/**
 * Reads the keys. None may be a wristband's, under whatever name: a server that looks at the signature alone would take a
 * wristband for an assertion.
 * @throws {ConfigProblem} that names the key and the remedy
 */
export function loadAssertionKeys({ assertions, wristband }: Config): SigningKey[] {
  if (assertions === null) return [];
  const keys = loadSigningKeys(assertions.keys, "assertions");
  const others = new Set(loadSigningKeys(wristband.keys).map(({ jwk }) => jwk["x"]));
  const same = keys.findIndex(({ jwk }) => others.has(jwk["x"]));
  if (same !== -1) throw new ConfigProblem(`assertions.keys[${same}].file`, "is a wristband's key: make another");
  return keys;
}
