"""MCP clients for the matrix: client.py KIND, KIND = sdk | sdk-legacy | fastmcp.

Reads visits from standard input, one JSON object a line, and prints `visited {…}` for each: what each step said.
"""

import asyncio
import contextlib
import json
import sys

KIND = sys.argv[1]
STEP_SECONDS = 20
REFUSED_SECONDS = 10


async def visit(client, wanted):
    """Every step that the visit names, each for itself."""
    steps = {"call": client["call"](wanted["tool"], wanted["arguments"])}
    if "prompt" in wanted:
        steps["prompt"] = client["prompt"](wanted["prompt"])
    if "resource" in wanted:
        steps["resource"] = client["read"](wanted["resource"])
    if "ask" in wanted:
        steps["ask"] = client["call"](wanted["ask"], wanted["askArguments"])
    said = {"list": await settled(listed(client))}
    for name, step in steps.items():
        said[name] = await settled(step)
    if "calls" in wanted:
        called = [settled(client["call"](each["tool"], each["arguments"]), REFUSED_SECONDS) for each in wanted["calls"]]
        said["calls"] = [await each for each in called]
    return said


async def listed(client):
    return ",".join(await client["tools"]())


async def settled(step, seconds=STEP_SECONDS):
    try:
        return await asyncio.wait_for(step, seconds)
    except asyncio.TimeoutError:
        return "failed: no answer in time"
    except Exception as error:  # what a person would see, whatever the class
        return f"failed: {type(error).__name__} {error!s:.200}"


def texts(contents):
    return " ".join(str(getattr(each, "text", each)) for each in contents)


def calls(session):
    async def tools():
        listed = await session.list_tools()
        return [tool.name for tool in getattr(listed, "tools", listed)]

    async def call(name, arguments):
        result = await session.call_tool(name, arguments)
        failed = getattr(result, "isError", False) or getattr(result, "is_error", False)
        return ("error: " if failed else "") + texts(result.content)

    async def prompt(name):
        return texts([message.content for message in (await session.get_prompt(name)).messages])

    async def read(uri):
        from pydantic import AnyUrl

        found = await session.read_resource(AnyUrl(uri) if KIND == "sdk" and not hasattr(session, "mode") else uri)
        return texts(getattr(found, "contents", found))

    return {"tools": tools, "call": call, "prompt": prompt, "read": read}


def answer(schema):
    """A person who types Ada everywhere."""
    return {name: "Ada" for name in (schema or {}).get("properties", {})}


@contextlib.asynccontextmanager
async def with_fastmcp(url, headers):
    from fastmcp import Client
    from fastmcp.client.transports import SSETransport, StreamableHttpTransport

    async def elicited(message, response_type, params, context):
        schema = getattr(params, "requestedSchema", None) or getattr(params, "requested_schema", None)
        return response_type(**answer(schema)) if response_type else {}

    transport = SSETransport if url.endswith("/sse") else StreamableHttpTransport
    async with Client(transport(url, headers=headers), elicitation_handler=elicited) as client:
        yield client


@contextlib.asynccontextmanager
async def with_sdk_2(url, headers):
    import httpx2
    from mcp import Client
    from mcp.client.streamable_http import streamable_http_client
    from mcp_types import ElicitResult

    async def elicited(context, params):
        return ElicitResult(action="accept", content=answer(getattr(params, "requested_schema", None)))

    mode = "legacy" if KIND == "sdk-legacy" else "auto"
    async with httpx2.AsyncClient(headers=headers, timeout=30) as http:
        transport = streamable_http_client(url, http_client=http)
        async with Client(transport, mode=mode, elicitation_callback=elicited) as client:
            yield client


@contextlib.asynccontextmanager
async def with_sdk_1(url, headers):
    from mcp import ClientSession
    from mcp.client.sse import sse_client
    from mcp.client.streamable_http import streamablehttp_client
    from mcp.types import ElicitResult

    async def elicited(context, params):
        return ElicitResult(action="accept", content=answer(getattr(params, "requestedSchema", None)))

    open_streams = sse_client if url.endswith("/sse") else streamablehttp_client
    async with open_streams(url, headers=headers) as (read, write, *_):
        async with ClientSession(read, write, elicitation_callback=elicited) as session:
            await session.initialize()
            yield session


def opener():
    if KIND == "fastmcp":
        return with_fastmcp
    try:
        from mcp import Client  # noqa: F401
    except ImportError:
        return with_sdk_1
    return with_sdk_2


async def main():
    open_client = opener()
    for line in sys.stdin:
        wanted = json.loads(line)
        headers = {"Authorization": f"Bearer {wanted['token']}"} if wanted["token"] else {}
        said = {}
        try:
            async with asyncio.timeout(90):
                async with open_client(wanted["url"], headers) as client:
                    said = await visit(calls(client), wanted)
        except Exception as error:
            said.setdefault("list", f"failed: {type(error).__name__} {error!s:.300}")
        print("visited " + json.dumps(said), flush=True)


asyncio.run(main())
