// An MCP client for the matrix on the Go SDK. It reads visits from standard input, one JSON object a line, and prints
// `visited {…}` for each: what each step said.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

type visit struct {
	URL          string         `json:"url"`
	Token        string         `json:"token"`
	Tool         string         `json:"tool"`
	Arguments    map[string]any `json:"arguments"`
	Prompt       string         `json:"prompt"`
	Resource     string         `json:"resource"`
	Ask          string         `json:"ask"`
	AskArguments map[string]any `json:"askArguments"`
	Calls        []toolCall     `json:"calls"`
}

type toolCall struct {
	Tool      string         `json:"tool"`
	Arguments map[string]any `json:"arguments"`
}

type bearer struct{ token string }

func (b bearer) RoundTrip(request *http.Request) (*http.Response, error) {
	if b.token != "" {
		request = request.Clone(request.Context())
		request.Header.Set("Authorization", "Bearer "+b.token)
	}
	return http.DefaultTransport.RoundTrip(request)
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var wanted visit
		if err := json.Unmarshal(lines.Bytes(), &wanted); err != nil {
			panic(err)
		}
		said, _ := json.Marshal(run(wanted))
		fmt.Printf("visited %s\n", said)
	}
}

func run(wanted visit) map[string]any {
	said := map[string]any{}
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	client := mcp.NewClient(&mcp.Implementation{Name: "matrix", Version: "1"}, &mcp.ClientOptions{ElicitationHandler: answer})
	transport := &mcp.StreamableClientTransport{Endpoint: wanted.URL, HTTPClient: &http.Client{Transport: bearer{wanted.Token}}}
	session, err := client.Connect(ctx, transport, nil)
	if err != nil {
		said["list"] = "failed: " + err.Error()
		return said
	}
	defer session.Close()
	settled := func(do func(context.Context) (string, error), limit time.Duration) string {
		limited, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		text, err := do(limited)
		if limited.Err() != nil {
			return "failed: no answer in time"
		}
		if err != nil {
			return "failed: " + err.Error()
		}
		return text
	}
	step := func(name string, do func(context.Context) (string, error)) {
		said[name] = settled(do, 20*time.Second)
	}
	call := func(name string, arguments map[string]any) func(context.Context) (string, error) {
		return func(ctx context.Context) (string, error) {
			result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: name, Arguments: arguments})
			if err != nil {
				return "", err
			}
			if result.IsError {
				return "error: " + textsOf(result.Content), nil
			}
			return textsOf(result.Content), nil
		}
	}
	step("list", func(ctx context.Context) (string, error) {
		listed, err := session.ListTools(ctx, nil)
		if err != nil {
			return "", err
		}
		var names []string
		for _, tool := range listed.Tools {
			names = append(names, tool.Name)
		}
		return strings.Join(names, ","), nil
	})
	step("call", call(wanted.Tool, wanted.Arguments))
	if wanted.Prompt != "" {
		step("prompt", func(ctx context.Context) (string, error) {
			result, err := session.GetPrompt(ctx, &mcp.GetPromptParams{Name: wanted.Prompt})
			if err != nil {
				return "", err
			}
			var contents []mcp.Content
			for _, message := range result.Messages {
				contents = append(contents, message.Content)
			}
			return textsOf(contents), nil
		})
	}
	if wanted.Resource != "" {
		step("resource", func(ctx context.Context) (string, error) {
			result, err := session.ReadResource(ctx, &mcp.ReadResourceParams{URI: wanted.Resource})
			if err != nil {
				return "", err
			}
			var texts []string
			for _, content := range result.Contents {
				texts = append(texts, content.Text)
			}
			return strings.Join(texts, " "), nil
		})
	}
	if wanted.Ask != "" {
		step("ask", call(wanted.Ask, wanted.AskArguments))
	}
	if wanted.Calls != nil {
		var calls []string
		for _, each := range wanted.Calls {
			calls = append(calls, settled(call(each.Tool, each.Arguments), 10*time.Second))
		}
		said["calls"] = calls
	}
	return said
}

// A person who types Ada everywhere.
func answer(_ context.Context, request *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
	content := map[string]any{}
	schema, _ := json.Marshal(request.Params.RequestedSchema)
	var form struct {
		Properties map[string]any `json:"properties"`
	}
	_ = json.Unmarshal(schema, &form)
	for name := range form.Properties {
		content[name] = "Ada"
	}
	return &mcp.ElicitResult{Action: "accept", Content: content}, nil
}

func textsOf(contents []mcp.Content) string {
	var texts []string
	for _, content := range contents {
		if text, ok := content.(*mcp.TextContent); ok {
			texts = append(texts, text.Text)
		}
	}
	return strings.Join(texts, " ")
}
