"""An MCP server for the matrix: server.py KIND PORT, KIND = fastmcp | fastmcp-stateless | sdk | sdk-stateless.

A tool, a tool that asks the person, a prompt and a resource, on whichever MCP SDK this Python has.
"""

import sys

from pydantic import BaseModel

KIND, PORT = sys.argv[1], int(sys.argv[2])
STATELESS = KIND.endswith("-stateless")


class Name(BaseModel):
    name: str


def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


def greeting() -> str:
    """A greeting."""
    return "Greet everybody."


def note() -> str:
    """A note."""
    return "a note of the server"


def register(server, tool):
    tool(add)
    tool(ask)
    server.prompt()(greeting)
    server.resource("note://one")(note)


if KIND.startswith("fastmcp"):
    from fastmcp import Context, FastMCP

    async def ask(ctx: Context) -> str:
        """Asks for a name."""
        answer = await ctx.elicit("Your name?", response_type=Name)
        return f"asked: {answer.data.name}" if answer.action == "accept" else f"asked: {answer.action}"

    server = FastMCP("python")
    register(server, server.tool)
    run = lambda: server.run(transport="http", host="127.0.0.1", port=PORT, stateless_http=STATELESS, show_banner=False)
else:
    try:
        from mcp.server import MCPServer as Server
        from mcp.server.mcpserver import Context

        place = {}
        late = {"host": "127.0.0.1", "port": PORT, "stateless_http": STATELESS}
    except ImportError:
        from mcp.server.fastmcp import Context, FastMCP as Server

        place = {"host": "127.0.0.1", "port": PORT, "stateless_http": STATELESS}
        late = {}

    async def ask(ctx: Context) -> str:
        """Asks for a name."""
        answer = await ctx.elicit("Your name?", schema=Name)
        return f"asked: {answer.data.name}" if answer.action == "accept" else f"asked: {answer.action}"

    server = Server("python", **place)
    register(server, server.tool())
    run = lambda: server.run(transport="streamable-http", **late)

print(f"listening on {PORT}", flush=True)
run()
