package config

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/go-playground/validator/v10"
)

// Validate reports every broken rule in an *Error, or returns nil. Load has
// called it already.
func (c *Config) Validate() error { return c.problems().err() }

func (c *Config) problems() problems {
	found := c.brokenRules(fields())
	for _, across := range []func(*problems){c.issuerOnLoopback, c.listeners, c.proxies, c.rotation, c.keyPair} {
		across(&found)
	}
	return found
}

// brokenRules applies the validate tags, which speak of one field each.
func (c *Config) brokenRules(t table) problems {
	v := validator.New(validator.WithRequiredStructEnabled())
	v.RegisterTagNameFunc(func(f reflect.StructField) string { return f.Tag.Get("koanf") })
	for tag, check := range checks() {
		// The only error is an empty name.
		_ = v.RegisterValidation(tag, func(fl validator.FieldLevel) bool {
			return check.broken(fl.Field().String()) == ""
		})
	}
	var found problems
	err := v.Struct(c)
	if broken, ok := errors.AsType[validator.ValidationErrors](err); ok {
		for _, b := range broken {
			key := strings.TrimPrefix(b.Namespace(), "Config.")
			f, _ := t.field(base(key))
			found.add(key, "%s", t.message(c, f, b))
		}
	} else if err != nil {
		found.add("configuration", "%v", err)
	}
	return found
}

// message says what is wrong with a value and what would be right.
func (t table) message(c *Config, f field, broken validator.FieldError) string {
	tag, value := broken.Tag(), display(f.elem(), broken.Value())
	if check, ok := checks()[tag]; ok {
		return value + ": " + check.broken(reflect.ValueOf(broken.Value()).String())
	}
	switch tag {
	case "required":
		return "is required: " + t.allowed(f, plain)
	case "required_with":
		return "is required together with " + t.sibling(f, broken.Param())
	case "unique":
		return "the same value is listed twice"
	case "ltefield":
		other, _ := t.field(t.sibling(f, broken.Param()))
		return fmt.Sprintf("%s: must be at most %s, which is %s", value, other.key, display(other.typ, other.of(c).Interface()))
	case "file":
		return value + ": there is no such file"
	}
	return value + ": must be " + t.allowed(f, plain)
}

// issuerOnLoopback: passwords and tokens cross no network unencrypted.
func (c *Config) issuerOnLoopback(found *problems) {
	if strings.HasPrefix(c.Issuer, "http://") && checks()["issuer"].broken(c.Issuer) == "" && !loopback(hostOf(c.Listen)) {
		found.add("issuer", "%s: plain http needs listen to be a loopback address, and it is %q; use https", display(nil, c.Issuer), c.Listen)
	}
}

func (c *Config) listeners(found *problems) {
	if c.Listen != "" && c.Listen == c.OpsListen && !strings.HasSuffix(c.Listen, ":0") {
		found.add("ops_listen", "%q: must differ from listen", c.OpsListen)
	}
}

func (c *Config) proxies(found *problems) {
	for i, p := range c.TrustedProxies {
		key := fmt.Sprintf("trusted_proxies[%d]", i)
		switch {
		case !p.IsValid():
			found.add(key, "must be an IP address or a network")
		case p.Bits() == 0:
			found.add(key, "%q: means everybody, who could then claim any address; list the proxies", p)
		case p != p.Masked():
			found.add(key, "%q: has bits set beyond its mask; is %q meant?", p, p.Masked())
		}
	}
}

func (c *Config) rotation(found *problems) {
	if i := slices.Index(c.Secrets.Previous, c.Secrets.System); i >= 0 && c.Secrets.System != "" {
		found.add(fmt.Sprintf("secrets.previous[%d]", i), "is the value of secrets.system; a rotation needs a new one there")
	}
}

func (c *Config) keyPair(found *problems) {
	cert, key := c.TLS.CertFile, c.TLS.KeyFile
	if cert == "" || key == "" {
		return
	}
	info, err := os.Stat(key)
	if err != nil || info.IsDir() {
		return // reported by its own rule
	}
	if worldReadable(info) {
		found.add("tls.key_file", "%q: every user of this machine can read it (mode %04o); chmod it to 0600", key, info.Mode().Perm())
	}
	if info, err := os.Stat(cert); err != nil || info.IsDir() {
		return
	}
	if _, err := tls.LoadX509KeyPair(cert, key); err != nil {
		found.add("tls.cert_file", "%q with %q: %v", cert, key, err)
	}
}
