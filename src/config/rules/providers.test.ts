// Issuers of known providers in forms in which no token of theirs would be accepted.
import { expect, it } from "vitest";
import type { Config } from "../schema.ts";
import { checkProviders } from "./providers.ts";

/** The keys that are warned of, and the words. */
function told(issuer: string, tokenType: "jwt" | "at+jwt" = "jwt"): Map<string, string> {
  const warned = new Map<string, string>();
  const config = { identity: { issuers: [{ issuer, tokenType }] } } as Config;
  checkProviders(config, {
    problem: expect.fail,
    warn: (key, message) => warned.set(key.replace(/^.*\]\./, ""), message),
  });
  return warned;
}

const TENANT = "3f6c0c1e-0000-4000-8000-000000000001";

it.each([
  [`https://login.microsoftonline.com/common/v2.0`, "names the tenant"],
  [`https://login.microsoftonline.com/organizations/v2.0`, "names the tenant"],
  [`https://login.microsoftonline.com/${TENANT}`, "/v2.0"],
  [`https://login.microsoftonline.com/${TENANT}/`, "sts.windows.net"],
  [`https://login.microsoftonline.com/${TENANT}/v2.0/`, "/v2.0"],
  [`https://login.microsoftonline.us/${TENANT}`, "/v2.0"],
  [`https://sts.windows.net/${TENANT}`, "a slash at its end"],
  ["https://acme.eu.auth0.com", "a slash at its end"],
  ["https://acme.okta.com", "custom one"],
  ["https://acme.oktapreview.com/", "custom one"],
])("%s: %s", (issuer, words) => {
  const warned = told(issuer);
  expect([...warned.keys()]).toEqual(["issuer"]);
  expect(warned.get("issuer")).toContain(words);
});

it.each([
  `https://login.microsoftonline.com/${TENANT}/v2.0`,
  `https://sts.windows.net/${TENANT}/`,
  "https://acme.okta.com/oauth2/default",
  "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Example1",
  "https://accounts.google.com",
])("%s with at+jwt: no token of it says so", (issuer) => {
  expect([...told(issuer, "at+jwt").keys()]).toEqual(["tokenType"]);
  expect(told(issuer).size).toBe(0);
});

it.each([
  "https://acme.eu.auth0.com/",
  "https://idp.example.com/realms/common",
  "https://auth.pingone.eu/7c3a/as",
  "https://login.microsoftonline.com.evil.example/common",
  "https://notokta.com",
])("%s is as it may be", (issuer) => {
  expect(told(issuer).size).toBe(0);
  expect(told(issuer, "at+jwt").size).toBe(0);
});
