// Rules of the credential kind `assertion`: who signs, and whom a server can tell apart. Pure.
import { issuerAliases } from "../callers.ts";
import type { Report, Reporter } from "../problem.ts";
import type { Config } from "../schema.ts";

export function checkAssertions(config: Config, { problem }: Reporter): void {
  checkKeys(config, problem);
  for (const [name, { credential }] of Object.entries(config.servers)) {
    credential.forEach((entry, i) => {
      if (entry.kind !== "assertion") return;
      const key = `servers.${name}.credential[${i}].assertion`;
      if (config.assertions === null) problem(key, "needs the key assertions (issuer and keys) at the top of the file");
      checkSubject(config, { key, isQualified: entry.qualifySubject }, problem);
    });
  }
}

/** A key of both would let a wristband pass for an assertion where a server looks at the signature alone. */
function checkKeys({ assertions, wristband }: Config, problem: Report): void {
  const others = new Set(wristband.keys.map(({ file }) => file));
  assertions?.keys.forEach(({ file }, i) => {
    if (others.has(file)) problem(`assertions.keys[${i}].file`, "is a wristband's key: make another");
  });
}

interface Subject {
  /** Of the entry in the file. */
  readonly key: string;
  readonly isQualified: boolean;
}

function checkSubject({ identity, servers }: Config, { key, isQualified }: Subject, problem: Report): void {
  if (!isQualified && issuerAliases({ identity, servers }).size > 1)
    problem(
      `${key}.qualifySubject`,
      "must be true with several issuers, keys of callers among them: the same sub can be two people",
    );
  if (!isQualified) return;
  identity.issuers.forEach(({ alias }, i) => {
    if (alias === null) problem(`identity.issuers[${i}].alias`, `is required, as ${key} says qualifySubject`);
  });
}
