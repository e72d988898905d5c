# Everybody may use everything but one tool.
package mcp.authz

allow if input.mcp.name != "delete_repo"
