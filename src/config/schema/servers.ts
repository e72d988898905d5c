// The section `servers`. Pure.
import { z } from "zod";
import type { credentialSchema } from "./credential.ts";
import { curationSchema } from "./curation.ts";
import { headerName, headerValue, httpUrl, positive, resource, serverName, url, type FileSchema } from "./values.ts";

type CredentialSchema = ReturnType<typeof credentialSchema>;

export const serversSchema = (file: FileSchema, credential: CredentialSchema) =>
  z.record(serverName, serverSchema(file, credential)).default({});

/** Shown to clients: no line breaks, no control and no direction characters, and a link that cannot be tampered with on its way. */
const helpText = z
  .string()
  .min(1)
  .max(300)
  .refine((text) => !/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u.test(text), "must be one line without control characters")
  .refine(
    (text) => !/^[a-z][a-z0-9+.-]*:\S+$/i.test(text) || (text.startsWith("https://") && url.safeParse(text).success),
    "must be a sentence, or an https URL without user info",
  );

const MIB = 1024 ** 2;
const maxResponseBytes = z
  .int()
  .min(1024)
  .max(1024 * MIB)
  .default(8 * MIB)
  .meta({
    description: `the longest answer to a call, and the longest event of a stream, in bytes; at most ${1024 * MIB}. Beyond it: \`answer_too_large\``,
  });

const breaker = z
  .strictObject({
    failures: positive.default(10).meta({ description: "calls without an answer in a row, until calls are refused" }),
    coolDownMs: positive
      .default(10_000)
      .meta({ description: "time for which calls are refused; then one call tries the server" }),
  })
  .prefault({});

/** What a server gets beside the credential. */
const headersSchema = {
  passthrough: z.boolean().default(false).meta({
    description:
      "`true`: errors and headers of a `direct` server pass as it wrote them, its login challenge among them ([what that means](adopt.md#passthrough))",
  }),
  headers: z.record(headerName, headerValue).default({}).meta({
    description:
      "fixed headers of every request to this server, its discovery included; no secrets: those are for `credential`. With `{claim:NAME}`, `{subject}` and the like a header says of each call whose it is ([credentials](credentials.md#what-a-token-says-of-its-caller)); discovery has none",
  }),
  passHeaders: z.array(headerName).max(32).default([]).meta({
    description:
      "names of the client's headers that reach this server, as `x-mcp-readonly`; others but the protocol's are dropped",
  }),
};

/** How its clients and their sessions are served. */
const clientSessionSchema = {
  sessions: z.enum(["client", "caller"]).default("client").meta({
    description:
      "who shares a session with it: `client`, one session of a client or else its token's client; `caller`, all of a user's clients",
  }),
  legacySse: z.boolean().default(false).meta({
    description:
      "for clients of HTTP+SSE (2024-11-05): `/servers/NAME/sse` beside its endpoint; needs `sessions` and `callRouting: broker`",
  }),
};

/** Its endpoint, and who may come to it without a token. */
const endpointSchema = {
  resource: resource.nullable().default(null).meta({
    description:
      "the `resource` of its endpoint's metadata, for an issuer that knows it by another name than its URL; accepted as an audience there, beside the URL",
    unset: "`challenge.resource`, or the endpoint's URL",
  }),
  apiKeys: z.array(z.string().min(1)).nullable().default(null).meta({
    description: "names of the only keys that open it; an empty list for none of them",
    unset: "all that name it, or no server",
  }),
  public: z.boolean().default(false).meta({
    description:
      "let callers without any credential in at its own endpoint, as `urn:mcp-authz:anonymous`; policy decides all the same ([callers](callers.md#public-servers))",
  }),
  allowQuery: z.boolean().default(false).meta({ description: "accept a query on its endpoint" }),
};

function serverSchema(file: FileSchema, credential: CredentialSchema) {
  return z.strictObject({
    url: httpUrl.meta({ description: "the server's MCP endpoint" }),
    prefix: z
      .string()
      .regex(/^[A-Za-z0-9_.-]{1,64}$/)
      .nullable()
      .default(null)
      .meta({ description: "before its tools' names on `/mcp`; no prefix may begin another", unset: "`<name>_`" }),
    callRouting: z.enum(["broker", "direct"]).nullable().default(null).meta({
      description:
        "`direct` only for a server that answers calls without a session; on `/mcp` calls are relayed all the same",
      unset: "as at the top",
    }),
    ...endpointSchema,
    timeoutMs: positive
      .default(30_000)
      .meta({ description: "time for the answer to a call; for a stream, its longest silence" }),
    ...curationSchema,
    maxResponseBytes,
    ...clientSessionSchema,
    caFile: file
      .nullable()
      .default(null)
      .meta({ description: "upstream TLS is always verified, CA and host name", unset: "the system's" }),
    breaker,
    ...headersSchema,
    credential: z
      .array(credential)
      .min(1, "an empty chain can never yield a credential; say [{none: {}}] for a server that wants none")
      .meta({ description: "tried in order; *has none* goes on to the next, *cannot tell* refuses" }),
    credentialHelp: helpText.nullable().default(null).meta({
      description:
        "said to a caller without a credential: a line of up to 300 characters, or an https URL ([credentials](credentials.md#a-caller-without-one))",
      unset: "none",
    }),
    discovery: z
      .array(credential)
      .min(1, "an empty chain can never yield a credential; say [{none: {}}] to list the server without one")
      .default([{ kind: "none", header: "authorization" }])
      .meta({
        description:
          "as whom the broker lists this server: `static` or `none`, in the form of `credential` ([lists](lists.md))",
        unset: "kind `none`",
      }),
  });
}
