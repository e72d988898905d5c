// The result of a request that the broker answers itself: handshake, lists, log level. I/O through the session.
import type { McpEndpoint } from "../authz/endpoint.ts";
import { pass, refuse, type Step } from "../authz/step.ts";
import type { JsonObject } from "../json/types.ts";
import type { Curation } from "../mcp/curation.ts";
import type { WristbandClaims } from "../wristband/claims.ts";
import { housekeeping, ownAnswer, type BrokerView } from "./housekeeping.ts";
import type { ListResults } from "./list-results.ts";
import type { IncomingCall } from "./relay/admit.ts";
import { setLogLevel } from "./sessions/messages.ts";

/** What results are made from. */
export interface OwnResults {
  readonly view: (endpoint: McpEndpoint, wristband: WristbandClaims) => BrokerView;
  readonly lists: ListResults;
  /** The catalogue as it is now: another object once it has changed. */
  readonly snapshot: () => object;
  readonly calls: { readonly curation: Curation };
}

/** A result as JSON text; with a tag for the first page of a list. */
export interface OwnResult {
  readonly text: string;
  readonly etag: string | null;
}

export async function ownResult(
  options: OwnResults,
  incoming: IncomingCall,
  params: JsonObject,
): Promise<Step<OwnResult>> {
  const { operation, endpoint, wristband, session } = incoming;
  const { method, version } = operation;
  const view = () => options.view(endpoint, wristband);
  const isFirstPage = method.endsWith("/list") && operation.search === undefined && !("cursor" in params);
  if (isFirstPage) {
    const state = { snapshot: options.snapshot(), curation: options.calls.curation };
    return options.lists.of({ method, version, resource: endpoint.resource, wristband }, state, () =>
      housekeeping(operation, params, view()),
    );
  }
  if (operation.class !== "session") return withoutTag(await ownAnswer(operation, params, view()));
  if (session === null) return refuse("method_unknown", "without a session");
  const set = await setLogLevel(session, params);
  return set.ok ? withoutTag(pass("{}")) : set;
}

function withoutTag(made: Step<string>): Step<OwnResult> {
  return made.ok ? pass({ text: made.value, etag: null }) : made;
}
