import { describeFault, fetchDocument, type Fetch } from "../http/fetch-document.ts";
import { jwksUriOf, metadataUrls } from "./issuer-urls.ts";

export interface DiscoveredIssuer {
  readonly issuer: string;
  readonly allowedHosts: readonly string[];
}

/**
 * Where an issuer's keys are, by the first of its metadata documents that says so.
 * @throws {Error} with a short reason; a document that was refused tells more than a 404 at one of the other places
 */
export async function findJwksUri({ issuer, allowedHosts }: DiscoveredIssuer, fetcher: Fetch): Promise<string> {
  let unread = "no metadata";
  let refused: string | null = null;
  for (const url of new Set(metadataUrls(issuer))) {
    const document = await fetchDocument(fetcher, url).catch(describeFault);
    if (typeof document === "string") {
      unread = document;
      continue;
    }
    const found = jwksUriOf(document.bytes, issuer, allowedHosts);
    if (typeof found !== "string") return found.url;
    refused ??= found;
  }
  throw new Error(refused ?? unread);
}
