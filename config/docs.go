package config

import (
	_ "embed"
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
)

//go:embed config.go
var source string

// docs are the doc comments of config.go, each as one line: of a field under
// "Type.Field", of a section under "Type".
func docs() map[string]string {
	// The source is part of the program and was compiled with it.
	file, err := parser.ParseFile(token.NewFileSet(), "config.go", source, parser.ParseComments)
	if err != nil {
		panic(err)
	}
	docs := map[string]string{}
	for _, decl := range file.Decls {
		general, ok := decl.(*ast.GenDecl)
		if !ok || general.Tok != token.TYPE {
			continue
		}
		for _, spec := range general.Specs {
			typ := spec.(*ast.TypeSpec)
			docs[typ.Name.Name] = sentence(general.Doc)
			for _, f := range typ.Type.(*ast.StructType).Fields.List {
				for _, name := range f.Names {
					docs[typ.Name.Name+"."+name.Name] = sentence(f.Doc)
				}
			}
		}
	}
	return docs
}

func sentence(comment *ast.CommentGroup) string {
	return strings.Join(strings.Fields(comment.Text()), " ")
}
