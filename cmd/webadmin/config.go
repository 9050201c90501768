package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	envPrefix     = "WEBADMIN_"
	minSessionKey = 32 // characters
	maxKeyPrefix  = 64 // bytes
)

// Config is what flags, environment and defaults add up to. Packages get plain values of it, never the whole.
type Config struct {
	Listen         string
	TLSCert        string
	TLSKey         string
	PublicURL      string
	TrustedProxies string
	MetricsListen  string
	Name           string
	RedisURL       string
	RedisCA        string
	RedisCert      string
	RedisKey       string
	StateURL       string
	DataDir        string
	KeyPrefix      string
	LuaDir         string
	ProgramUser    string
	AdminPassword  string
	SessionKey     string
	Workers        int
	Demo           bool
	LogFormat      string
	LogLevel       string
}

// option is one row of the table that flags, environment, help, docs/configuration.md and masking are made from.
type option struct {
	name   string            // of the flag, without dashes
	arg    string            // what its value is called in the help; "" = a switch
	def    string            // default value
	shown  string            // default in words, where it is no fixed value
	help   string            // one sentence
	secret bool              // masked wherever it is shown, and read from WEBADMIN_…_FILE too
	url    bool              // of a secret: only the password in it is one (or after user:)
	field  func(*Config) any // *string, *int or *bool that it sets
}

// env is the environment variable that stands for the flag.
func (o option) env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(o.name, "-", "_"))
}

// byDefault is the default as people read it.
func (o option) byDefault() string {
	switch {
	case o.arg == "":
		return "off"
	case o.shown != "":
		return o.shown
	case o.def == "":
		return "none"
	}
	return o.def
}

func (o option) set(c *Config, value string) error {
	switch p := o.field(c).(type) {
	case *string:
		*p = value
	case *int:
		n, err := strconv.Atoi(value)
		if err != nil {
			return fmt.Errorf("%q is not a whole number", value)
		}
		*p = n
	case *bool:
		b, err := strconv.ParseBool(value)
		if err != nil {
			return fmt.Errorf("%q is neither true nor false", value)
		}
		*p = b
	default:
		panic(fmt.Sprintf("option %s sets a %T", o.name, p))
	}
	return nil
}

func (o option) get(c *Config) string {
	switch p := o.field(c).(type) {
	case *int:
		return strconv.Itoa(*p)
	case *bool:
		return strconv.FormatBool(*p)
	default:
		return *p.(*string)
	}
}

// options is in the order in which the help shows it.
var options = []option{
	{name: "listen", arg: "ADDR", def: "127.0.0.1:8080", help: "Address to serve on; :0 picks a port.", field: func(c *Config) any { return &c.Listen }},
	{name: "tls-cert", arg: "FILE", help: "Certificate chain in PEM; with --tls-key it serves HTTPS.", field: func(c *Config) any { return &c.TLSCert }},
	{name: "tls-key", arg: "FILE", help: "Private key of --tls-cert.", field: func(c *Config) any { return &c.TLSKey }},
	{name: "public-url", arg: "URL", help: "What browsers type to get here, when that is a proxy.", field: func(c *Config) any { return &c.PublicURL }},
	{name: "trusted-proxies", arg: "CIDR,…", help: "Proxies whose X-Forwarded-For names the client.",
		field: func(c *Config) any { return &c.TrustedProxies }},
	{name: "metrics-listen", arg: "ADDR", shown: "same as --listen", help: "Address of its own for /metrics.",
		field: func(c *Config) any { return &c.MetricsListen }},
	{name: "name", arg: "TEXT", help: "Name of this environment, shown on every page.", field: func(c *Config) any { return &c.Name }},
	{name: "redis-url", arg: "URL", shown: "embedded", secret: true, url: true,
		help: "The KVDB: redis://, rediss://, unix://, redis-sentinel:// or redis-cluster://.", field: func(c *Config) any { return &c.RedisURL }},
	{name: "redis-ca", arg: "FILE", shown: "the system's", help: "CA certificates that vouch for the Redis servers.",
		field: func(c *Config) any { return &c.RedisCA }},
	{name: "redis-cert", arg: "FILE", help: "Client certificate for Redis; with --redis-key.", field: func(c *Config) any { return &c.RedisCert }},
	{name: "redis-key", arg: "FILE", help: "Private key of --redis-cert.", field: func(c *Config) any { return &c.RedisKey }},
	{name: "state-url", arg: "URL", shown: "same as --redis-url", secret: true, url: true,
		help:  "Redis for users, sessions, tokens and audit, out of reach of whoever may run programs on the KVDB.",
		field: func(c *Config) any { return &c.StateURL }},
	{name: "data-dir", arg: "DIR", def: "data", help: "Files of the embedded server, and the session key.",
		field: func(c *Config) any { return &c.DataDir }},
	{name: "key-prefix", arg: "TEXT", def: "kvdb:", help: "What every key of ours starts with.", field: func(c *Config) any { return &c.KeyPrefix }},
	{name: "lua-dir", arg: "DIR", def: "config/repo/lua/user", help: "Lua program files; a missing directory means none.",
		field: func(c *Config) any { return &c.LuaDir }},
	{name: "program-user", arg: "USER[:PASSWORD]", shown: "embedded: set up by us", secret: true, url: true,
		help: "Redis ACL user that programs and operators' commands run as.", field: func(c *Config) any { return &c.ProgramUser }},
	{name: "admin-password", arg: "TEXT", shown: "generated, printed once", secret: true,
		help: "Password of the first user, admin; used only while there are no users.", field: func(c *Config) any { return &c.AdminPassword }},
	{name: "session-key", arg: "TEXT", shown: "generated, in DATA-DIR/session.key", secret: true,
		help:  "32 characters or more that sign sessions, tokens and accounts; the same on every replica.",
		field: func(c *Config) any { return &c.SessionKey }},
	{name: "workers", arg: "N", def: "8", help: "Concurrent handlers of built-in services in this process; 0 = none.",
		field: func(c *Config) any { return &c.Workers }},
	{name: "demo", help: "Put demo data into an empty store.", field: func(c *Config) any { return &c.Demo }},
	{name: "log-format", arg: "text|json", shown: "text on a terminal, else json", help: "Form of the log.",
		field: func(c *Config) any { return &c.LogFormat }},
	{name: "log-level", arg: "LEVEL", def: "info", help: "debug, info, warn or error.", field: func(c *Config) any { return &c.LogLevel }},
}

