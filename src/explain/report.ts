// Makes the report of `why` from a simulated call. Pure.
import type { Refused } from "../authz/step.ts";
import type { Decision, Identity } from "../authz/types.ts";
import { REFUSALS, type Reason } from "../authz/refusal.ts";
import { remedyOf } from "./remedies.ts";
import { readToken } from "../jose/compact.ts";
import { headersStep } from "./header-fates.ts";
import type { Config } from "../config/load.ts";
import { claimAt } from "../jose/claim.ts";
import type { JsonObject, JsonValue } from "../json/types.ts";
import type { RuleLine } from "../policy/explain.ts";
import type { Simulation, PolicyResult } from "./simulate.ts";
import { pathOf, type CallSpec } from "./call.ts";
import type { ClockFault } from "../identity/clock-skew.ts";
import { absentClaims } from "../identity/claims.ts";
import { chainOf } from "./credential-probe.ts";
import { distance, listed, text, type Report, type ReportStep } from "./render.ts";

/** The call, the configuration, and the current time. */
export interface ReportContext {
  readonly config: Config;
  readonly spec: CallSpec;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** Names of headers of the client's, in lower case: whether they reach the server is said. */
  readonly headers?: readonly string[];
}

export function reportOf(context: ReportContext, simulation: Simulation): Report {
  const { config, spec } = context;
  const refused = simulation.outcome.ok ? null : simulation.outcome;
  return {
    ...verdictOf(refused, simulation.facts.policy !== null),
    ...(refused === null && credentialCaveat(config, spec, simulation)),
    steps: [
      endpointStep(context, simulation, refused),
      tokenStep(context, simulation, refused),
      operationStep(spec, simulation, refused),
      ...policySteps(simulation.policy),
      credentialStep(context, simulation, refused),
      ...headersStep(config, spec.server, context.headers),
      wristbandStep(simulation),
    ],
  };
}

export function verdictOf(refused: Refused | null, policyAsked: boolean): Omit<Report, "steps"> {
  const caveat = null;
  if (refused === null) return { verdict: "allow", reason: null, detail: null, caveat, meaning: null, remedy: null };
  const { reason, detail = null } = refused;
  return { verdict: "refuse", reason, detail, caveat, ...remedyOf(reason, policyAsked) };
}

/** The caveat of an allow whose credential chain reached a kind that `why` does not ask. */
function credentialCaveat(
  config: Config,
  { server }: CallSpec,
  { credentials }: Simulation,
): Pick<Report, "caveat" | "meaning" | "remedy"> | null {
  const from = credentials.findIndex(({ answer }) => answer === "not asked");
  if (from === -1) return null;
  const kinds = (config.servers[server]?.credential ?? []).map(({ kind }) => kind).slice(from);
  return {
    caveat: `up to the credential, which was NOT fetched (not asked: ${kinds.join(", then ")})`,
    meaning:
      "Nothing refuses this call before its credential. Where nobody has one for the caller, serve refuses it after all, with credential_missing; where it cannot tell, with credential_unavailable.",
    remedy: [
      ...(kinds[0] === "vault" ? ["Add --credentials: it asks Vault."] : []),
      ...(kinds.some((kind) => kind === "exchange" || kind === "client_credentials")
        ? [
            "No IdP is asked here, for it would issue a token: make the call, and look up the request id of its answer with --request-id.",
          ]
        : []),
    ].join(" "),
  };
}

/** True when no decision was possible: exit code 2. */
export function isUndecided(reason: Reason): boolean {
  return REFUSALS[reason].kind === "fail";
}

function endpointStep({ config, spec }: ReportContext, { facts }: Simulation, refused: Refused | null): ReportStep {
  const { url, callRouting } = config.servers[spec.server] ?? { url: "", callRouting: null };
  const endpoint = `${config.publicOrigin}${pathOf(spec)}`;
  const route = callRouting ?? config.callRouting;
  const failed = refused !== null && facts.endpoint === null;
  return {
    step: "endpoint",
    outcome: failed ? "refused" : "ok",
    says: [
      failed ? whatWasWrong(refused) : `${endpoint}, ${route === "direct" ? "straight" : "by the broker"} to ${url}`,
    ],
    facts: { endpoint, route, upstream: url },
  };
}

