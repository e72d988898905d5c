// Finds the one policy of a file and its sections, whichever of the kinds and layouts it has. Pure.
import { parseCel, pathOf } from "./cel.ts";
import type { Report } from "./report.ts";
import { readDocuments, SourceError, type Field } from "./source.ts";

/** The sections of an AuthPolicy or AuthConfig. */
export interface PolicyDocument {
  /** All of it. */
  readonly root: Field;
  /** Where sections stand: the place of what is missing. */
  readonly rules: Field;
  readonly authentication: Field | null;
  readonly metadata: readonly (readonly [string, Field])[];
  readonly authorization: Field | null;
  readonly response: Field | null;
  /** Entries of `response.success.headers`. */
  readonly headers: readonly (readonly [string, Field])[];
  readonly patterns: Field | null;
  /** `namespace/name` of the route that it protects; null for a gateway or none. */
  readonly route: string | null;
  /** `namespace/name`. */
  readonly name: string;
}

const KINDS: readonly (readonly [kind: string, version: RegExp])[] = [
  ["AuthPolicy", /^kuadrant\.io\/v1(?:beta\d)?$/],
  // As articles write it; nobody has published it.
  ["AuthPolicy", /^authorino\.kuadrant\.io\/v1beta\d$/],
  ["AuthConfig", /^authorino\.kuadrant\.io\/v1beta[23]$/],
];

interface Asked {
  readonly file: string;
  readonly policy: string | null;
}

/** @throws {SourceError} */
export function readPolicyDocument(text: string, asked: Asked, report: Report): PolicyDocument {
  const document = choose(readDocuments(asked.file, text), asked);
  const kind = document.get("kind")?.text ?? "";
  const spec = document.get("spec");
  if (spec === null) throw new SourceError(`${asked.file}:${document.line}: has no spec: there is nothing to import`);
  const proper = properOf(spec, kind, report);
  const rules = kind === "AuthPolicy" ? (proper.get("rules") ?? proper) : proper;
  // Which requests it is for: here all that reach a server. The object's own metadata restrict nobody.
  for (const [field, ...names] of [
    [document, "metadata", "status"],
    [spec, "targetRef", "hosts"],
  ] as const)
    field.takeEach(...names);
  for (const [, field] of rules.get("callbacks")?.entries ?? [])
    report.leftOut(field, "nobody is called after a decision here: the audit line says what was decided");
  checkConditions(proper.get("when"), report);
  const response = rules.get("response");
  const { headers, metadata } = readResponse(response, report);
  return {
    root: document,
    rules,
    authentication: rules.get("authentication"),
    metadata: [...(rules.get("metadata")?.entries ?? []), ...metadata],
    authorization: rules.get("authorization"),
    response,
    headers,
    patterns: proper.get("patterns"),
    route: routeOf(spec, document),
    name: nameOf(document),
  };
}

function choose(documents: readonly Field[], { file, policy }: Asked): Field {
  const isPolicy = (one: Field) =>
    KINDS.some(([kind, version]) => one.get("kind")?.text === kind && version.test(one.get("apiVersion")?.text ?? ""));
  const policies = documents.filter(isPolicy);
  const [first] = documents;
  if (policies.length === 0)
    throw new SourceError(
      `${file}:${first?.line ?? 1}: holds no AuthPolicy (kuadrant.io/v1) and no AuthConfig (authorino.kuadrant.io/v1beta2, v1beta3)`,
    );
  const chosen = policies.filter(
    (one) => policy === null || nameOf(one) === policy || nameOf(one).endsWith(`/${policy}`),
  );
  const [one] = chosen;
  if (one !== undefined && chosen.length === 1) return one;
  const names = policies.map((each) => `${nameOf(each)} (line ${each.line})`).join(", ");
  throw new SourceError(
    policy === null || one !== undefined
      ? `${file}: holds several policies: choose one with --policy NAMESPACE/NAME: ${names}`
      : `${file}: holds no policy ${policy}: there are ${names}`,
  );
}

