package api

import (
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

var update = flag.Bool("update", false, "write docs/api-reference.md")

const referencePage = "../../docs/api-reference.md"

// The reference says what the document says: go test ./handlers/api -run Reference -update.
func TestReference(t *testing.T) {
	t.Parallel()
	want := reference(Load())
	if *update {
		if err := os.WriteFile(referencePage, want, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(referencePage)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want) {
		t.Errorf("%s is not what openapi.yaml says; run go test ./handlers/api -run Reference -update", referencePage)
	}
}

// The page itself, of a document that has one of everything.
func TestReferencePage(t *testing.T) {
	t.Parallel()
	d, err := parse([]byte(`
openapi: 3.0.3
info: {title: Things, version: "1", description: About things.}
tags: [{name: Things, description: All of them.}]
paths:
  /things/{id}:
    post:
      operationId: makeThing
      tags: [Things]
      summary: Make a thing
      description: |
        It stays a thing.
      x-permission: things:write
      x-within: true
      x-errors: [not_found]
      parameters:
        - {name: id, in: path, required: true, schema: {type: string}}
        - {name: limit, in: query, description: How many., schema: {type: integer, minimum: 1, maximum: 100, default: 25}}
      requestBody: {required: true, content: {application/json: {schema: {$ref: "#/components/schemas/Thing"}}}}
      responses:
        "200": {description: The thing., content: {application/json: {schema: {$ref: "#/components/schemas/Thing"}}}}
components:
  schemas:
    Thing:
      type: object
      description: A thing.
      example: {kind: a}
      required: [kind]
      properties:
        kind: {type: string, enum: [a, b], description: Which one.}
        parts: {type: array, items: {$ref: "#/components/schemas/Thing"}}
    Problem:
      type: object
      properties: {code: {type: string, x-problems: {not_found: {status: 404, title: Not there}, invalid_token: {status: 401, title: Who?}}}}
x-common-errors: [invalid_token]
`))
	if err != nil {
		t.Fatal(err)
	}
	page := string(reference(d))
	for _, want := range []string{
		"# Things", "## Things\n\nAll of them.", "### Make a thing\n\n    POST /api/v1/things/{id}\n\nIt stays a thing.\n",
		"Permission `things:write`; held within one organization it reaches that organization.",
		"| `limit` | query | integer, 1 to 100, 25 where not given | How many. |",
		"Body: [Thing](#thing).", "Answer: `200`, [Thing](#thing). The thing.", "Problems: `not_found`.",
		"### Thing\n\nA thing.", "| `kind` | `a` or `b`, always | Which one. |", "```json\n{\n  \"kind\": \"a\"\n}\n```", "| `parts` | list of [Thing](#thing) | |",
		"| `invalid_token` | 401 | Who? | any operation |", "| `not_found` | 404 | Not there | |",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is not in\n%s", want, page)
		}
	}
}

// reference renders a document.
func reference(d *Document) []byte {
	var b bytes.Buffer
	say := func(format string, args ...any) { fmt.Fprintf(&b, format, args...) }
	say("# %s: reference\n\n", strings.TrimSpace(d.Info.Title))
	say("<!-- generated from handlers/api/openapi.yaml; go test ./handlers/api -run Reference -update -->\n\n")
	say("[api.md](api.md) says how to authenticate, page and retry. All times are RFC 3339 in UTC.\n\n%s\n", strings.TrimSpace(d.Info.Description))
	for _, tag := range d.Tags {
		say("\n## %s\n\n%s\n", tag.Name, tag.Description)
		for _, o := range d.Operations {
			if slices.Contains(o.Route.Operation.Tags, tag.Name) {
				describe(say, o)
			}
		}
	}
	say("\n## Objects\n")
	for _, name := range slices.Sorted(maps.Keys(d.Components.Schemas)) {
		schema := d.Components.Schemas[name].Value
		if members := membersOf(schema); len(members) > 0 {
			say("\n### %s\n", name)
			if schema.Description != "" {
				say("\n%s\n", schema.Description)
			}
			say("\n| member | | |\n|---|---|---|\n")
			for _, m := range members {
				say("| `%s` | %s%s | %s\n", m.name, kindOf(m.schema), map[bool]string{true: ", always"}[m.always], last(m.schema.Value.Description))
			}
			if schema.Example != nil {
				example, err := json.MarshalIndent(schema.Example, "", "  ")
				if err != nil { // it was read as JSON
					panic(err)
				}
				say("\n```json\n%s\n```\n", example)
			}
		}
	}
	say("\n## Headers of answers\n\n| header | | |\n|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(d.Components.Headers)) {
		if h := d.Components.Headers[name].Value; h.Example != nil || !h.Required {
			say("| `%s` | %s%s | %s\n", name, kindOf(h.Schema), map[bool]string{true: ", always"}[h.Required], last(h.Description))
		}
	}
	say("\n## Problems\n\nThe `code` of each, the status that it comes with, and its `title`.\n\n| code | status | title | |\n|---|---|---|---|\n")
	codes := slices.SortedFunc(maps.Keys(d.Problems), func(a, b string) int {
		return cmp.Or(cmp.Compare(d.Problems[a].Status, d.Problems[b].Status), strings.Compare(a, b))
	})
	for _, code := range codes {
		where := ""
		if slices.Contains(d.CommonErrors, code) {
			where = "any operation"
		}
		say("| `%s` | %d | %s | %s\n", code, d.Problems[code].Status, d.Problems[code].Title, last(where))
	}
	return b.Bytes()
}

// last is the last cell of a row, and its end.
func last(text string) string {
	if text == "" {
		return "|"
	}
	return strings.ReplaceAll(strings.TrimSpace(text), "\n", " ") + " |"
}

func describe(say func(string, ...any), o *Operation) {
	operation := o.Route.Operation
	say("\n### %s\n\n    %s %s%s\n\n", operation.Summary, o.Method, Prefix, o.Path)
	if operation.Description != "" {
		say("%s\n\n", strings.TrimSpace(operation.Description))
	}
	say("Permission `%s`", o.Permission)
	if o.Within {
		say("; held within one organization it reaches that organization")
	}
	say(".\n")
	heading := "\n| parameter | in | | |\n|---|---|---|---|\n"
	for _, p := range operation.Parameters {
		if p.Value.In == openapi3.ParameterInQuery {
			say("%s| `%s` | query | %s | %s\n", heading, p.Value.Name, kindOf(p.Value.Schema), last(p.Value.Description))
			heading = ""
		}
	}
	if operation.RequestBody != nil {
		body := operation.RequestBody.Value
		say("\nBody%s: %s.\n", map[bool]string{false: ", if any"}[body.Required], kindOf(body.Content.Get("application/json").Schema))
	}
	statuses := slices.Sorted(maps.Keys(operation.Responses.Map()))
	for _, status := range statuses {
		response := operation.Responses.Value(status).Value
		if status == "default" {
			continue
		}
		say("\nAnswer: `%s`", status)
		for _, content := range response.Content {
			say(", %s", kindOf(content.Schema))
		}
		say(". %s\n", *response.Description)
	}
	if len(o.Errors) > 0 {
		say("\nProblems: `%s`.\n", strings.Join(o.Errors, "`, `"))
	}
}

type member struct {
	name   string
	schema *openapi3.SchemaRef
	always bool
}

// membersOf returns the members of an object, those that are always there first.
func membersOf(schema *openapi3.Schema) (all []member) {
	for _, part := range schema.AllOf {
		all = append(all, membersOf(part.Value)...)
	}
	for name, property := range schema.Properties {
		all = append(all, member{name, property, slices.Contains(schema.Required, name)})
	}
	slices.SortFunc(all, func(a, b member) int {
		if a.always != b.always {
			return map[bool]int{true: -1, false: 1}[a.always]
		}
		return strings.Compare(a.name, b.name)
	})
	return all
}

// kindOf says what values are.
func kindOf(ref *openapi3.SchemaRef) string {
	schema := ref.Value
	if name, ok := strings.CutPrefix(ref.Ref, "#/components/schemas/"); ok && len(membersOf(schema)) > 0 {
		return fmt.Sprintf("[%s](#%s)", name, strings.ToLower(name))
	}
	var said []string
	switch {
	case len(schema.Enum) > 0:
		var values []string
		for _, v := range schema.Enum {
			values = append(values, fmt.Sprintf("`%v`", v))
		}
		end := len(values) - 1
		said = append(said, strings.TrimPrefix(strings.Join(values[:end], ", ")+" or "+values[end], " or "))
	case schema.Type.Is("array"):
		said = append(said, "list of "+kindOf(schema.Items))
	case schema.Format == "date-time":
		said = append(said, "time")
	case schema.Type.Is("object"):
		said = append(said, "object")
	case schema.Type.Is("string"):
		said = append(said, "text")
	case schema.Type != nil:
		said = append(said, strings.Join(schema.Type.Slice(), " or "))
	default:
		said = append(said, "any value")
	}
	if schema.Min != nil && schema.Max != nil {
		said = append(said, fmt.Sprintf("%v to %v", *schema.Min, *schema.Max))
	}
	if schema.MaxLength != nil {
		said = append(said, fmt.Sprintf("up to %d characters", *schema.MaxLength))
	}
	if schema.Default != nil {
		said = append(said, fmt.Sprintf("%v where not given", schema.Default))
	}
	if schema.Nullable {
		said = append(said, "or null")
	}
	return strings.Join(said, ", ")
}