// setting is a flag as it was given.
type setting struct{ name, value string }

// Load makes a Config: flags win over the environment, which wins over the defaults. The later of two equal flags wins.
//
// environ is in the form of os.Environ; an empty variable counts as not set. warnings name the WEBADMIN_… variables that
// mean nothing here: other software sets such names too, so they are no error. The error is a *usageError.
func Load(flags []setting, environ []string, readFile func(string) ([]byte, error)) (cfg Config, warnings []string, err error) {
	env := map[string]string{}
	for _, kv := range environ {
		if name, value, ok := strings.Cut(kv, "="); ok && strings.HasPrefix(name, envPrefix) && value != "" {
			env[name] = value
		}
	}
	var problems []error
	for _, o := range options {
		value, from, err := o.lookup(flags, env, readFile)
		if err == nil && value != "" {
			err = o.set(&cfg, value)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", from, err))
		}
		delete(env, o.env())
		if o.secret {
			delete(env, o.env()+"_FILE")
		}
	}
	for name := range env {
		warnings = append(warnings, name)
	}
	slices.Sort(warnings)
	if len(problems) == 0 {
		problems = cfg.problems()
	}
	if len(problems) > 0 {
		return cfg, warnings, &usageError{errors.Join(problems...)}
	}
	return cfg, warnings, nil
}

// lookup finds the value of the option and the name of what gave it.
func (o option) lookup(flags []setting, env map[string]string, readFile func(string) ([]byte, error)) (value, from string, err error) {
	for _, f := range slices.Backward(flags) {
		if f.name == o.name {
			return f.value, "--" + o.name, nil
		}
	}
	value, from = env[o.env()], o.env()
	if o.secret {
		if path := env[o.env()+"_FILE"]; path != "" {
			if value != "" {
				return "", from, fmt.Errorf("is set, and so is %s_FILE: one of them must go", o.env())
			}
			from += "_FILE"
			text, err := readFile(path)
			if err != nil {
				return "", from, err
			}
			value = strings.TrimRight(string(text), "\r\n")
			if value == "" {
				return "", from, fmt.Errorf("%s is empty", path)
			}
		}
	}
	if value == "" {
		return o.def, "default", nil
	}
	return value, from, nil
}

