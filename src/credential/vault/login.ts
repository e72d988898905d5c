import { Secret } from "../../secret/secret.ts";
import type { JsonValue } from "../../json/types.ts";
import type { Reply, VaultClient } from "./client.ts";
import { member } from "./json-fields.ts";

/** How we prove to the Vault who we are. */
export type VaultAuth =
  | { readonly approle: { readonly mount: string; readonly roleId: Secret; readonly secretId: Secret } }
  | { readonly token: Secret };

/** A token that a Vault gave or confirmed. */
export interface Lease {
  readonly client: VaultClient;
  /** How long it lives from now; null for a token without an end. */
  readonly seconds: number | null;
  readonly renewable: boolean;
}

/** `refused`: trying again with the same configuration will not help. */
export type LoginResult =
  | { readonly ok: true; readonly lease: Lease }
  | { readonly ok: false; readonly refused: boolean; readonly detail: string };

/** Makes a client with a token, or one without. */
export type NewClient = (token: Secret | null) => VaultClient;

const REFUSING = new Set([400, 403, 404, 405]);
const TOKEN = /^[\x21-\x7e]{1,4096}$/;

/** One log-in, on a client of its own, with what the files of the secrets hold now. */
export function logIn(auth: VaultAuth, newClient: NewClient): Promise<LoginResult> {
  return "token" in auth ? confirmToken(newClient(auth.token.latest())) : byAppRole(auth.approle, newClient);
}

/**
 * Asks for a longer life of a lease.
 * @returns null if it did not get its whole life once more: near its maximum a Vault renews for less and less, with
 * status 200, and refuses in the end
 */
export async function renewed(lease: Lease): Promise<Lease | null> {
  if (!lease.renewable || lease.seconds === null) return null;
  const reply = await lease.client.renewSelf();
  const seconds =
    reply.ok && reply.status === 200 ? secondsOf(member(member(reply.body, "auth"), "lease_duration")) : 0;
  return seconds !== undefined && seconds >= lease.seconds ? { ...lease, seconds } : null;
}

async function byAppRole(
  { mount, roleId, secretId }: Extract<VaultAuth, { approle: object }>["approle"],
  newClient: NewClient,
): Promise<LoginResult> {
  const reply = await newClient(null).loginByAppRole(mount, roleId.latest(), secretId.latest());
  if (!reply.ok || reply.status !== 200) return failed(reply);
  const auth = member(reply.body, "auth");
  const token = member(auth, "client_token");
  if (typeof token !== "string" || !TOKEN.test(token)) return malformed();
  return leased(newClient(new Secret(token)), auth, "lease_duration");
}

/** A configured token is not issued to us, so it is looked up: is it alive, and for how long? */
async function confirmToken(client: VaultClient): Promise<LoginResult> {
  const reply = await client.lookUpSelf();
  if (!reply.ok || reply.status !== 200) return failed(reply);
  return leased(client, member(reply.body, "data"), "ttl");
}

function leased(client: VaultClient, facts: JsonValue | undefined, lifetime: "lease_duration" | "ttl"): LoginResult {
  const seconds = secondsOf(member(facts, lifetime));
  if (seconds === undefined) return malformed();
  const renewable = member(facts, "renewable") === true;
  return { ok: true, lease: { client, seconds: seconds === 0 ? null : seconds, renewable } };
}

function failed(reply: Reply): LoginResult {
  if (!reply.ok) return { ok: false, refused: false, detail: reply.fault };
  return { ok: false, refused: REFUSING.has(reply.status), detail: `status ${reply.status}` };
}

function malformed(): LoginResult {
  return { ok: false, refused: false, detail: "the answer is not a Vault's" };
}

function secondsOf(value: JsonValue | undefined): number | undefined {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}
