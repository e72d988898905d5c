// Finds the `jwks_uri` of an issuer by its metadata documents. I/O through the fetcher that is passed in.
import { describeFault, fetchDocument, type Fetch, type FetchedDocument } from "../http/fetch-document.ts";
import { HttpFault } from "../http/fault.ts";
import { jwksUriOf, metadataUrls, type KeysPlace } from "./issuer-urls.ts";

export interface DiscoveredIssuer {
  readonly issuer: string;
  readonly allowedHosts: readonly string[];
}

/**
 * Returns the `jwks_uri` in the first of the issuer's metadata documents that has an acceptable one.
 * @throws {Error} with a short reason: the fault of a document that could be read, else that of the last fetch
 */
export async function findJwksUri({ issuer, allowedHosts }: DiscoveredIssuer, fetcher: Fetch): Promise<KeysPlace> {
  let unread = "no metadata";
  let refused: string | null = null;
  for (const url of new Set(metadataUrls(issuer))) {
    const document = await fetchDocument(fetcher, url).catch(describeFault);
    if (typeof document === "string") {
      unread = document;
      continue;
    }
    const found = jwksUriOf(document.bytes, issuer, allowedHosts);
    if (typeof found !== "string") return found;
    refused ??= found;
  }
  throw new Error(refused ?? unread);
}

/** Fetches the key set from the place that a document named. @throws {Error} with a short reason */
export async function fetchKeysAt({ url, chosenBy }: KeysPlace, fetcher: Fetch): Promise<FetchedDocument> {
  try {
    return await fetchDocument(fetcher, url, chosenBy);
  } catch (error) {
    if (!(error instanceof HttpFault) || error.systemCode !== "PRIVATE_ADDRESS") throw error;
    throw new Error("jwks_uri leads to a private address; if it is meant, name its host in outgoing.allow", {
      cause: error,
    });
  }
}
