// Command generate prints the shapes of the built-in kinds, as Go's decoder sees them.
//
// It needs a Go module that requires k8s.io/api, k8s.io/apimachinery and
// k8s.io/apiextensions-apiserver, for instance testing/control-plane's:
//
//	cp generate.go <module>/schema-gen/main.go && go run ./schema-gen > types.json
package main

import (
	"encoding/json"
	"os"
	"reflect"
	"strconv"
	"strings"

	authn "k8s.io/api/authentication/v1"
	authz "k8s.io/api/authorization/v1"
	coord "k8s.io/api/coordination/v1"
	core "k8s.io/api/core/v1"
	events "k8s.io/api/events/v1"
	rbac "k8s.io/api/rbac/v1"
	apiext "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

type object = map[string]any

var types = object{}

func name(t reflect.Type) string {
	path := strings.ReplaceAll(t.PkgPath(), "/", ".")
	path = strings.Replace(path, "k8s.io", "io.k8s", 1)
	return path + "." + t.Name()
}

// opaque types print themselves: Go's reflection says nothing about their JSON.
var opaque = map[string]object{
	"Time":                         {"type": "string", "format": "date-time"},
	"MicroTime":                    {"type": "string", "format": "date-time", "x-micro": true},
	"Quantity":                     {"type": "string", "x-any": true},
	"IntOrString":                  {"x-kubernetes-int-or-string": true},
	"RawExtension":                 {"type": "object", "x-any": true},
	"FieldsV1":                     {"type": "object", "x-any": true},
	"JSON":                         {"x-any": true},
	"Duration":                     {"type": "string"},
	"JSONSchemaPropsOrArray":       {"x-any": true},
	"JSONSchemaPropsOrBool":        {"x-any": true},
	"JSONSchemaPropsOrStringArray": {"x-any": true},
}

func shape(t reflect.Type) object {
	if o, ok := opaque[t.Name()]; ok {
		out := object{}
		for k, v := range o {
			out[k] = v
		}
		return out
	}
	switch t.Kind() {
	case reflect.Pointer:
		return shape(t.Elem())
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int32:
		return object{"type": "integer", "format": "int32"}
	case reflect.Int64, reflect.Int:
		return object{"type": "integer", "format": "int64"}
	case reflect.Float64:
		return object{"type": "number", "format": "double"}
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return object{"type": "string", "format": "byte"}
		}
		return object{"type": "array", "items": shape(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": shape(t.Elem())}
	case reflect.Struct:
		define(t)
		return object{"$ref": name(t)}
	}
	panic("unknown kind " + t.String())
}

func define(t reflect.Type) {
	key := name(t)
	if _, ok := types[key]; ok {
		return
	}
	def := object{}
	types[key] = def
	props := object{}
	fields(t, props, def)
	def["properties"] = props
}

func fields(t reflect.Type, props, def object) {
	for i := 0; i < t.NumField(); i++ {
		f := t.Field(i)
		if !f.IsExported() {
			continue
		}
		tag := f.Tag.Get("json")
		parts := strings.Split(tag, ",")
		if f.Anonymous && parts[0] == "" {
			inner := object{}
			fields(f.Type, inner, def)
			// In protobuf an inlined struct is a message of its own, and TypeMeta is left out.
			if n := strings.Split(f.Tag.Get("protobuf"), ","); len(n) > 1 {
				define(f.Type)
				inline, _ := def["x-inline"].(object)
				if inline == nil {
					inline = object{}
					def["x-inline"] = inline
				}
				inline[n[1]] = name(f.Type)
			}
			for key, p := range inner {
				delete(p.(object), "x-proto")
				props[key] = p
			}
			continue
		}
		if parts[0] == "-" || parts[0] == "" {
			continue
		}
		p := shape(f.Type)
		omit := false
		for _, o := range parts[1:] {
			// Go prints an empty struct in spite of omitempty.
			if o == "omitzero" || (o == "omitempty" && f.Type.Kind() != reflect.Struct) {
				omit = true
			}
		}
		if f.Type.Kind() == reflect.Pointer {
			p["x-ptr"] = true
		}
		if !omit {
			p["x-keep"] = true
		}
		// The field's number in protobuf: kubectl's typed commands send that.
		if n := strings.Split(f.Tag.Get("protobuf"), ","); len(n) > 1 {
			p["x-proto"], _ = strconv.Atoi(n[1])
		}
		if v := f.Tag.Get("patchStrategy"); v != "" {
			p["x-kubernetes-patch-strategy"] = v
		}
		if v := f.Tag.Get("patchMergeKey"); v != "" {
			p["x-kubernetes-patch-merge-key"] = v
		}
		props[parts[0]] = p
	}
}

func main() {
	for _, o := range []any{
		core.Pod{}, core.ConfigMap{}, core.Namespace{}, core.Event{}, core.ServiceAccount{},
		core.Secret{}, core.Node{}, coord.Lease{}, events.Event{}, rbac.Role{}, rbac.RoleBinding{},
		rbac.ClusterRole{}, rbac.ClusterRoleBinding{}, apiext.CustomResourceDefinition{},
		authz.SelfSubjectAccessReview{}, authn.SelfSubjectReview{}, meta.DeleteOptions{},
	} {
		define(reflect.TypeOf(o))
	}
	enc := json.NewEncoder(os.Stdout)
	enc.SetIndent("", " ")
	if err := enc.Encode(types); err != nil {
		panic(err)
	}
}
