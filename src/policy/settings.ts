// What of the configuration changes the answers of a policy, beside its rules and data: a part of its revision. Pure.

/** Of the section `policy`: what the input holds. Left out is the default. */
export interface PolicySettings {
  readonly compat?: "authorino" | null;
  /** Names of request headers that policy sees. */
  readonly headers?: readonly string[];
  /** Time zones of `input.request.local`. */
  readonly zones?: readonly string[];
}

/** The same text for the same settings, whatever their order; "" for the defaults, so that a revision is known before there is a configuration. */
export function settingsText({ compat = null, headers = [], zones = [] }: PolicySettings): string {
  const set = {
    ...(compat === null ? {} : { compat }),
    ...(headers.length === 0 ? {} : { headers: [...new Set(headers)].toSorted() }),
    ...(zones.length === 0 ? {} : { zones: [...new Set(zones)].toSorted() }),
  };
  return Object.keys(set).length === 0 ? "" : JSON.stringify(set);
}
