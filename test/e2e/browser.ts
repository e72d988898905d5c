// A browser for tests: follows a login from the authorization URL to the client's callback, with cookies, and presses a
// person's button on the demo's login page.

const MAX_STEPS = 10;

/**
 * Logs a person in.
 * @returns the callback URL with `code` and `state`, not yet visited
 */
export async function logIn(authorizationUrl: string, person: string): Promise<URL> {
  const cookies = new Map<string, string>();
  const { origin } = new URL(authorizationUrl);
  let url = new URL(authorizationUrl);
  let form: string | null = null;
  for (let step = 0; step < MAX_STEPS; step += 1) {
    const response = await fetch(url, {
      method: form === null ? "GET" : "POST",
      redirect: "manual",
      headers: {
        cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join("; "),
        ...(form !== null && { "content-type": "application/x-www-form-urlencoded" }),
      },
      ...(form !== null && { body: form }),
    });
    form = null;
    for (const line of response.headers.getSetCookie()) remember(cookies, line);
    const location = response.headers.get("location");
    const page = await response.text();
    if (location !== null) {
      url = new URL(location, url);
      if (url.origin !== origin) return url;
    } else if (page.includes(`value="${person}"`)) form = new URLSearchParams({ person }).toString();
    else throw new Error(`no way on at ${url.pathname}: ${response.status} ${page.slice(0, 300)}`);
  }
  throw new Error("the login does not end");
}

function remember(cookies: Map<string, string>, line: string): void {
  const [pair = "", ...attributes] = line.split(";");
  const cut = pair.indexOf("=");
  const expired = attributes.some((attribute) => /^\s*expires=.*1970/i.test(attribute));
  if (expired) cookies.delete(pair.slice(0, cut));
  else cookies.set(pair.slice(0, cut), pair.slice(cut + 1));
}
