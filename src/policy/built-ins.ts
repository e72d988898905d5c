// What to write in place of a built-in that policies do not have. Pure.

/** In WASM they take texts that opa's own engine refuses ("-" is a number, "01" is JSON, "ab" is Base64): a policy would allow what its tests deny. */
const WITHHELD: Readonly<Record<string, string>> = {
  to_number: "ask for a number with is_number, or compare the text",
  "json.unmarshal": "ask for an object with is_object instead of JSON in a text",
  "json.is_valid": "ask for an object with is_object instead of JSON in a text",
  "base64.decode": "compare with base64.encode of what you expect",
  "base64.is_valid": "compare with base64.encode of what you expect",
  "base64url.decode": "compare with base64url.encode of what you expect",
};

/** By name, or by the group before the dot; the first that fits. */
const MISSING: readonly (readonly [RegExp, string])[] = [
  [
    /^time\./,
    "the time is input.request.time, in seconds since 1970 UTC, or by zone input.request.local (policy.zones)",
  ],
  [/^sprintf$/, 'write $"text {value}", or concat texts; format_int makes one of a number'],
  [/^(?:io\.jwt|crypto)\./, "the token is verified before policy is asked: its claims are input.identity.claims"],
  [
    /^(?:http\.send|net\.lookup_ip_addr|opa\.runtime)$/,
    "policy has no network and no environment: bring what it needs as data.yaml",
  ],
  [
    /^regex\./,
    "regex.match, regex.is_valid and regex.find_all_string_submatch_n are there; for names take mcp_authz.matches",
  ],
  [/^strings\.any_/, "ask for one: some prefix in prefixes; startswith(text, prefix); or mcp_authz.matches"],
  [
    /^(?:object\.subset|json\.patch|json\.match_schema|json\.verify_schema)$/,
    "compare the members that matter, one a line",
  ],
  [/^(?:rand|uuid)\./, "nothing in a decision is random; the call's own facts are in input"],
  [/^(?:yaml|hex|urlquery|units|semver|uri|graphql)\./, "bring it as data, or compare the text as it is"],
  [/^net\.cidr_/, "net.cidr_contains and net.cidr_intersects are there"],
];

/** The alternative to a function that opa misses; null where there is none of that name at all. */
export function alternativeTo(name: string): string | null {
  if (Object.hasOwn(WITHHELD, name))
    return `${name} reads some texts otherwise in WASM than in opa test: ${WITHHELD[name]} (docs/policy.md)`;
  const found = MISSING.find(([names]) => names.test(name));
  return found === undefined ? null : `${name} is not there in WASM: ${found[1]}`;
}
