# Everybody may use everything: the suite measures what is lost on the way. Three names need a scope, for the tests of
# authorization.
package mcp.authz

allow := true

needs_write := {
	"test_audio_content",
	"test://static-binary",
	"test_prompt_with_image",
}

required_scopes contains "mcp:write" if input.mcp.name in needs_write
