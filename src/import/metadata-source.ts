// One entry of `metadata`: which store or token endpoint it asks, in the form of our credentials. Pure.
import type { ASTNode } from "@marcbachmann/cel-js";
import { bracedTemplate, templateOf, type TemplatePart } from "./caller-template.ts";
import { parseCel, pathOf } from "./cel.ts";
import type { ConditionContext } from "./conditions.ts";
import type { Field } from "./source.ts";

export type MetadataSource =
  | {
      readonly kind: "vault";
      readonly address: string;
      readonly mount: string;
      readonly path: readonly TemplatePart[];
      readonly auth: { readonly secret: string } | { readonly login: string };
    }
  /** A log-in at a Vault. @property caller with the caller's own token */
  | {
      readonly kind: "login";
      readonly address: string;
      readonly mount: string;
      readonly role: string;
      readonly caller: boolean;
    }
  | {
      readonly kind: "exchange";
      readonly endpoint: string;
      readonly secret: string | null;
      readonly audience: readonly TemplatePart[];
      readonly scope: string | null;
    }
  | {
      readonly kind: "client";
      readonly endpoint: string;
      readonly secret: string | null;
      readonly scope: string | null;
    };

const EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token";
const OTHER =
  "is a call to somebody else before the decision, which is no KV version 2 of a Vault and no token endpoint (RFC 8693, RFC 6749 §4.4): put what it says into the token or into data.yaml";
const KEYS = ["http", "priority", "metrics", "cache", "when"];

/** Reads an entry; null for one that is not mapped, which is reported. */
export function metadataSource(entry: Field, context: ConditionContext): MetadataSource | null {
  const { report } = context;
  const others = entry.only(KEYS, (field) => report.unmapped(field, OTHER));
  entry.takeEach("priority", "metrics", "cache");
  const http = entry.get("http");
  if (http === null && others === 0) report.unmapped(entry, OTHER);
  if (http === null) return null;
  http.takeEach("timeout");
  const source = readCall(http, context);
  if (source === null) report.unmapped(http, OTHER);
  return source;
}

