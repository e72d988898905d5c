"""An MCP server of HTTP+SSE (2024-11-05) on the official Python SDK. Argument: its port."""

import sys

from mcp.server.mcpserver import MCPServer

server = MCPServer("python-sse")
count = 0


@server.tool()
def echo(text: str) -> str:
    """Echoes."""
    return text


server.run(transport="sse", port=int(sys.argv[1]))
