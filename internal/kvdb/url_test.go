package kvdb_test

import (
	"strings"
	"testing"

	"webadmin/internal/kvdb"
)

func TestURLs(t *testing.T) {
	t.Parallel()
	tests := []struct{ url, want string }{
		{"redis://", "redis://localhost"},
		{"redis://host", "redis://host"},
		{"redis://user:hunter2@host:6380/3", "redis://host:6380/3"},
		{"redis://:hunter2@host?db=3", "redis://host/3"},
		{"redis://host?user=u&password=hunter2", "redis://host"},
		{"redis://u:hunter2%2F%40%3F@host/0", "redis://host"},
		{"redis://[::1]:7000/1", "redis://[::1]:7000/1"},
		{"redis://[::1]", "redis://[::1]"},
		{"rediss://host?tls_server_name=other", "rediss://host"},
		{"unix:///run/redis.sock", "unix:///run/redis.sock"},
		{"unix://u:hunter2@/run/a%20b@c.sock?db=2", "unix:///run/a b@c.sock?db=2"},
		{"redis-sentinel://u:hunter2@a,b:7000/2?master=m&sentinel_user=s&sentinel_password=hunter2", "redis-sentinel://a,b:7000/2?master=m"},
		{"rediss-sentinel://a?master=m", "rediss-sentinel://a/0?master=m"},
		{"redis-cluster://u:hunter2@a:7000,b:7001,[::1]:7002", "redis-cluster://a:7000,b:7001,[::1]:7002"},
		{"rediss-cluster://a/0", "rediss-cluster://a"},
	}
	for _, tt := range tests {
		db, err := kvdb.Open(kvdb.Config{URL: tt.url})
		if err != nil {
			t.Errorf("%s: %v", tt.url, err)
			continue
		}
		if got := db.Addr(); got != tt.want {
			t.Errorf("the address of %s is %s, want %s", tt.url, got, tt.want)
		}
		must(t, db.Close())
	}
}

func TestBadConfig(t *testing.T) {
	t.Parallel()
	tests := []struct {
		cfg  kvdb.Config
		says string
	}{
		{kvdb.Config{URL: ""}, "must begin with one of redis:// rediss://"},
		{kvdb.Config{URL: "hunter2"}, "must begin with"},
		{kvdb.Config{URL: "http://u:hunter2@host"}, "must begin with"},
		{kvdb.Config{URL: "redis://u:hunter2%@host"}, "percent-encoded"},
		{kvdb.Config{URL: "redis://host:hunter2"}, "port"},
		{kvdb.Config{URL: "redis://host:0"}, "port"},
		{kvdb.Config{URL: "redis://host:65536"}, "port"},
		{kvdb.Config{URL: "redis://u:hunter2/@host"}, "port"}, // a / that isn't encoded
		{kvdb.Config{URL: "redis://host/hunter2"}, "database"},
		{kvdb.Config{URL: "redis://host/-1"}, "database"},
		{kvdb.Config{URL: "redis://a,b"}, "redis-sentinel:// or redis-cluster://"},
		{kvdb.Config{URL: "redis://host?passwd=hunter2"}, `unknown parameter "passwd" in the Redis URL; redis:// URLs know user, password, db`},
		{kvdb.Config{URL: "redis://u:x?hunter2@host"}, "%3F"},
		{kvdb.Config{URL: "redis://host?skip_verify=true"}, "unknown parameter"},
		{kvdb.Config{URL: "redis://host?db=1&db=2"}, "more than once"},
		{kvdb.Config{URL: "redis://host?password=hunter2%"}, "percent-encoded"},
		{kvdb.Config{URL: "redis://host?tls_ca=x"}, "unknown parameter"},
		{kvdb.Config{URL: "redis://host", TLSCA: "x"}, "rediss://"},
		{kvdb.Config{URL: "rediss://host?tls_ca=/does/not/exist"}, "no such file"},
		{kvdb.Config{URL: "rediss://host", TLSCA: "url_test.go"}, "no PEM certificate"},
		{kvdb.Config{URL: "rediss://host", TLSCert: "url_test.go"}, "together"},
		{kvdb.Config{URL: "unix://"}, "absolute path"},
		{kvdb.Config{URL: "unix://run/redis.sock"}, "absolute path"},
		{kvdb.Config{URL: "redis-sentinel://a"}, "master=NAME"},
		{kvdb.Config{URL: "redis-cluster://a/1"}, "only database 0"},
		{kvdb.Config{URL: "redis-cluster://a?db=0"}, "unknown parameter"},
		{kvdb.Config{URL: "redis://host", Prefix: "a{b"}, "braces"},
		{kvdb.Config{URL: "redis://host", Prefix: "a b"}, "spaces"},
	}
	for _, tt := range tests {
		_, err := kvdb.Open(tt.cfg)
		if err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%+v: %v, want %q", tt.cfg, err, tt.says)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%+v: the error has the password: %v", tt.cfg, err)
		}
	}
}

// FuzzURL: no URL makes Open fail in a way that shows the password, or panic.
func FuzzURL(f *testing.F) {
	f.Add("redis://u:", "@host:1/0?db=1")
	f.Add("unix://:", "@/a?user=x")
	f.Add("redis-sentinel://", "@[::1]:x,/?master=%")
	f.Fuzz(func(t *testing.T, before, after string) {
		const secret = "HUNTER2%2f"
		url := before + secret + after
		if db, err := kvdb.Open(kvdb.Config{URL: url}); err == nil {
			_ = db.Addr()
			must(t, db.Close())
		} else if strings.Contains(before, "://") && strings.HasPrefix(after, "@") && strings.Contains(err.Error(), "HUNTER2") {
			t.Errorf("the error has the password: %v", err)
		}
	})
}