function readCall(http: Field, context: ConditionContext): MetadataSource | null {
  const [head, ...rest] = urlOf(http, context) ?? [];
  const [, address, way] = head?.kind === "text" ? (/^(https?:\/\/[^/?#{]+)\/(.*)$/s.exec(head.text) ?? []) : [];
  if (address === undefined || way === undefined) return null;
  const method = http.get("method")?.value ?? "GET";
  if (method === "GET") return vaultRead(http, { address, way, rest }, context);
  return method === "POST" && rest.length === 0 ? posted(http, { address, way }, context) : null;
}

function posted(http: Field, { address, way }: Omit<Read, "rest">, context: ConditionContext): MetadataSource | null {
  const mount = /^v1\/auth\/([\w/-]+)\/login$/.exec(way)?.[1];
  return mount === undefined ? tokenRequest(http, `${address}/${way}`, context) : vaultLogin(http, { address, mount });
}

function urlOf(http: Field, { report }: ConditionContext): readonly TemplatePart[] | null {
  const [url, expression] = [http.get("url"), http.get("urlExpression")];
  if (url?.text != null && expression === null) return bracedTemplate(url.text);
  const ast = url === null ? parsedField(expression, report) : null;
  return ast === null ? null : joined(templateOf(ast));
}

/** Constants beside each other as one. */
function joined(parts: readonly TemplatePart[] | null): readonly TemplatePart[] | null {
  if (parts === null) return null;
  const all: TemplatePart[] = [];
  for (const part of parts) {
    const last = all.at(-1);
    if (last?.kind === "text" && part.kind === "text")
      all[all.length - 1] = { kind: "text", text: last.text + part.text };
    else all.push(part);
  }
  return all;
}

interface Read {
  readonly address: string;
  readonly way: string;
  readonly rest: readonly TemplatePart[];
}

function vaultRead(http: Field, { address, way, rest }: Read, context: ConditionContext): MetadataSource | null {
  const [, mount, begin] = /^v1\/([\w/-]+?)\/data\/([^?#]*)$/.exec(way) ?? [];
  const auth = vaultToken(http, context);
  if (mount === undefined || begin === undefined || auth === null || hasBody(http)) return null;
  const first: readonly TemplatePart[] = begin === "" ? [] : [{ kind: "text", text: begin }];
  return { kind: "vault", address, mount, path: [...first, ...rest], auth };
}

const hasBody = (http: Field) => http.get("body") !== null || http.get("bodyParameters") !== null;

/** Where `X-Vault-Token` comes from. */
function vaultToken(http: Field, { report }: ConditionContext): { secret: string } | { login: string } | null {
  const shared = http.get("sharedSecretRef");
  if (shared !== null) {
    const secret = secretOf(shared);
    return secret !== null && isVaultToken(http.at("credentials", "customHeader", "name")?.text) ? { secret } : null;
  }
  const [entry, ...others] = http.get("headers")?.entries ?? [];
  if (entry === undefined || others.length > 0 || !isVaultToken(entry[0])) return null;
  const reference = entry[1].at("valueFrom", "secretKeyRef");
  if (reference === null) return loginOf(parsedField(entry[1].get("expression"), report));
  const secret = secretOf(reference);
  return secret === null ? null : { secret };
}

const isVaultToken = (name: string | null | undefined) => name?.toLowerCase() === "x-vault-token";

/** `auth.metadata["vault-login"].auth.client_token`. */
function loginOf(ast: ASTNode | null): { login: string } | null {
  const [auth, metadata, login, ...path] = (ast && pathOf(ast)) ?? [];
  const isLogin = auth === "auth" && metadata === "metadata" && path.join(".") === "auth.client_token";
  return isLogin && login !== undefined ? { login } : null;
}

/** A field's text as CEL; null where there is none. */
export function parsedField(field: Field | null, report: ConditionContext["report"]): ASTNode | null {
  if (field?.text == null) return null;
  return parseCel({ text: field.text, line: field.firstLine, key: field.key }, report);
}

function secretOf(reference: Field | null): string | null {
  const [name, key] = ["name", "key"].map((one) => reference?.get(one)?.text ?? null);
  return name == null || key == null ? null : `${name}.${key}`;
}

/** True where what is sent has another form than the request has of itself. */
function isOtherForm(http: Field, form: string): boolean {
  const [type, ...others] = [http.get("contentType"), http.at("headers", "Content-Type", "value")].filter(
    (one) => one !== null,
  );
  return others.length > 0 || (type !== undefined && type.text !== form);
}

/** `{"role": …, "jwt": …}` as the guides put it together. */
function vaultLogin(http: Field, { address, mount }: { address: string; mount: string }): MetadataSource | null {
  const text = http.at("body", "expression")?.text ?? "";
  const [, role, token] =
    /^\s*"\{\\"role\\":\s*\\"([\w-]+)\\",\s*\\"jwt\\":\s*\\""\s*\+\s*(.+?)\s*\+\s*"\\"\}"\s*$/s.exec(text) ?? [];
  if (role === undefined || token === undefined || isOtherForm(http, "application/json")) return null;
  const caller = /^request\.headers\[["']authorization["']\]\.split\(["']Bearer ["']\)\[1\]$/.test(token);
  return caller || /^auth\.metadata\b/.test(token) ? { kind: "login", address, mount, role, caller } : null;
}

const PARAMETERS = ["grant_type", "subject_token", "subject_token_type", "requested_token_type", "audience", "scope"];

function tokenRequest(http: Field, endpoint: string, context: ConditionContext): MetadataSource | null {
  const parameters = http.get("bodyParameters");
  const value = (name: string) => parameters?.at(name, "value")?.text ?? null;
  const secret = secretOf(http.get("sharedSecretRef"));
  const prefix = http.at("credentials", "authorizationHeader", "prefix")?.text ?? "Basic";
  const scope = value("scope");
  if (prefix.toLowerCase() !== "basic" || isOtherForm(http, "application/x-www-form-urlencoded")) return null;
  if (parameters?.entries.some(([name]) => !PARAMETERS.includes(name)) !== false) return null;
  if (value("grant_type") === "client_credentials") return { kind: "client", endpoint, secret, scope };
  const types = ["subject_token_type", "requested_token_type"].map((name) => value(name) ?? ACCESS_TOKEN);
  if (value("grant_type") !== EXCHANGE || types.some((type) => type !== ACCESS_TOKEN)) return null;
  const subject = parameters.at("subject_token", "expression");
  const audience = partsOf(parameters.get("audience"), context);
  if (audience === null || !isCallersToken(subject, context)) return null;
  return { kind: "exchange", endpoint, secret, audience, scope };
}

function partsOf(parameter: Field | null, { report }: ConditionContext): readonly TemplatePart[] | null {
  const [value, expression] = [parameter?.get("value")?.text ?? null, parameter?.get("expression") ?? null];
  if (value !== null) return [{ kind: "text", text: value }];
  const ast = parsedField(expression, report);
  return ast === null ? null : joined(templateOf(ast));
}

/** `request.headers["authorization"].split("Bearer ")[1]`. */
function isCallersToken(expression: Field | null, { report }: ConditionContext): boolean {
  const ast = parsedField(expression, report);
  if (ast?.op !== "[]" || ast.args[0].op !== "rcall") return false;
  const [name, of] = ast.args[0].args;
  return name === "split" && pathOf(of)?.join(".") === "request.headers.authorization";
}
