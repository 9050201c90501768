package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

const translation = `{"system1":"CRM","key1":"COUNTRY_CODE","value1":"AW","system2":"BILLING","key2":"COUNTRY_CODE"}`

func TestServeOnTheEmbeddedServer(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	s := serving(t, "--data-dir", dir, "--demo")
	s.until("/readyz", http.StatusOK)
	if status, body := s.call("GET", "/healthz", "", ""); status != http.StatusOK || !strings.Contains(body, `"ok"`) {
		t.Errorf("/healthz: %d %s", status, body)
	}
	if status, body := s.call("GET", "/metrics", "", ""); status != http.StatusOK || !strings.Contains(body, "go_goroutines") ||
		!strings.Contains(body, "process_open_fds") {
		t.Errorf("/metrics: %d %.300s", status, body)
	}
	if info, err := os.Stat(filepath.Join(dir, "session.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("session key: %v %v", info, err)
	}
	if _, ok := kvdb.AttachEmbedded(dir); !ok {
		t.Error("the embedded server can't be reached while serve runs")
	}
	token := cli(t, dir, "token", "create", "--name", "n", "--role", "viewer")
	if status, body := s.call("POST", "/api/v1/translate", token, translation); status != http.StatusOK || !strings.Contains(body, `"533"`) {
		t.Errorf("demo data: %d %s", status, body)
	}
	second := startServe(t, "--data-dir", dir)
	if code := second.wait(); code != exitError || !strings.Contains(second.out.String(), "another webadmin is running on "+dir) {
		t.Errorf("a second serve: code %d\n%s", code, second.out.String())
	}

	s.signal(syscall.SIGTERM)
	s.signal(syscall.SIGTERM) // as timeout(1) does
	if code := s.wait(); code != exitOK {
		t.Errorf("code %d after SIGTERM", code)
	}
	if s.out.line("embedded server stopped") == nil {
		t.Error("the embedded server was not stopped")
	}
	if list := cli(t, dir, "token", "list"); !strings.Contains(list, "viewer") {
		t.Errorf("without serve: %q", list)
	}
	for _, secret := range []string{testPassword, token} {
		if strings.Contains(s.out.String(), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
}

// cli runs a command on a data directory in this process and returns what it printed.
func cli(t *testing.T, dir string, args ...string) string {
	t.Helper()
	var out, problems strings.Builder
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	code := run(ctx, append(args, "--data-dir", dir), process{readFile: os.ReadFile, stdin: strings.NewReader(""),
		stdout: &out, stderr: &problems, now: time.Now})
	if code != exitOK {
		t.Fatalf("%v: code %d, %s", args, code, problems.String())
	}
	return strings.TrimSpace(out.String())
}

func TestServePrintsAGeneratedPasswordOnce(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	start := func() *server { return serving(t, "--data-dir", dir, "--admin-password", "") }
	s := start()
	s.logged("the store is ready")
	_, after, _ := strings.Cut(s.out.String(), "sign in as  admin  with the password  ")
	password, _, _ := strings.Cut(after, "\n")
	if len(password) < 12 {
		t.Fatalf("no password in\n%s", s.out.String())
	}
	if got := strings.Count(s.out.String(), password); got != 1 {
		t.Errorf("the password is there %d times", got)
	}
	if got := signIn(t, s, password); got != http.StatusSeeOther {
		t.Errorf("sign-in: %d", got)
	}
	s.stop()
	again := start()
	again.logged("the store is ready")
	if strings.Contains(again.out.String(), "First start") {
		t.Error("a second start generated a password again")
	}
}

func signIn(t *testing.T, s *server, password string) (status int) {
	t.Helper()
	s.logged("the store is ready")
	client := http.Client{Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	res, err := client.PostForm(s.URL+"/login", map[string][]string{"username": {"admin"}, "password": {password}})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	return res.StatusCode
}

func TestServeAfterBeingKilled(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	s := serving(t, "--data-dir", dir)
	token := cli(t, dir, "token", "create", "--name", "n", "--role", "operator")
	entry := `{"system":"A","key":"k","value":"kept"}`
	if status, body := s.call("POST", "/api/v1/dictionary/entries", token, entry); status != http.StatusCreated {
		t.Fatalf("%d %s", status, body)
	}
	s.signal(syscall.SIGKILL)
	s.wait()

	s = serving(t, "--data-dir", dir)
	if status, body := s.call("GET", "/api/v1/dictionary/entries?system=A", token, ""); status != http.StatusOK || !strings.Contains(body, "kept") {
		t.Errorf("what was acknowledged: %d %s", status, body)
	}
}

func TestServeOnATakenPort(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir := filepath.Join(t.TempDir(), "data")
	for _, flag := range []string{"--listen", "--metrics-listen"} {
		s := startServe(t, "--data-dir", dir, flag, l.Addr().String())
		if code := s.wait(); code != exitError || !strings.Contains(s.out.String(), "address already in use") {
			t.Errorf("%s: code %d\n%s", flag, code, s.out.String())
		}
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("a start that failed on its port made a data directory")
	}
}

func TestServeFinishesRequests(t *testing.T) {
	t.Parallel()
	s := serving(t, "--data-dir", filepath.Join(t.TempDir(), "data"))
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	body := "username=admin&password=wrong"
	fmt.Fprintf(conn, "POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nExpect: 100-continue\r\nContent-Length: "+
		"%d\r\n\r\n", len(body))
	answers := bufio.NewReader(conn)
	// The server asks for the body when a handler reads it: the request is under way.
	if line, err := answers.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("got %q %v", line, err)
	}
	s.signal(syscall.SIGTERM)
	s.logged("stopping")
	fmt.Fprint(conn, body)
	_, _ = answers.ReadString('\n') // the empty line after 100 Continue
	res, err := http.ReadResponse(answers, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode/100 != 4 {
		t.Errorf("status %d, %v; want a refused sign-in", res.StatusCode, err)
	}
	if code := s.wait(); code != exitOK {
		t.Errorf("code %d", code)
	}
}

func TestServeBeforeRedisIsThere(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	s := serving(t, "--redis-url", "redis://127.0.0.1:"+port, "--data-dir", t.TempDir())
	if status, body := s.call("GET", "/readyz", "", ""); status != http.StatusServiceUnavailable || !strings.Contains(body, `"away"`) {
		t.Errorf("/readyz: %d %s", status, body)
	}
	if status, _ := s.call("GET", "/healthz", "", ""); status != http.StatusOK {
		t.Errorf("/healthz: %d", status)
	}
	kvtest.NewServer(t, "--port", port, "--bind", "127.0.0.1")
	s.until("/readyz", http.StatusOK)
	if got := signIn(t, s, testPassword); got != http.StatusSeeOther {
		t.Errorf("sign-in: %d", got)
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

func TestServeRefusesAForeignSessionKey(t *testing.T) {
	t.Parallel()
	url, dir := kvtest.NewServer(t).URL(), t.TempDir()
	first := serving(t, "--redis-url", url, "--session-key", longKey, "--data-dir", dir)
	if got := signIn(t, first, testPassword); got != http.StatusSeeOther {
		t.Fatalf("sign-in: %d", got)
	}
	for name, args := range map[string][]string{"another key": {"--session-key", longKey + "!"}, "a key made just now": nil} {
		s := startServe(t, append(args, "--redis-url", url, "--data-dir", dir)...)
		if code := s.wait(); code != exitError || !strings.Contains(s.out.String(), "signed with another session key") {
			t.Errorf("%s: code %d\n%s", name, code, s.out.String())
		}
		if strings.Contains(s.out.String(), "First start") {
			t.Errorf("%s: taken for an empty store", name)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "session.key")); err == nil {
		t.Error("a key that signed nothing was left behind")
	}
	// The right one is still welcome beside the first.
	serving(t, "--redis-url", url, "--session-key", longKey, "--data-dir", dir)
}

func TestServeRefusesANewerSchema(t *testing.T) {
	t.Parallel()
	redis := kvtest.NewServer(t)
	db, err := kvdb.Open(kvdb.Config{URL: redis.URL()})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Client().Set(t.Context(), db.Keys().Schema(), 999, 0).Err(); err != nil {
		t.Fatal(err)
	}
	s := startServe(t, "--redis-url", redis.URL(), "--data-dir", t.TempDir())
	if code := s.wait(); code != exitError || !strings.Contains(s.out.String(), "written by a newer webadmin") {
		t.Errorf("code %d\n%s", code, s.out.String())
	}
}

func TestServeOnTwoServers(t *testing.T) {
	t.Parallel()
	data, state := kvtest.NewServer(t), kvtest.NewServer(t)
	s := serving(t, "--redis-url", data.URL(), "--state-url", state.URL(), "--data-dir", t.TempDir())
	s.until("/readyz", http.StatusOK)
	for name, db := range map[string]*kvtest.Server{"KVDB": data, "state": state} {
		conn, err := kvdb.Open(kvdb.Config{URL: db.URL()})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		n, err := conn.Client().Exists(t.Context(), conn.Keys().Account().Users()).Result()
		if err != nil || (n == 1) != (name == "state") {
			t.Errorf("%s: %d hashes of users, %v", name, n, err)
		}
	}
}

func TestServeHTTPSAndMetricsApart(t *testing.T) {
	t.Parallel()
	dir, metrics := t.TempDir(), "127.0.0.1:"+freePort(t)
	cert, key := certificate(t, dir)
	s := serving(t, "--data-dir", filepath.Join(dir, "data"), "--tls-cert", cert, "--tls-key", key, "--metrics-listen", metrics)
	addr, ok := strings.CutPrefix(s.URL, "https://")
	if !ok {
		t.Fatalf("URL %s", s.URL)
	}
	health := func(args ...string) result {
		return runIn(t, "", append([]string{"healthcheck", "--ready", "--listen", addr}, args...)...)
	}
	if got := health("--tls-cert", cert, "--tls-key", key); got.code != exitOK || got.stdout != "alive and ready\n" {
		t.Errorf("healthcheck: %+v", got)
	}
	otherCert, otherKey := certificate(t, t.TempDir())
	if got := health("--tls-cert", otherCert, "--tls-key", otherKey); got.code != exitError {
		t.Errorf("healthcheck of a server with another certificate: %+v", got)
	}
	res, err := http.Get("http://" + metrics + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer res.Body.Close()
	if text, err := io.ReadAll(res.Body); err != nil || !strings.Contains(string(text), "# TYPE") {
		t.Errorf("metrics: %v %.200s", err, text)
	}
	conf, err := trustOnly(cert)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{TLSClientConfig: conf, DisableKeepAlives: true}}
	if status, _, err := get(t.Context(), &client, s.URL+"/metrics"); err != nil || status != http.StatusNotFound {
		t.Errorf("metrics beside the pages: %d %v", status, err)
	}
}

// certificate makes a self-signed certificate for this machine.
func certificate(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "kv.example"}, DNSNames: []string{"kv.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	write(t, cert, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(t, key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
	return cert, key
}

func TestServeWarnsOfWhatMeansNothing(t *testing.T) {
	t.Setenv("WEBADMIN_SERVICE_PORT", "8080")
	s := serving(t, "--data-dir", filepath.Join(t.TempDir(), "data"))
	if line := s.logged("this variable means nothing here"); line["variable"] != "WEBADMIN_SERVICE_PORT" {
		t.Errorf("got %v", line)
	}
}
