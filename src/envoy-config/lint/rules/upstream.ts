// The connections of Envoy to serve, to the broker and to servers; and its admin interface. Pure.
import { addressesOf, addressText, hostOf, isLocal, speaksHttp2, tlsOf } from "../clusters.ts";
import type { Finding, Severity } from "../finding.ts";
import { at, hasAt, isTrueAt, listAt, numberAt, textAt, textsAt, typedOf, type Fields } from "../fields.ts";
import { pathOf } from "../routes.ts";
import { guardsInUse, targetOf, type World } from "../world.ts";

export function upstreamFindings(world: World): Finding[] {
  const asked = new Set(guardsInUse(world).map(({ filter }) => targetOf(filter)));
  const clusters = [...new Set([...world.mcp, ...asked])].filter((name) => name !== "");
  return [
    ...clusters.flatMap((name) => wayFindings(world, name)),
    ...[...asked].flatMap((name) => askedFindings(world, name)),
    ...adminFindings(world),
    ...downstreamFindings(world),
  ];
}

type Add = (rule: string, severity: Severity, texts: readonly [string, string]) => void;

/** Shards of one server say the same: the first stands for all. */
function wayFindings(world: World, name: string): Finding[] {
  if (/^server_.+_[1-9]\d*$/.test(name) && world.dump.clusters.has(name.replace(/\d+$/, "0"))) return [];
  const cluster = world.dump.clusters.get(name);
  const found: Finding[] = [];
  const add: Add = (rule, severity, [message, fix]) =>
    found.push({ rule, severity, place: { cluster: name }, message, fix });
  const addresses = addressesOf(world.dump, name);
  const contexts = tlsOf(cluster);
  const open = addresses.filter((address) => !isLocal(address) && !world.expected.isPlainAllowed(hostOf(address)));
  if (cluster !== undefined && contexts.length === 0 && open.length > 0)
    add("plaintext", "high", [
      `Tokens and credentials go to ${open[0] ?? ""} in plain text.`,
      "Give the cluster a transport_socket with TLS; where a mesh's sidecar encrypts, say listen.plaintext in the configuration.",
    ]);
  for (const context of contexts) tlsFindings(context, add);
  return found;
}

function tlsFindings(context: Fields, add: Add): void {
  const common = at(context, "common_tls_context");
  const combined = at(common, "combined_validation_context", "default_validation_context");
  const validation = at(common, "validation_context") ?? combined;
  const trust = trustOf(common, validation);
  if (trust === "none")
    add("tls-unverified", "high", [
      "Envoy takes any certificate here: whoever is in the way reads tokens and credentials, or answers the Checks.",
      "Set validation_context.trusted_ca, and remove trust_chain_verification.",
    ]);
  if (trust === "ca" && !isTrueAt(context, "auto_sni_san_validation") && !isNamed(validation))
    add("tls-name", "medium", [
      "Envoy takes any certificate of the CA here, whatever name it is for.",
      "Set match_typed_subject_alt_names to the name of the server.",
    ]);
  const oldest = textAt(common, "tls_params", "tls_minimum_protocol_version");
  if (/TLSv1_[01]/.test(oldest))
    add("tls-version", "medium", [`${oldest} is accepted.`, "Set tls_minimum_protocol_version: TLSv1_2 or above."]);
}

const ROOTS = ["trusted_ca", "system_root_certs", "ca_certificate_provider_instance"];
const PINS = ["verify_certificate_spki", "verify_certificate_hash"];

/** What a certificate is held against; `else`: a pin, or a secret that is not in the dump. */
function trustOf(common: unknown, validation: unknown): "none" | "ca" | "else" {
  if (textAt(validation, "trust_chain_verification") === "ACCEPT_UNTRUSTED") return "none";
  const secret = "validation_context_sds_secret_config";
  if (hasAt(common, secret) || hasAt(common, "combined_validation_context", secret)) return "else";
  if (PINS.some((key) => textsAt(validation, key).length > 0)) return "else";
  return ROOTS.some((key) => hasAt(validation, key)) ? "ca" : "none";
}

