// Rules of issuers and of what a challenge asks for. Pure.
import type { Report, Reporter } from "../problem.ts";
import type { Config } from "../schema.ts";

export function checkIssuers(config: Config, { problem, warn }: Reporter): void {
  const seen = new Set<string>();
  config.identity.issuers.forEach((issuer, i) => {
    if (seen.has(issuer.issuer)) problem(`identity.issuers[${i}].issuer`, "is listed twice");
    seen.add(issuer.issuer);
    if (issuer.tokenType === "jwt") {
      warn(
        `identity.issuers[${i}].tokenType`,
        "jwt: access tokens are told from ID tokens by their claims only; at+jwt is safer where the issuer can send it",
      );
    }
    if (issuer.audienceClaim !== null) {
      warn(
        `identity.issuers[${i}].audienceClaim`,
        `a token without aud is for whoever its ${issuer.audienceClaim} names: each client in audiences can send its users' tokens here, those too that it got for another service`,
      );
    }
  });
  checkAliases(config, problem);
  if (config.challenge.scopes.includes("offline_access")) {
    problem("challenge.scopes", "offline_access does not belong in a challenge");
  }
}

function checkAliases(config: Config, problem: Report): void {
  const seen = new Set<string>();
  config.identity.issuers.forEach(({ alias }, i) => {
    if (alias === null) return;
    if (seen.has(alias)) problem(`identity.issuers[${i}].alias`, "is another issuer's too: an alias stands for one");
    seen.add(alias);
  });
}