function tokenStep(context: ReportContext, { identified, clocks }: Simulation, refused: Refused | null): ReportStep {
  const { spec, now } = context;
  const clockLines = clocks.map(clockLine);
  if (identified?.ok !== true) {
    const unverified = readToken(spec.token);
    const claims = typeof unverified === "string" ? null : unverified.payload;
    const wrong = identified ?? refused;
    return {
      step: "token",
      outcome: "refused",
      says: [
        ...(wrong === null ? [] : [whatWasWrong(wrong)]),
        ...(claims === null ? [] : claimedLines(context, claims)),
        ...clockLines,
      ],
    };
  }
  const known = issuerOf(context.config, identified.value.issuer);
  const facts = tokenFacts(identified.value, known);
  const paths = known?.claims;
  const absent = paths === undefined ? [] : absentClaims(identified.value.claims, paths);
  return {
    step: "token",
    outcome: "ok",
    says: [
      `${facts.subject} of ${facts.issuer}; expires ${facts.expires} (${distance(identified.value.expiresAt * 1000 - now)})`,
      `username ${facts.username ?? "none"}; groups ${listed(facts.groups)}; scopes ${listed(facts.scopes)}; audience ${text(facts.audience)}`,
      ...(absent.length === 0
        ? []
        : [`not in the token: ${absent.join(", ")}; identity.issuers[].claims says what is read`]),
      ...clockLines,
    ],
    facts,
  };
}

function clockLine({ issuer, issuer_time, own_time, message }: ClockFault): string {
  return `CLOCK: it is ${own_time} here and ${issuer_time} at ${issuer}: ${message}`;
}

type IssuerConfig = Config["identity"]["issuers"][number];

function issuerOf({ identity }: Config, name: JsonValue | undefined): IssuerConfig | undefined {
  return identity.issuers.find(({ issuer }) => issuer === name);
}

/** What a token says in the claim that is read for its audience. */
function audienceOf(claims: JsonObject, known: IssuerConfig | undefined): JsonValue | undefined {
  const instead = known?.audienceClaim ?? null;
  return "aud" in claims || instead === null ? claims["aud"] : claimAt(claims, instead);
}

function tokenFacts(
  { issuer, subject, username, groups, scopes, claims, expiresAt }: Identity,
  known: IssuerConfig | undefined,
) {
  const expires = new Date(expiresAt * 1000).toISOString();
  return { issuer, subject, username, groups, scopes, audience: audienceOf(claims, known) ?? null, expires };
}

/** The claims of a refused token, unverified, for its owner to compare with the accepted values. */
function claimedLines({ config, spec, now }: ReportContext, claims: JsonObject) {
  const { iss, sub, exp, iat } = claims;
  const known = issuerOf(config, iss);
  const aud = audienceOf(claims, known);
  const named = (spec.endpoint === null ? config.servers[spec.server]?.resource : null) ?? config.challenge.resource;
  const audiences = known?.audiences ?? config.identity.issuers.flatMap((issuer) => issuer.audiences);
  const endpoint = `${config.publicOrigin}${pathOf(spec)}`;
  return [
    `the token says, unproven: issuer ${text(iss)}, subject ${text(sub)}, audience ${text(aud)}, issued ${timeText(iat, now)}, expires ${timeText(exp, now)}`,
    `the clock here says ${new Date(now).toISOString()}`,
    `accepted here: issuer ${listed(config.identity.issuers.map(({ issuer }) => issuer))}`,
    `accepted here: audience ${listed([endpoint, ...(named === null ? [] : [named]), ...audiences])}`,
  ];
}

function timeText(seconds: JsonValue | undefined, now: number): string {
  return typeof seconds === "number" && Math.abs(seconds) < 8.64e12
    ? `${new Date(seconds * 1000).toISOString()} (${distance(seconds * 1000 - now)})`
    : text(seconds);
}

function operationStep(spec: CallSpec, { identified, input }: Simulation, refused: Refused | null): ReportStep {
  const what = `${spec.kind} ${spec.name} of ${spec.server}`;
  if (input !== null) {
    const { method, version } = input.mcp;
    return {
      step: "operation",
      outcome: "ok",
      says: [`${method}, ${what}`],
      facts: { method, kind: spec.kind, name: spec.name, server: spec.server, version },
    };
  }
  if (identified?.ok !== true || refused === null) return { step: "operation", outcome: "not reached", says: [what] };
  return { step: "operation", outcome: "refused", says: [whatWasWrong(refused), what] };
}

export function policySteps(policy: PolicyResult | null): ReportStep[] {
  if (policy === null) return [{ step: "policy", outcome: "not reached", says: ["not asked"] }];
  return [decisionStep(policy), rulesStep(policy), ...liveStep(policy)];
}

