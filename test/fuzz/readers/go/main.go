// How Go reads JSON texts (as float64, as json.Number, and into a struct with the protocol's names) and URIs. One child for
// the fuzz driver, see test/fuzz/driver.ts.
package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"net/url"
	"os"
	"sort"
	"strconv"
	"strings"
)

const refused = 0xffffffff

// params and message are what a server of Go declares: encoding/json matches their names without regard to case.
type params struct {
	Name      any `json:"name"`
	URI       any `json:"uri"`
	Arguments any `json:"arguments"`
}

type message struct {
	JSONRPC any     `json:"jsonrpc"`
	ID      any     `json:"id"`
	Method  any     `json:"method"`
	Params  *params `json:"params"`
}

// decimalForm is the exact shortest decimal of a number, as digits and an exponent.
func decimalForm(text string) string {
	sign := ""
	if strings.HasPrefix(text, "-") {
		sign, text = "-", text[1:]
	}
	exponent := 0
	if at := strings.IndexAny(text, "eE"); at >= 0 {
		exponent, _ = strconv.Atoi(text[at+1:])
		text = text[:at]
	}
	whole, fraction, _ := strings.Cut(text, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	kept := strings.TrimRight(digits, "0")
	if kept == "" {
		return "#0e0;"
	}
	return "#" + sign + kept + "e" + strconv.Itoa(exponent-len(fraction)+len(digits)-len(kept)) + ";"
}

var escaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

func writeText(out *bytes.Buffer, text string) {
	out.WriteByte('"')
	if strings.ContainsAny(text, `\"`) {
		text = escaper.Replace(text)
	}
	out.WriteString(text)
	out.WriteByte('"')
}

func write(out *bytes.Buffer, value any) {
	switch v := value.(type) {
	case nil:
		out.WriteByte('z')
	case bool:
		if v {
			out.WriteByte('t')
		} else {
			out.WriteByte('f')
		}
	case string:
		writeText(out, v)
	case float64:
		out.WriteString(decimalForm(strconv.FormatFloat(v, 'e', -1, 64)))
	case json.Number:
		out.WriteString(decimalForm(string(v)))
	case []any:
		out.WriteByte('[')
		for _, item := range v {
			write(out, item)
		}
		out.WriteByte(']')
	case map[string]any:
		names := make([]string, 0, len(v))
		for name := range v {
			names = append(names, name)
		}
		sort.Strings(names)
		out.WriteByte('{')
		for _, name := range names {
			writeText(out, name)
			write(out, v[name])
		}
		out.WriteByte('}')
	}
}

func decoded(text []byte, into any) bool {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if decoder.Decode(into) != nil {
		return false
	}
	_, err := decoder.Token()
	return err == io.EOF
}

func form(value any) []byte {
	var out bytes.Buffer
	write(&out, value)
	return out.Bytes()
}

func readJSON(text []byte) [3][]byte {
	var forms [3][]byte
	var value any
	if json.Unmarshal(text, &value) == nil {
		forms[0] = form(value)
	}
	var exact any
	if decoded(text, &exact) {
		forms[1] = form(exact)
	}
	var typed message
	if decoded(text, &typed) {
		p := typed.Params
		if p == nil {
			p = &params{}
		}
		forms[2] = form([]any{typed.JSONRPC, typed.ID, typed.Method, p.Name, p.URI, p.Arguments})
	}
	return forms
}

func uriForm(u *url.URL) []byte {
	authority := u.Host
	if u.User != nil {
		authority = u.User.String() + "@" + authority
	}
	path := u.EscapedPath()
	if u.Opaque != "" {
		path = u.Opaque
	}
	return []byte(strings.Join([]string{u.Scheme, authority, path, u.RawQuery, u.EscapedFragment()}, "\n"))
}

func readURI(text []byte) [3][]byte {
	var forms [3][]byte
	u, err := url.Parse(string(text))
	if err != nil {
		return forms
	}
	forms[0] = uriForm(u)
	base, _ := url.Parse("file:///base/base")
	forms[1] = uriForm(base.ResolveReference(u))
	// What a program takes as the path: escapes are gone, so an escaped slash is one more segment.
	if u.Opaque == "" {
		forms[2] = []byte(u.Path)
	}
	return forms
}

func answer(sink *bufio.Writer, forms [3][]byte) {
	var head [4]byte
	for _, form := range forms {
		if form == nil {
			binary.LittleEndian.PutUint32(head[:], refused)
		} else {
			binary.LittleEndian.PutUint32(head[:], uint32(len(form)))
		}
		sink.Write(head[:])
		sink.Write(form)
	}
}

func main() {
	source, sink := bufio.NewReaderSize(os.Stdin, 1<<16), bufio.NewWriterSize(os.Stdout, 1<<16)
	var head [5]byte
	for {
		if _, err := io.ReadFull(source, head[:]); err != nil {
			return
		}
		text := make([]byte, binary.LittleEndian.Uint32(head[1:]))
		if _, err := io.ReadFull(source, text); err != nil {
			return
		}
		if head[0]&0x7f == 1 {
			answer(sink, readJSON(text))
		} else {
			answer(sink, readURI(text))
		}
		if head[0]&0x80 != 0 {
			sink.Flush()
		}
	}
}
