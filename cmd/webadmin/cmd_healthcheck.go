package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// healthcheck asks /healthz of the server at --listen, and prints what /readyz says. Whether Redis is there decides
// only with --ready: a supervisor that restarts what is unhealthy would not bring Redis back.
func healthcheck(ctx context.Context, c *call) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	base, client, err := ownServer(c.cfg)
	if err != nil {
		return err
	}
	if status, _, err := get(ctx, client, base+"/healthz"); err != nil {
		return fmt.Errorf("not alive: %w", err)
	} else if status != http.StatusOK {
		return fmt.Errorf("not alive: /healthz answers %d", status)
	}
	status, body, err := get(ctx, client, base+"/readyz")
	if err != nil {
		return fmt.Errorf("alive, but /readyz does not answer: %w", err)
	}
	var answer struct {
		Status string `json:"status"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Status == "" {
		answer.Status = fmt.Sprintf("status %d", status)
	}
	if status != http.StatusOK && c.on("ready") {
		return fmt.Errorf("alive, not ready: %s", answer.Status)
	}
	if status != http.StatusOK {
		fmt.Fprintf(c.stdout, "alive, not ready: %s\n", answer.Status)
		return nil
	}
	fmt.Fprintln(c.stdout, "alive and ready")
	return nil
}

func get(ctx context.Context, client *http.Client, address string) (status int, body []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, nil, err
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	body, err = io.ReadAll(io.LimitReader(res.Body, 64<<10))
	return res.StatusCode, body, err
}

// ownServer is the URL of the server that cfg describes, and a client that trusts its certificate and no other.
func ownServer(cfg Config) (string, *http.Client, error) {
	if strings.HasSuffix(cfg.Listen, ":0") {
		return "", nil, &usageError{errors.New("with port 0 there is no telling which port it got: pass --listen as it was logged")}
	}
	host, port, err := net.SplitHostPort(cfg.Listen)
	if err != nil {
		return "", nil, &usageError{err}
	}
	u := url.URL{Scheme: "http", Host: net.JoinHostPort(reachable(host), port)}
	transport := &http.Transport{Proxy: nil, DisableKeepAlives: true}
	if cfg.TLSCert != "" {
		u.Scheme = "https"
		if transport.TLSClientConfig, err = trustOnly(cfg.TLSCert); err != nil {
			return "", nil, err
		}
	}
	return u.String(), &http.Client{Transport: transport}, nil
}

// reachable is an address to connect to for one to listen on: "all addresses" is none that can be dialled everywhere.
func reachable(host string) string {
	if ip := net.ParseIP(host); host == "" || ip.IsUnspecified() {
		return "127.0.0.1"
	}
	return host
}

// trustOnly makes TLS settings for a client that talks to the owner of the certificate in the file, by whatever name.
func trustOnly(file string) (*tls.Config, error) {
	cert, err := readCertificate(file)
	if err != nil {
		return nil, fmt.Errorf("--tls-cert: %w", err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	name := cert.Subject.CommonName
	switch {
	case len(cert.DNSNames) > 0:
		name = strings.Replace(cert.DNSNames[0], "*", "any", 1)
	case len(cert.IPAddresses) > 0:
		name = cert.IPAddresses[0].String()
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool, ServerName: name}, nil
}

// readCertificate reads the first certificate of a PEM file.
func readCertificate(file string) (*x509.Certificate, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			return x509.ParseCertificate(block.Bytes)
		}
	}
	return nil, fmt.Errorf("%s holds no certificate", file)
}