function nameOf(document: Field): string {
  const [namespace, name] = ["namespace", "name"].map((one) => document.at("metadata", one)?.text ?? null);
  return `${namespace ?? "default"}/${name ?? "?"}`;
}

/** Kuadrant's `defaults` and `overrides` hold the same as the spec itself. */
function properOf(spec: Field, kind: string, report: Report): Field {
  if (kind !== "AuthPolicy") return spec;
  const wrapped = ["defaults", "overrides"].flatMap((name) => spec.get(name) ?? []);
  const [wrapper = spec, ...others] = wrapped;
  for (const other of others) report.unmapped(other, "stands beside another: import the policy that is in force");
  if (wrapper !== spec)
    spec.only(["targetRef", "defaults", "overrides"], (field) =>
      report.unmapped(field, "stands beside defaults or overrides: import the policy that is in force"),
    );
  const strategy = wrapper.get("strategy");
  if (strategy !== null && strategy.text !== "atomic")
    report.unmapped(strategy, "other policies add to this one: import what Kuadrant made of them all, the AuthConfig");
  return wrapper;
}

/** Where a condition of the whole policy does not hold, Authorino lets the request in without a question. Nothing does so here. */
function checkConditions(when: Field | null, report: Report): void {
  for (const item of when?.items ?? []) {
    const predicate = item.get("predicate");
    const place = predicate ?? item;
    if (predicate?.text != null && leavesDocumentsOut(predicate, report))
      report.note(place, "the documents under /.well-known are public here: nothing to do");
    else if (predicate?.text != null && predicate.text.includes("router-key"))
      report.note(place, "is for calls of Kuadrant's own router: here nobody passes without a token");
    else
      report.unmapped(
        place,
        "requests for which it does not hold pass without any check there, and are judged as all others here: take it out, or write the condition into the rules",
      );
  }
}

/** `!request.path.contains("/.well-known")` and the like. */
function leavesDocumentsOut(predicate: Field, report: Report): boolean {
  const ast = parseCel({ text: predicate.text ?? "", line: predicate.firstLine, key: predicate.key }, report);
  if (ast?.op !== "!_" || ast.args.op !== "rcall") return false;
  const [name, of, [part]] = ast.args.args;
  const asks = `${name} ${pathOf(of)?.join(".") ?? ""}`;
  if (!/^(?:contains|startsWith) request\.(?:path|url_path)$/.test(asks) || part?.op !== "value") return false;
  return typeof part.args === "string" && /^\/?\.well-known(?:\/.*)?$/.test(part.args);
}

type Entries = readonly (readonly [string, Field])[];

/** Older texts have the responses beside each other, and calls to others among them. */
function readResponse(response: Field | null, report: Report): { headers: Entries; metadata: Entries } {
  const known = ["success", "unauthenticated", "unauthorized"];
  const success = response?.get("success") ?? null;
  const headers = success?.get("headers") ?? null;
  success?.only(["headers"], (field) =>
    report.leftOut(
      field,
      "goes to other filters of the data plane there; here its metadata are mcp.subject, mcp.server and mcp.name",
    ),
  );
  const beside = (response?.entries ?? []).filter(([name]) => !known.includes(name));
  const isCall = ([, field]: readonly [string, Field]) => field.get("http") !== null;
  const isWristband = ([, field]: readonly [string, Field]) => field.get("wristband") !== null;
  for (const [, field] of beside.filter((one) => !isCall(one) && !isWristband(one)))
    report.unmapped(field, "is no response that is known: it belongs under success.headers");
  return {
    headers: [...(headers?.entries ?? []), ...beside.filter(isWristband)],
    metadata: beside.filter(isCall),
  };
}

function routeOf(spec: Field, document: Field): string | null {
  const target = spec.get("targetRef");
  const name = target?.get("name")?.text ?? null;
  if (name === null || target?.get("kind")?.text?.endsWith("Route") !== true) return null;
  return `${document.at("metadata", "namespace")?.text ?? "default"}/${name}`;
}
