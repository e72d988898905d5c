// The demo provider's login: a page on which a person chooses who she is. No passwords, so for the demo only.
import type { IncomingMessage, ServerResponse } from "node:http";
import type Provider from "oidc-provider";
import { interactionPolicy, type Configuration, type KoaContextWithOIDC } from "oidc-provider";

export interface Person {
  readonly name: string;
  /** What the page says of her. */
  readonly about: string;
}

const PATH = /^\/login\/([A-Za-z0-9_-]{1,64})$/;

/** The part of the provider's configuration that sends people to our page, and grants what they logged in for. */
export function loginConfiguration(): Pick<Configuration, "interactions" | "loadExistingGrant"> {
  const { base, Check } = interactionPolicy;
  const policy = base();
  // Asked every time: with a remembered session nobody could change from alice to bob.
  const choose = new Check("choose", "the demo asks each time", (ctx: KoaContextWithOIDC) =>
    ctx.oidc.result?.login === undefined ? Check.REQUEST_PROMPT : Check.NO_NEED_TO_PROMPT,
  );
  policy.get("login")?.checks.add(choose);
  return {
    interactions: { policy, url: (_ctx, interaction) => `/login/${interaction.uid}` },
    loadExistingGrant: grantAll,
  };
}

/** Consent without a second page: everything that the client asks for and the resource has. */
async function grantAll(ctx: KoaContextWithOIDC) {
  const { client, session, provider, params } = ctx.oidc;
  if (!client || !session?.accountId) return undefined;
  const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
  const scope = typeof params?.["scope"] === "string" ? params["scope"] : "";
  grant.addOIDCScope(scope);
  for (const [indicator, server] of Object.entries(ctx.oidc.resourceServers ?? {}))
    grant.addResourceScope(indicator, server.scope ?? "");
  await grant.save();
  return grant;
}

/** Answers the login page and its form; false for any other path. */
export function createLogin(provider: Provider, people: Readonly<Record<string, Person>>) {
  return async (request: IncomingMessage, response: ServerResponse): Promise<boolean> => {
    const uid = PATH.exec(request.url ?? "")?.[1];
    if (uid === undefined) return false;
    try {
      const { params } = await provider.interactionDetails(request, response);
      if (request.method !== "POST") {
        send(response, 200, page(people, String(params["resource"] ?? "")));
        return true;
      }
      const person = new URLSearchParams(await readForm(request)).get("person") ?? "";
      if (!Object.hasOwn(people, person)) {
        send(response, 400, message("Choose one of the people on the page."));
        return true;
      }
      const result = { login: { accountId: person, remember: false }, consent: {} };
      await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
    } catch {
      send(response, 400, message("This login is over. Start it again from your MCP client."));
    }
    return true;
  };
}

function send(response: ServerResponse, status: number, html: string): void {
  response
    .writeHead(status, {
      "content-type": "text/html; charset=utf-8",
      "cache-control": "no-store",
      "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    })
    .end(html);
}

async function readForm(request: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of request) {
    text += String(chunk);
    if (text.length > 1000) throw new Error("too long");
  }
  return text;
}

function page(people: Readonly<Record<string, Person>>, resource: string): string {
  const buttons = Object.entries(people).map(
    ([id, { name, about }]) =>
      `<button name="person" value="${escape(id)}"><b>${escape(name)}</b><span>${escape(about)}</span></button>`,
  );
  const what = resource === "" ? "the gateway" : `<code>${escape(resource)}</code>`;
  return layout(`<h1>Who are you?</h1><p>An MCP client wants to use ${what}. This is a demo: there are no passwords.</p>
<form method="post">${buttons.join("")}</form>`);
}

function message(text: string): string {
  return layout(`<h1>mcp-authz demo</h1><p>${escape(text)}</p>`);
}

function layout(body: string): string {
  return `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>mcp-authz demo login</title><style>
body{font:16px/1.5 system-ui,sans-serif;max-width:30rem;margin:10vh auto;padding:0 1rem;color:#1c1c1c}
button{display:block;width:100%;margin:.75rem 0;padding:.9rem 1rem;text-align:left;font:inherit;border:1px solid #999;
border-radius:.5rem;background:#fff;cursor:pointer}button:hover,button:focus{border-color:#06c;background:#f3f8ff}
span{display:block;color:#555}code{word-break:break-all}</style>${body}</html>
`;
}

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}
