// Rules of issuers and of what a challenge asks for. Pure.
import { ownAliases } from "../callers.ts";
import type { Report, Reporter } from "../problem.ts";
import type { Config } from "../schema.ts";
import { endpointPath } from "../../authz/endpoint.ts";

const OF_CLIENT =
  "names the client: all people who use one are one caller, with one another's credentials and sessions";
const CHANGES =
  "can change and be given to somebody else, who is then the same caller: take a claim that stays, such as sub";
/** Claims that may be the same for two people. */
const SHARED_SUBJECTS: ReadonlyMap<string, string> = new Map([
  ...["client_id", "azp", "cid", "appid"].map((name): [string, string] => [name, OF_CLIENT]),
  ...["preferred_username", "email", "upn", "unique_name", "name", "username"].map((name): [string, string] => [
    name,
    CHANGES,
  ]),
]);

export function checkIssuers(config: Config, { problem, warn }: Reporter): void {
  const seen = new Set<string>();
  config.identity.issuers.forEach((issuer, i) => {
    if (seen.has(issuer.issuer)) problem(`identity.issuers[${i}].issuer`, "is listed twice");
    seen.add(issuer.issuer);
    const shared = SHARED_SUBJECTS.get(issuer.claims.subject);
    if (shared !== undefined) warn(`identity.issuers[${i}].claims.subject`, shared);
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
  checkResources(config, warn);
  if (config.challenge.scopes.includes("offline_access")) {
    problem("challenge.scopes", "offline_access does not belong in a challenge");
  }
}

/** Clients hold `resource` against the URL that they were given, and stop where it is another place (RFC 9728 §3.3). */
function checkResources({ publicOrigin, challenge, servers }: Config, warn: Report): void {
  const check = (key: string, resource: string | null, paths: readonly string[]) => {
    if (resource === null) return;
    const path = paths.find((at) => !begins(resource, publicOrigin, at));
    if (path === undefined) return;
    warn(key, `is not how ${publicOrigin}${path} begins: clients compare the two, and many refuse to log in there`);
  };
  const named = Object.entries(servers).map(([name, { resource }]) => ({ name, resource, path: endpointPath(name) }));
  const unnamed = named.filter(({ resource }) => resource === null).map(({ path }) => path);
  check("challenge.resource", challenge.resource, ["/mcp", ...unnamed]);
  for (const { name, resource, path } of named) check(`servers.${name}.resource`, resource, [path]);
}

/** True if an origin's path is the resource or below it. */
function begins(resource: string, origin: string, path: string): boolean {
  const url = URL.parse(resource);
  return url?.origin === origin && url.search === "" && `${path}/`.startsWith(`${url.pathname.replace(/\/$/, "")}/`);
}

function checkAliases(config: Config, problem: Report): void {
  const own = ownAliases(config);
  const seen = new Set<string>();
  config.identity.issuers.forEach(({ alias }, i) => {
    if (alias === null) return;
    if (own.has(alias))
      problem(`identity.issuers[${i}].alias`, `${alias} stands for callers without a token: choose another`);
    if (seen.has(alias)) problem(`identity.issuers[${i}].alias`, "is another issuer's too: an alias stands for one");
    seen.add(alias);
  });
}