// problems says what is wrong with values and combinations of them. It repeats no secret.
func (c *Config) problems() (found []error) {
	wrong := func(format string, args ...any) { found = append(found, fmt.Errorf(format, args...)) }
	pair := func(a, va, b, vb string) {
		if (va == "") != (vb == "") {
			wrong("--%s and --%s go together: give both or neither", a, b)
		}
	}
	pair("tls-cert", c.TLSCert, "tls-key", c.TLSKey)
	pair("redis-cert", c.RedisCert, "redis-key", c.RedisKey)
	if err := checkListen(c.Listen); err != nil {
		wrong("--listen: %w", err)
	}
	if c.MetricsListen != "" {
		if err := checkListen(c.MetricsListen); err != nil {
			wrong("--metrics-listen: %w", err)
		}
	}
	if err := checkPublicURL(c.PublicURL); err != nil {
		wrong("--public-url: %w", err)
	}
	if _, err := c.proxies(); err != nil {
		wrong("--trusted-proxies: %w", err)
	}
	if err := checkKeyPrefix(c.KeyPrefix); err != nil {
		wrong("--key-prefix: %w", err)
	}
	if n := utf8.RuneCountInString(c.SessionKey); n > 0 && n < minSessionKey {
		wrong("--session-key: has %d characters; it takes %d or more", n, minSessionKey)
	}
	if c.Workers < 0 {
		wrong("--workers: is less than 0")
	}
	if !slices.Contains([]string{"", "text", "json"}, c.LogFormat) {
		wrong("--log-format: %q is neither text nor json", c.LogFormat)
	}
	if _, err := c.level(); err != nil {
		wrong("--log-level: %q is none of debug, info, warn and error", c.LogLevel)
	}
	if strings.ContainsFunc(c.Name, unicode.IsControl) || utf8.RuneCountInString(c.Name) > 40 {
		wrong("--name: takes up to 40 printable characters")
	}
	return found
}

func checkListen(addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%q is not host:port", addr)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q has no port between 0 and 65535", addr)
	}
	return nil
}

func checkPublicURL(s string) error {
	if s == "" {
		return nil
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return errors.New("is not an http:// or https:// URL with a host")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != "" && u.Path != "/":
		return errors.New("takes scheme, host and port only")
	}
	return nil
}

// checkKeyPrefix refuses what would break hash tags ({}) or match patterns (*?[]\) made with the prefix.
func checkKeyPrefix(s string) error {
	if s == "" || len(s) > maxKeyPrefix {
		return fmt.Errorf("takes 1 to %d characters", maxKeyPrefix)
	}
	ok := func(r rune) bool {
		return r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("_-.:/", r))
	}
	if i := strings.IndexFunc(s, func(r rune) bool { return !ok(r) }); i >= 0 {
		return fmt.Errorf("%q: letters, digits and _ - . : / are allowed", s)
	}
	return nil
}

// proxies are the networks of --trusted-proxies.
func (c *Config) proxies() (nets []netip.Prefix, err error) {
	for _, s := range strings.FieldsFunc(c.TrustedProxies, func(r rune) bool { return r == ',' || r == ' ' }) {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			a, aerr := netip.ParseAddr(s)
			if aerr != nil {
				return nil, fmt.Errorf("%q is neither an address nor a network such as 10.0.0.0/8", s)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		nets = append(nets, p.Masked())
	}
	return nets, nil
}

func (c *Config) level() (l slog.Level, err error) {
	switch c.LogLevel {
	case "debug", "info", "warn", "error":
		err = l.UnmarshalText([]byte(c.LogLevel))
	default:
		err = errors.New("unknown level")
	}
	return l, err
}

// secrets are the values that no log line may hold.
func (c *Config) secrets() (values []string) {
	for _, o := range options {
		switch v := o.get(c); {
		case !o.secret || v == "":
		case !o.url:
			values = append(values, v)
		default:
			values = append(values, passwordsIn(v)...)
		}
	}
	return values
}

var (
	passwordBeforeAt = regexp.MustCompile(`://[^\s/?#:@]*:([^\s/?#@]+)@`)
	passwordInQuery  = regexp.MustCompile(`[?&][a-z_]*password=([^&#]+)`)
)

// passwordsIn are the passwords of a Redis URL, as they are written and as they are meant, or that of user:password. The URL
// may name several hosts, which url.Parse does not take.
func passwordsIn(s string) (found []string) {
	if !strings.Contains(s, "://") {
		if _, password, ok := strings.Cut(s, ":"); ok {
			return []string{password}
		}
	}
	for _, m := range slices.Concat(passwordBeforeAt.FindAllStringSubmatch(s, -1), passwordInQuery.FindAllStringSubmatch(s, -1)) {
		found = append(found, m[1])
		if meant, err := url.QueryUnescape(m[1]); err == nil {
			found = append(found, meant)
		}
	}
	return found
}

// programUserName is the name of the program user, "" = there is none.
func (c *Config) programUserName() string {
	name, _, _ := strings.Cut(c.ProgramUser, ":")
	return name
}

// LogValue shows what differs from the defaults, without secrets.
func (c Config) LogValue() slog.Value {
	scrub := newScrubber(c.secrets())
	var attrs []slog.Attr
	for _, o := range options {
		v := o.get(&c)
		switch {
		case v == o.def, o.arg == "" && v == "false":
		case o.secret && !o.url:
			attrs = append(attrs, slog.String(o.name, mask))
		case o.name == "program-user": // the password may be too short for the scrubber
			attrs = append(attrs, slog.String(o.name, c.programUserName()))
		default:
			attrs = append(attrs, slog.String(o.name, scrub.text(v)))
		}
	}
	return slog.GroupValue(attrs...)
}
