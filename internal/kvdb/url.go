package kvdb

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
)

// target is what a URL says.
type target struct {
	scheme           scheme
	addrs            []string // host:port, or the path of a socket
	user, password   string
	db               int
	master           string
	sentinelUser     string
	sentinelPassword string
	tls              *tls.Config // nil = none
}

type scheme struct {
	name        string
	mode        mode
	tls         bool
	defaultPort string // "" = addresses are paths
}

type mode int

const (
	single mode = iota
	sentinel
	cluster
)

var schemes = []scheme{
	{"redis", single, false, "6379"},
	{"rediss", single, true, "6379"},
	{"unix", single, false, ""},
	{"redis-sentinel", sentinel, false, "26379"},
	{"rediss-sentinel", sentinel, true, "26379"},
	{"redis-cluster", cluster, false, "6379"},
	{"rediss-cluster", cluster, true, "6379"},
}

// params are the query parameters that URLs of the scheme may have.
func (s scheme) params() []string {
	names := []string{"user", "password"}
	if s.mode != cluster {
		names = append(names, "db")
	}
	if s.mode == sentinel {
		names = append(names, "master", "sentinel_user", "sentinel_password")
	}
	if s.tls {
		names = append(names, "tls_ca", "tls_cert", "tls_key", "tls_server_name")
	}
	return names
}

// parseURL reads the URL of a Config and the TLS files. No error of it holds any part of the URL that may
// be a secret, which is why net/url doesn't do it: its errors quote what it got.
func parseURL(cfg Config) (target, error) {
	name, rest, ok := strings.Cut(cfg.URL, "://")
	i := slices.IndexFunc(schemes, func(s scheme) bool { return s.name == name })
	if !ok || i < 0 {
		var names []string
		for _, s := range schemes {
			names = append(names, s.name+"://")
		}
		return target{}, fmt.Errorf("the Redis URL must begin with one of %s", strings.Join(names, " "))
	}
	t := target{scheme: schemes[i]}
	rest, rawQuery, _ := strings.Cut(rest, "?")
	authority, path, _ := strings.Cut(rest, "/")
	hosts, err := t.readUser(authority)
	if err != nil {
		return target{}, err
	}
	query, err := t.query(rawQuery)
	if err != nil {
		return target{}, err
	}
	t.user = cmp.Or(query.Get("user"), t.user)
	t.password = cmp.Or(query.Get("password"), t.password)
	t.sentinelUser, t.sentinelPassword = query.Get("sentinel_user"), query.Get("sentinel_password")

	db := query.Get("db")
	if t.scheme.defaultPort == "" {
		err = t.readSocket(hosts, path)
	} else {
		db = cmp.Or(path, db)
		err = t.readHosts(hosts)
	}
	if err != nil {
		return target{}, err
	}
	if err := t.readDB(db); err != nil {
		return target{}, err
	}
	if t.scheme.mode == sentinel {
		if t.master = query.Get("master"); t.master == "" {
			return target{}, errors.New("a Redis URL for Sentinel needs the name of the master: redis-sentinel://host:port/0?master=NAME")
		}
	}
	t.tls, err = tlsConfig(t.scheme, cmp.Or(cfg.TLSCA, query.Get("tls_ca")), cmp.Or(cfg.TLSCert, query.Get("tls_cert")),
		cmp.Or(cfg.TLSKey, query.Get("tls_key")), query.Get("tls_server_name"))
	return t, err
}

// readUser reads what stands before the @, and returns what stands after it.
func (t *target) readUser(authority string) (hosts string, err error) {
	at := strings.LastIndex(authority, "@")
	if at < 0 {
		return authority, nil
	}
	user, password, _ := strings.Cut(authority[:at], ":")
	var err1, err2 error
	t.user, err1 = url.PathUnescape(user)
	t.password, err2 = url.PathUnescape(password)
	if err1 != nil || err2 != nil {
		return "", errors.New("the user name or password in the Redis URL is not percent-encoded")
	}
	return authority[at+1:], nil
}

