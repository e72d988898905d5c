module mcp-authz/fuzz-reader

go 1.22