function isNamed(validation: unknown): boolean {
  const lists = ["match_typed_subject_alt_names", "match_subject_alt_names"];
  return lists.some((key) => listAt(validation, key).length > 0);
}

const LEAST_REQUESTS = 256;

function askedFindings({ dump }: World, name: string): Finding[] {
  const place = { cluster: name };
  const cluster = dump.clusters.get(name);
  if (cluster === undefined) {
    // Google's client has an address in its place.
    if (/[:/]/.test(name)) return [];
    return [
      {
        rule: "authz-cluster",
        severity: "low",
        place,
        message: "ext_authz asks a cluster that is not there: every request ends in an error.",
        fix: "Name the cluster of mcp-authz in grpc_service.envoy_grpc.",
      },
    ];
  }
  const found: Finding[] = [];
  const add: Add = (rule, severity, [message, fix]) => found.push({ rule, severity, place, message, fix });
  if (!speaksHttp2(cluster))
    add("authz-http2", "low", [
      "The cluster of mcp-authz has no HTTP/2: gRPC cannot be spoken to it, and every request ends in 503.",
      "Set explicit_http_config.http2_protocol_options in typed_extension_protocol_options.",
    ]);
  const contexts = tlsOf(cluster);
  if (contexts.some((context) => !textsAt(context, "common_tls_context", "alpn_protocols").includes("h2")))
    add("authz-alpn", "low", [
      "The TLS of the cluster of mcp-authz does not say that it speaks HTTP/2: its server refuses the connection.",
      "Set common_tls_context.alpn_protocols: [h2].",
    ]);
  const limits = listAt(cluster, "circuit_breakers", "thresholds").map((one) => numberAt(one, "max_requests") ?? 1024);
  if (limits.some((most) => most < LEAST_REQUESTS))
    add("authz-limit", "low", [
      `At most ${Math.min(...limits)} Checks run at a time: a few clients without a token make Envoy refuse all others.`,
      "Set circuit_breakers.thresholds.max_requests to 1024 or more.",
    ]);
  return found;
}

function adminFindings(world: World): Finding[] {
  const address = addressText(at(world.dump.bootstrap, "admin", "address"));
  const found: Finding[] = [];
  if (address !== "" && !isLocal(address))
    found.push({
      rule: "admin-public",
      severity: "high",
      place: { bootstrap: "admin" },
      message: `The admin interface listens on ${address}: whoever reaches it reads the configuration, ends Envoy, and turns filters off by runtime keys.`,
      fix: "Listen on a Unix socket (admin.address.pipe, mode 0600), or on loopback.",
    });
  const admins = new Set(
    [...world.dump.clusters.keys()].filter((name) => addressesOf(world.dump, name).includes(address)),
  );
  for (const { destinations, fields, place } of world.routes) {
    const leads = destinations.some(({ cluster }) => cluster !== null && admins.has(cluster));
    if (address === "" || !leads || /^\/(?:ready|stats)(?:\/|$)/.test(pathOf(fields))) continue;
    found.push({
      rule: "admin-route",
      severity: "high",
      place,
      message:
        "The route leads to the admin interface, beyond /ready and /stats: it reads the configuration and ends Envoy.",
      fix: "Match exactly /ready and /stats/prometheus.",
    });
  }
  return found;
}

/** Listeners of guarded connection managers that accept old versions of TLS. */
function downstreamFindings({ dump, guards }: World): Finding[] {
  const names = new Set(guards.map(({ place }) => place.listener));
  return dump.listeners
    .filter((listener) => names.has(textAt(listener, "name")))
    .flatMap((listener) =>
      [...listAt(listener, "filter_chains"), at(listener, "default_filter_chain")].flatMap((chain) => {
        const { fields } = typedOf(at(chain, "transport_socket", "typed_config"));
        const oldest = textAt(fields, "common_tls_context", "tls_params", "tls_minimum_protocol_version");
        if (!/TLSv1_[01]/.test(oldest)) return [];
        const place = { listener: textAt(listener, "name") };
        const fix = "Set tls_minimum_protocol_version: TLSv1_2 or above.";
        return [
          { rule: "tls-version", severity: "medium" as const, place, message: `Clients may speak ${oldest}.`, fix },
        ];
      }),
    );
}
