// Keys of a server that say what it offers, before policy is asked (docs/curation.md). Pure.
import { z } from "zod";
import { serverName } from "./values.ts";
import { isOrdinaryName } from "../../mcp/method-table.ts";
import { isPattern, isWildcard } from "../../mcp/name-pattern.ts";

/** Patterns of one list, and those with a `*` among them: each name is compared with every one of these. */
const MAX_PATTERNS = 1000;
const MAX_WILDCARDS = 64;

const FAULTS = {
  name: "is no pattern: 1 to 128 of A–Z a–z 0–9 _ . - / and * for any characters",
  uri: "is no pattern: 1 to 2048 characters of a URI, and * for any characters",
};

const toolName = z.string().refine(isOrdinaryName, "is no tool name: 1 to 128 of A–Z a–z 0–9 _ . - /");

export const patterns = (of: "name" | "uri") =>
  z
    .array(z.string().refine((text) => isPattern(text, of), FAULTS[of]))
    .max(MAX_PATTERNS)
    .refine((list) => list.filter(isWildcard).length <= MAX_WILDCARDS, `holds more than ${MAX_WILDCARDS} with a *`);

const filter = (of: "name" | "uri", what: string) =>
  z
    .strictObject({
      allow: patterns(of)
        .default(["*"])
        .meta({ description: `${what} that it offers; \`*\` stands for any characters` }),
      deny: patterns(of)
        .default([])
        .meta({ description: `${what} that it does not offer; wins over \`allow\`` }),
    })
    .prefault({});

export const virtualServersSchema = z
  .record(
    serverName,
    z.strictObject({
      servers: z
        .record(serverName, patterns("uri"))
        .refine((servers) => Object.keys(servers).length > 0, "name at least one server")
        .meta({
          description:
            "by server, the patterns of the tools, prompts and URIs that belong to it; they only narrow what the server offers",
        }),
    }),
  )
  .default({});

export const curationSchema = {
  tools: filter("name", "tools, by its own names,"),
  prompts: filter("name", "prompts"),
  resources: filter("uri", "URIs of resources, and texts of templates,"),
  newTools: z.enum(["policy", "deny"]).default("policy").meta({
    description:
      "`deny`: it offers only the tools that `tools.allow` names exactly, so one that appears later stays hidden and refused",
  }),
  aliases: z
    .record(toolName, toolName)
    .default({})
    .meta({ description: "by a tool's own name, the name that clients see; policy and audit have its own name" }),
  required: z
    .boolean()
    .default(false)
    .meta({ description: "the broker is not ready until it has listed this server once" }),
  disabled: z
    .boolean()
    .default(false)
    .meta({ description: "as if it were not in this file: its endpoint is 404, nothing of it is listed or printed" }),
};

export const searchSchema = z.boolean().default(false).meta({
  description:
    "`/mcp` and virtual servers show two tools, `search_tools` and `call_tool`; each use is judged as the tool that it names ([curation](curation.md#search-mode))",
});