func (t *target) readSocket(host, path string) error {
	socket, err := url.PathUnescape("/" + path)
	if host != "" || path == "" || err != nil {
		return errors.New("a unix:// URL of Redis needs the absolute path of a socket: unix:///path/to/redis.sock")
	}
	t.addrs = []string{socket}
	return nil
}

func (t *target) readHosts(hosts string) error {
	for part := range strings.SplitSeq(hosts, ",") {
		addr, err := hostPort(part, t.scheme.defaultPort)
		if err != nil {
			return err
		}
		t.addrs = append(t.addrs, addr)
	}
	if t.scheme.mode == single && len(t.addrs) > 1 {
		return fmt.Errorf("a %s:// URL names one server; use redis-sentinel:// or redis-cluster:// for several", t.scheme.name)
	}
	return nil
}

func (t *target) readDB(digits string) (err error) {
	if digits == "" {
		return nil
	}
	if t.db, err = strconv.Atoi(digits); err != nil || t.db < 0 {
		return errors.New("the database in the Redis URL must be a number: redis://host:port/0")
	}
	if t.scheme.mode == cluster && t.db != 0 {
		return errors.New("a Redis Cluster has only database 0")
	}
	return nil
}

func (t target) query(raw string) (url.Values, error) {
	if strings.Contains(raw, "@") {
		return nil, errors.New("the Redis URL has an @ after a ?: write the ? of a password as %3F, the @ of a parameter as %40")
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, errors.New("the query parameters of the Redis URL are not percent-encoded")
	}
	known := t.scheme.params()
	for name, all := range values {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("unknown parameter %q in the Redis URL; %s:// URLs know %s", name, t.scheme.name, strings.Join(known, ", "))
		}
		if len(all) > 1 {
			return nil, fmt.Errorf("the parameter %q is in the Redis URL more than once", name)
		}
	}
	return values, nil
}

func hostPort(s, defaultPort string) (string, error) {
	host, port := s, ""
	if i := strings.LastIndex(s, ":"); i > strings.LastIndex(s, "]") {
		host, port = s[:i], s[i+1:]
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	port = cmp.Or(port, defaultPort)
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", errors.New("a port in the Redis URL is not a number from 1 to 65535")
	}
	return net.JoinHostPort(cmp.Or(host, "localhost"), port), nil
}

// tlsConfig reads the files. It returns nil for schemes without TLS.
func tlsConfig(s scheme, caFile, certFile, keyFile, serverName string) (*tls.Config, error) {
	if !s.tls {
		if caFile != "" || certFile != "" || keyFile != "" {
			return nil, fmt.Errorf("TLS files are given, but %s:// does not use TLS: use rediss://, rediss-sentinel:// or rediss-cluster://", s.name)
		}
		return nil, nil
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: serverName}
	if caFile != "" {
		pem, err := os.ReadFile(caFile)
		if err != nil {
			return nil, fmt.Errorf("TLS certificates to trust for Redis: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("TLS certificates to trust for Redis: %s holds no PEM certificate", caFile)
		}
	}
	if (certFile == "") != (keyFile == "") {
		return nil, errors.New("the TLS certificate and the TLS key for Redis must be given together")
	}
	if certFile != "" {
		cert, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			return nil, fmt.Errorf("TLS certificate for Redis: %w", err)
		}
		cfg.Certificates = []tls.Certificate{cert}
	}
	return cfg, nil
}

// String is the URL without secrets and parameters.
func (t target) String() string {
	addrs := slices.Clone(t.addrs)
	for i := range addrs {
		addrs[i] = strings.TrimSuffix(addrs[i], ":"+t.scheme.defaultPort)
	}
	s := t.scheme.name + "://" + strings.Join(addrs, ",")
	switch {
	case t.scheme.defaultPort == "" && t.db > 0:
		s += "?db=" + strconv.Itoa(t.db)
	case t.scheme.mode == sentinel:
		s += "/" + strconv.Itoa(t.db) + "?master=" + t.master
	case t.db > 0:
		s += "/" + strconv.Itoa(t.db)
	}
	return s
}