/** The step that appears when a running serve decides by another policy than the files. */
function liveStep({ decision, loaded, live }: PolicyResult): ReportStep[] {
  const revision = decision.ok ? decision.value.revision : null;
  if (loaded && (live === null || revision === null || live.revision === revision)) return [];
  const says =
    live === null
      ? "a running serve decides by the last good policy; its /readyz and the event policy_live in its log name the revision"
      : `serve decides by another policy, revision ${live.revision.slice(0, 12)}`;
  const because = live?.stale == null ? [] : [`it says of the files: ${live.stale}`];
  const how = loaded
    ? []
    : [
        "to judge by that one, put its files back for a moment (git stash) and ask again; what serve decided: --request-id",
      ];
  return [{ step: "serve", outcome: "note", says: [says, ...because, ...how], facts: { live } }];
}

function policyVerdict(decision: Decision): string {
  if (decision.allow) return "allows";
  const { requiredScopes: scopes, stepUp = null } = decision;
  if (stepUp !== null) {
    const age = stepUp.maxAge === null ? [] : [`not older than ${stepUp.maxAge} s`];
    const classes = stepUp.acrValues.length === 0 ? [] : [`of class ${stepUp.acrValues.join(" or ")}`];
    return `would allow after a log-in ${[...classes, ...age].join(", ")}`;
  }
  return scopes === null ? "does not allow" : `would allow with the scopes ${listed(scopes)}`;
}

function decisionStep({ decision, isKept }: PolicyResult): ReportStep {
  if (!decision.ok) return { step: "policy", outcome: "refused", says: [whatWasWrong(decision)] };
  const { allow, revision, note, computed, labels = [] } = decision.value;
  const reason = computed ?? note;
  const scopes = decision.value.allow ? null : decision.value.requiredScopes;
  const verdict = policyVerdict(decision.value);
  return {
    step: "policy",
    outcome: allow ? "ok" : "refused",
    says: [
      `${verdict}; reason: ${reason === null ? "none given" : `"${reason}"`}${labels.length === 0 ? "" : `; labels ${listed(labels)}`}; revision ${revision.slice(0, 12)}${isKept ? ", kept" : ""}`,
    ],
    facts: { allow, reason, labels, requiredScopes: scopes, revision },
  };
}

function rulesStep({ rules }: PolicyResult): ReportStep {
  if ("unknown" in rules) return { step: "rules", outcome: "note", says: [`not named: ${rules.unknown}`] };
  const says = rules.rules.map(ruleLine);
  return {
    step: "rules",
    outcome: "note",
    says: says.length === 0 ? ["package mcp.authz has no definition of allow that could hold"] : says,
    facts: { rules: rules.rules },
  };
}

function ruleLine({ rule, file, line, holds, isFalse, isDefault, stopsAt, text: source }: RuleLine): string {
  const where = `${file}:${line}`.padEnd(16);
  if (holds) return `${where} ${rule} ${isFalse ? "is false" : isDefault ? "holds by default" : "holds"}`;
  return `${where} ${rule} fails ${stopsAt === line ? "there" : `at line ${stopsAt ?? line}`}: ${source}`;
}

function credentialStep(
  { config, spec }: ReportContext,
  { credentials, facts }: Simulation,
  refused: Refused | null,
): ReportStep {
  if (credentials.length === 0)
    return { step: "credential", outcome: "not reached", says: [chainOf(config, spec.server)] };
  const last = credentials.at(-1);
  const failed = refused !== null && facts.credential === null;
  return {
    step: "credential",
    outcome: failed ? "refused" : last?.answer === "not asked" ? "note" : "ok",
    says: [
      ...(failed ? [whatWasWrong(refused)] : []),
      ...credentials.map(({ kind, answer, says }) => `${kind}: ${answer}, ${says}`),
    ],
    facts: { chain: credentials },
  };
}

function wristbandStep({ wristband, outcome, facts }: Simulation): ReportStep {
  if (wristband !== null) return { step: "wristband", outcome: outcome.ok ? "ok" : "refused", says: [wristband] };
  const direct = outcome.ok && facts.wristband === null;
  return {
    step: "wristband",
    outcome: "not reached",
    says: [direct ? "none: the call goes straight to its server" : "not made"],
  };
}

function whatWasWrong({ reason, detail }: Refused): string {
  return detail === undefined ? reason : `${reason}: ${detail}`;
}
