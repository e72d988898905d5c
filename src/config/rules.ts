// Rules between keys, which the shape alone cannot say: each section's in its file of rules/. Pure.
import type { Problem, Reporter } from "./problem.ts";
import type { Config } from "./schema.ts";
import { checkAssertions } from "./rules/assertion.ts";
import { checkApiKeys, checkDevelopment, checkProxies, checkPublic } from "./rules/callers.ts";
import { checkChains } from "./rules/chains.ts";
import { checkCuration } from "./rules/curation.ts";
import { checkExchange } from "./rules/exchange.ts";
import { checkCredentialHeaders, checkHeaders } from "./rules/headers.ts";
import { checkHostPolicy } from "./rules/host-policy.ts";
import { checkIssuers } from "./rules/identity.ts";
import { checkAuthzen, checkEnvoyListeners, checkListeners, checkPeers, checkWorkers } from "./rules/listen.ts";
import { checkOAuthClients } from "./rules/oauth-client.ts";
import { checkProviders } from "./rules/providers.ts";
import { checkServers } from "./rules/servers.ts";
import { checkSessions } from "./rules/sessions.ts";
import { checkTraces } from "./rules/traces.ts";
import { checkUrls } from "./rules/urls.ts";
import { checkVault } from "./rules/vault.ts";

/** In the order in which their problems are listed. */
const RULES: readonly ((config: Config, reporter: Reporter) => void)[] = [
  checkUrls,
  checkListeners,
  checkWorkers,
  checkPeers,
  checkEnvoyListeners,
  checkAuthzen,
  checkIssuers,
  checkProviders,
  checkApiKeys,
  checkProxies,
  checkDevelopment,
  checkPublic,
  checkHeaders,
  checkVault,
  checkTraces,
  checkCredentialHeaders,
  checkExchange,
  checkAssertions,
  checkChains,
  checkOAuthClients,
  checkServers,
  checkSessions,
  checkCuration,
  checkHostPolicy,
];

/** Everything that the rules find, not the first problem alone. */
export function checkRules(config: Config): { problems: Problem[]; warnings: Problem[] } {
  const problems: Problem[] = [];
  const warnings: Problem[] = [];
  const reporter: Reporter = {
    problem: (key, message) => problems.push({ key, message }),
    warn: (key, message) => warnings.push({ key, message }),
  };
  for (const rule of RULES) rule(config, reporter);
  return { problems, warnings };
}
