// What an access token says of its caller's authentication, and whether the caller is a person or a program. Pure.
// RFC 8176 (`amr`), OpenID Connect Core §2 (`acr`, `auth_time`), RFC 9068 §2.2 (`sub` of a client of its own).
import type { Identity } from "../authz/types.ts";
import type { JsonObject, JsonValue } from "../json/types.ts";
import { claimAt } from "../jose/claim.ts";
import type { MachineRule } from "./claims.ts";

const MAX_METHODS = 64;
/** Claims that hold the id of the client that the token was issued to. */
const CLIENT_CLAIMS = ["client_id", "azp", "cid", "appid"];

/**
 * Reads the facts for policy. A malformed claim is an absent one: a policy that asks for it is not satisfied, and issuers that
 * write times in their own way can be used all the same.
 * @param machine null for the signs by which known issuers mark a program's own token
 */
export function authenticationOf(
  claims: JsonObject,
  machine: MachineRule | null,
): Pick<Identity, "kind" | "amr" | "acr" | "authTime"> {
  const { acr, auth_time: time } = claims;
  const isProgram = machine === null ? isOfProgram(claims) : names(claims, machine);
  return {
    kind: isProgram ? "machine" : "user",
    amr: methodsOf(claims["amr"]),
    acr: typeof acr === "string" && acr !== "" ? acr : null,
    authTime: typeof time === "number" && time > 0 && time < Number.MAX_SAFE_INTEGER ? Math.floor(time) : null,
  };
}

function methodsOf(value: JsonValue | undefined): readonly string[] {
  const list = typeof value === "string" ? [value] : value;
  if (!Array.isArray(list) || list.length > MAX_METHODS) return [];
  const methods = list as readonly JsonValue[];
  return methods.every((item): item is string => typeof item === "string" && item !== "") ? methods : [];
}

function names(claims: JsonObject, { claim, values }: MachineRule): boolean {
  const value = claimAt(claims, claim);
  const list = Array.isArray(value) ? (value as readonly JsonValue[]) : [value];
  return list.some((item) => typeof item === "string" && values.includes(item));
}

/** Entra ID says `idtyp`, Auth0 `gty`; with the others the subject is the client, under its id or a name made of it. */
function isOfProgram(claims: JsonObject): boolean {
  const { idtyp, gty, sub, preferred_username: username } = claims;
  if (idtyp === "app" || gty === "client-credentials") return true;
  const clients = CLIENT_CLAIMS.map((name) => claims[name]).filter(
    (id): id is string => typeof id === "string" && id !== "",
  );
  if (clients.some((id) => sub === id || sub === `${id}@clients`)) return true;
  // Keycloak: the account of a client, whose tokens alone have `client_id`.
  return typeof claims["client_id"] === "string" && username === `service-account-${claims["client_id"]}`;
}
