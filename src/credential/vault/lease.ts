// Reads a dynamic secret and its lease from a Vault's response (Vault API, "sys/leases"). Pure.
import { isObject } from "../../json/object.ts";
import type { JsonValue } from "../../json/types.ts";
import type { VaultResponse } from "./client.ts";
import { faultOfValue } from "./entry.ts";
import { member } from "./json-fields.ts";

/** What becomes of a lease; also a label of a metric. `lost`: the Vault had ended it before its time. */
export type LeaseEvent = "issued" | "renewed" | "revoked" | "lost" | "not_renewed" | "not_revoked";

/** What was issued, by its lease. */
export interface Issued {
  readonly id: string;
  /** Life from the request on. */
  readonly seconds: number;
  readonly renewable: boolean;
  /** Values of the fields that were asked for, in their order; a text is the fault of one. */
  readonly values: readonly string[] | string;
}

export type IssueResult = { readonly issued: Issued } | { readonly cannotTell: string };

/** The end of one renewal: what is left of the lease, or why it is not longer. `away`: to be tried again. */
export type Renewal =
  | { readonly seconds: number; readonly renewable: boolean }
  | "away"
  | "not allowed"
  /** The Vault does not know the lease any more. */
  | "lost";

const ID = /^[\x21-\x7e]{1,1024}$/;

/** An engine that has nobody by this name says 400, as it does for a fault: no answer of one is *has none*. */
export function readIssued(response: VaultResponse, fields: readonly string[]): IssueResult {
  if (!response.ok) return { cannotTell: response.fault };
  if (response.status === 403) return { cannotTell: "status 403, the policy of our log-in does not allow this path" };
  if (response.status !== 200) return { cannotTell: `status ${response.status} of the engine` };
  const { body } = response;
  const id = member(body, "lease_id");
  const seconds = secondsOf(body);
  if (typeof id !== "string" || !ID.test(id) || seconds === null)
    return { cannotTell: "the answer has no lease: is this a dynamic engine?" };
  const data = member(body, "data");
  const values = fields.map((field) => member(data, field));
  const fault = isObject(data) ? values.map(faultOfValue).find((one) => one !== null) : "the answer has no fields";
  const renewable = member(body, "renewable") === true;
  return { issued: { id, seconds, renewable, values: fault ?? (values as string[]) } };
}

export function readRenewal(response: VaultResponse): Renewal {
  if (!response.ok || response.status >= 500 || response.status === 429) return "away";
  if (response.status === 403) return "not allowed";
  const seconds = response.status === 200 ? secondsOf(response.body) : null;
  return seconds === null ? "lost" : { seconds, renewable: member(response.body, "renewable") === true };
}

function secondsOf(body: JsonValue): number | null {
  const seconds = member(body, "lease_duration");
  return typeof seconds === "number" && Number.isSafeInteger(seconds) && seconds > 0 ? seconds : null;
}
