package ossldtls_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// parseFiles parses the Go files of a folder that the filter takes.
func parseFiles(t *testing.T, dir string, filter func(name string) bool) (*token.FileSet, []*ast.File) {
	t.Helper()
	fset := token.NewFileSet()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	var files []*ast.File
	for _, name := range names {
		if filter(filepath.Base(name)) {
			file, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
			require.NoError(t, err)
			files = append(files, file)
		}
	}
	return fset, files
}

// Every exported name of the packages that programs use has a doc comment and is
// used in an Example; every method that stands for one of Qt's or OpenSSL's says so.
func TestEveryNameIsDocumentedAndInAnExample(t *testing.T) {
	for _, dir := range []string{"openssl", "verifier", "dtls"} {
		used := map[string]bool{}
		_, examples := parseFiles(t, dir, func(name string) bool { return strings.HasPrefix(name, "example_") })
		require.NotEmpty(t, examples, dir)
		for _, file := range examples {
			ast.Inspect(file, func(n ast.Node) bool {
				if id, ok := n.(*ast.Ident); ok {
					used[id.Name] = true
				}
				return true
			})
		}
		fset, files := parseFiles(t, dir, func(name string) bool { return !strings.HasSuffix(name, "_test.go") })
		pkg, err := doc.NewFromFiles(fset, files, dir)
		require.NoError(t, err)
		assert.NotEmpty(t, pkg.Doc, dir)
		check := func(name, text string, exempt bool) {
			assert.NotEmpty(t, strings.TrimSpace(text), "%s.%s has no doc comment", dir, name)
			last := name[strings.LastIndex(name, ".")+1:]
			assert.True(t, used[last] || exempt, "%s.%s is in no Example", dir, name)
		}
		values := func(all []*doc.Value) {
			for _, v := range all {
				for _, spec := range v.Decl.Specs {
					spec := spec.(*ast.ValueSpec)
					for _, name := range spec.Names {
						if name.IsExported() {
							check(name.Name, v.Doc+spec.Doc.Text()+spec.Comment.Text(), false)
						}
					}
				}
			}
		}
		values(pkg.Consts)
		values(pkg.Vars)
		funcs := func(prefix string, all []*doc.Func) {
			for _, f := range all {
				// Called by fmt and errors, not by name.
				implicit := f.Name == "Error" || f.Name == "String" || f.Name == "Is" || f.Name == "Close"
				check(prefix+f.Name, f.Doc, implicit)
			}
		}
		funcs("", pkg.Funcs)
		for _, typ := range pkg.Types {
			// A value of the type may never be named: its constructor or methods are.
			implied := false
			for _, f := range append(typ.Funcs, typ.Methods...) {
				implied = implied || used[f.Name]
			}
			check(typ.Name, typ.Doc, implied)
			values(typ.Consts)
			values(typ.Vars)
			funcs("", typ.Funcs)
			funcs(typ.Name+".", typ.Methods)
			ast.Inspect(typ.Decl, func(n ast.Node) bool {
				fields, ok := n.(*ast.StructType)
				if !ok {
					return true
				}
				for _, field := range fields.Fields.List {
					for _, name := range field.Names {
						text := field.Doc.Text() + field.Comment.Text()
						if name.IsExported() && !strings.Contains(typ.Doc, name.Name) {
							assert.NotEmpty(t, text, "%s.%s.%s has no comment", dir, typ.Name, name.Name)
						}
					}
				}
				return false
			})
		}
		if dir == "dtls" {
			for _, typ := range pkg.Types {
				if typ.Name == "Association" {
					for _, m := range typ.Methods {
						own := map[string]bool{"Close": true, "NextTimeout": true, "PSKIdentity": true, "MaxDatagramSize": true, "SRTPProfile": true, "ExportKeyingMaterial": true, "SessionResumed": true}
						assert.True(t, own[m.Name] || strings.Contains(m.Doc, "QDtls::") || strings.Contains(m.Doc, "QSslConfiguration::"),
							"Association.%s does not say what of Qt's it corresponds to", m.Name)
					}
				}
			}
		}
	}
}

// The README's code is the examples' code.
func TestReadmeShowsRealCode(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	example, err := os.ReadFile(filepath.Join("dtls", "example_test.go"))
	require.NoError(t, err)
	blocks := strings.Split(string(readme), "```go\n")[1:]
	require.NotEmpty(t, blocks)
	for _, block := range blocks {
		code, _, found := strings.Cut(block, "```")
		require.True(t, found)
		assert.Contains(t, string(example), code)
	}
}
