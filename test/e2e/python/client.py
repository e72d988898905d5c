"""An MCP client on the official Python SDK, from nothing but a URL.

Prints `authorize URL`, reads the callback URL from standard input, then prints `result {…}`.
"""

import asyncio
import json
import sys
from urllib.parse import parse_qs, urlparse

import httpx2
from mcp import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider, TokenStorage
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientMetadata

URL = sys.argv[1]
REDIRECT = "http://127.0.0.1:33418/callback"


class Memory(TokenStorage):
    def __init__(self):
        self.tokens = None
        self.client = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client_info):
        self.client = client_info


async def ask(url):
    print(f"authorize {url}", flush=True)


async def answer():
    line = await asyncio.to_thread(sys.stdin.readline)
    query = parse_qs(urlparse(line.strip()).query)
    first = lambda name: query.get(name, [None])[0]
    return AuthorizationCodeResult(code=first("code"), state=first("state"), iss=first("iss"))


async def call(client, name, arguments):
    try:
        result = await client.call_tool(name, arguments)
        return result.content[0].text
    except Exception as error:  # the demo's words, whatever the class
        return f"refused: {error}"


async def main():
    metadata = OAuthClientMetadata(
        client_name="python test client",
        redirect_uris=[REDIRECT],
        grant_types=["authorization_code", "refresh_token"],
        response_types=["code"],
        token_endpoint_auth_method="none",
    )
    auth = OAuthClientProvider(URL, metadata, Memory(), redirect_handler=ask, callback_handler=answer)
    async with httpx2.AsyncClient(auth=auth, timeout=30) as http:
        async with Client(streamable_http_client(URL, http_client=http)) as client:
            listed = await client.list_tools()
            result = {
                "tools": sorted(tool.name for tool in listed.tools),
                "called": await call(client, "echo", {"text": "héllo"}),
                "hidden": await call(client, "delete_repo", {"name": "x"}),
            }
    print("result " + json.dumps(result, ensure_ascii=False), flush=True)


asyncio.run(main())
