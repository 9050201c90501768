package kvdb_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// TestTLS has a server behind TLS, and each way in which it goes wrong.
func TestTLS(t *testing.T) {
	t.Parallel()
	ca, otherCA := newCA(t), newCA(t)
	good := ca.issue(t, "redis.test", time.Hour)
	client := ca.issue(t, "client", time.Hour)
	stranger := otherCA.issue(t, "client", time.Hour)
	tests := []struct {
		name   string
		server *tls.Config
		cfg    kvdb.Config // of which the URL is the query
		ok     bool
	}{
		{"good", &tls.Config{Certificates: good.pair}, kvdb.Config{URL: "tls_server_name=redis.test", TLSCA: ca.file}, true},
		{"good, by parameters", &tls.Config{Certificates: good.pair}, kvdb.Config{URL: "tls_server_name=redis.test&tls_ca=" + ca.file}, true},
		{"good, by address", &tls.Config{Certificates: ca.issue(t, "127.0.0.1", time.Hour).pair}, kvdb.Config{TLSCA: ca.file}, true},
		{"good, both sides", &tls.Config{Certificates: good.pair, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.pool},
			kvdb.Config{URL: "tls_server_name=redis.test", TLSCA: ca.file, TLSCert: client.cert, TLSKey: client.key}, true},
		{"wrong name", &tls.Config{Certificates: good.pair}, kvdb.Config{TLSCA: ca.file}, false},
		{"unknown CA", &tls.Config{Certificates: good.pair}, kvdb.Config{URL: "tls_server_name=redis.test", TLSCA: otherCA.file}, false},
		{"CA of nobody", &tls.Config{Certificates: good.pair}, kvdb.Config{URL: "tls_server_name=redis.test"}, false},
		{"expired", &tls.Config{Certificates: ca.issue(t, "redis.test", -time.Hour).pair},
			kvdb.Config{URL: "tls_server_name=redis.test", TLSCA: ca.file}, false},
		{"too old", &tls.Config{Certificates: good.pair, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10},
			kvdb.Config{URL: "tls_server_name=redis.test", TLSCA: ca.file}, false},
		{"no client certificate", &tls.Config{Certificates: good.pair, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.pool},
			kvdb.Config{URL: "tls_server_name=redis.test", TLSCA: ca.file}, false},
		{"client certificate of another CA", &tls.Config{Certificates: good.pair, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.pool},
			kvdb.Config{URL: "tls_server_name=redis.test", TLSCA: ca.file, TLSCert: stranger.cert, TLSKey: stranger.key}, false},
	}
	backend := kvtest.NewServer(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			addr := proxy(t, tls.NewListener(listen(t), tt.server), backend)
			tt.cfg.URL = "rediss://" + addr + "?" + tt.cfg.URL
			db, err := kvdb.Open(tt.cfg)
			must(t, err)
			defer db.Close()
			err = kvdb.WriteErr("save", set.Run(t.Context(), db, []string{"k"}, strings.Repeat("v", 100000)).Err())
			if tt.ok {
				must(t, err)
				return
			}
			if !errors.Is(err, kvdb.ErrAway) || !strings.Contains(kvdb.Sentence(err), "TLS handshake failed") {
				t.Errorf("%v (%s), want ErrAway for the handshake", err, kvdb.Sentence(err))
			}
		})
	}
	t.Run("a server without TLS", func(t *testing.T) {
		t.Parallel()
		db := open(t, "rediss://"+proxy(t, listen(t), backend))
		if err := kvdb.WriteErr("save", set.Run(t.Context(), db, []string{"k"}, "v").Err()); !errors.Is(err, kvdb.ErrAway) {
			t.Errorf("%v, want ErrAway", err)
		}
	})
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

// proxy passes connections on to a server and returns its own address.
func proxy(t *testing.T, l net.Listener, srv *kvtest.Server) string {
	t.Helper()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				backend, err := net.Dial("unix", strings.TrimPrefix(srv.URL(), "unix://"))
				if err != nil {
					return
				}
				defer backend.Close()
				go func() {
					_, _ = io.Copy(conn, backend)
					conn.Close()
				}()
				_, _ = io.Copy(backend, conn)
			}()
		}
	}()
	return l.Addr().String()
}

type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
	file string
}

type issued struct {
	pair      []tls.Certificate
	cert, key string // files
}

func newCA(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: t.Name()}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	ca := authority{cert: cert, key: key, pool: x509.NewCertPool(), file: writePEM(t, "CERTIFICATE", der)}
	ca.pool.AddCert(cert)
	return ca
}

// issue makes a certificate that is valid for the time from now, or expired that long ago.
func (ca authority) issue(t *testing.T, name string, valid time.Duration) issued {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(valid),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{name}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, &key.PublicKey, ca.key)
	must(t, err)
	keyDER, err := x509.MarshalECPrivateKey(key)
	must(t, err)
	return issued{
		pair: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		cert: writePEM(t, "CERTIFICATE", der), key: writePEM(t, "EC PRIVATE KEY", keyDER),
	}
}

func writePEM(t *testing.T, kind string, der []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pem")
	must(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	return file
}
