// Finds the `jwks_uri` of an issuer by its metadata documents. I/O through the fetcher that is passed in.
import { describeFault, fetchDocument, type Fetch } from "../http/fetch-document.ts";
import { jwksUriOf, metadataUrls } from "./issuer-urls.ts";

export interface DiscoveredIssuer {
  readonly issuer: string;
  readonly allowedHosts: readonly string[];
}

/**
 * Returns the `jwks_uri` in the first of the issuer's metadata documents that has an acceptable one.
 * @throws {Error} with a short reason: the fault of a document that could be read, else that of the last fetch
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
