package webhook

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"webadmin/internal/kvdb/kvtest"
)

func TestMain(m *testing.M) { kvtest.Main(m) }

var testTime = time.Unix(1_700_000_000, 0)

func client(t *testing.T) *Client {
	t.Helper()
	c := NewClient("webadmin/test", func() time.Time { return testTime })
	t.Cleanup(c.Close)
	return c
}

// endpoint serves a webhook on the loopback address.
func endpoint(t *testing.T, answer http.HandlerFunc) Call {
	t.Helper()
	srv := httptest.NewServer(answer)
	t.Cleanup(srv.Close)
	return Call{URL: srv.URL + "/hook?x=1", Secret: "s3cret", AllowPrivate: true, Timeout: 5 * time.Second, Service: "a/b:c", CID: "cid1",
		Attempt: 2, Body: []byte(`{"n":12345678901234567890}`)}
}

func TestDoSendsTheInvocationSigned(t *testing.T) {
	t.Parallel()
	var got http.Header
	var body []byte
	call := endpoint(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Header
		body, _ = io.ReadAll(r.Body)
		fmt.Fprint(w, ` {"ok": 9007199254740993} `)
	})
	call.InReplyTo = "cid0"
	result, err := client(t).Do(t.Context(), call)
	if err != nil || string(result) != `{"ok": 9007199254740993}` {
		t.Fatalf("%s, %v", result, err)
	}
	if string(body) != string(call.Body) {
		t.Errorf("body %s", body)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/json", "User-Agent": "webadmin/test", "Webadmin-Service": "a/b:c", "Webadmin-Cid": "cid1",
		"X-Correlation-Id": "cid1", "Webadmin-Attempt": "2",
		"Webadmin-In-Reply-To": "cid0",
		// echo -n '1700000000.{"n":12345678901234567890}' | openssl dgst -sha256 -hmac s3cret
		"Webadmin-Signature": "t=1700000000,v1=d17d97671c8ac9ad896c021cea23283419c41cdf07f44b2e4f72ea0d871e6230",
	} {
		if got.Get(name) != want {
			t.Errorf("%s: %q, not %q", name, got.Get(name), want)
		}
	}
}

func TestDoMakesAResultOfTheAnswer(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ answer, want string }{
		"nothing":     {"", ""},
		"blanks":      {" \n", ""},
		"null":        {"null", "null"},
		"a number":    {"1e400", "1e400"},
		"text":        {"OK <b>", `"OK \u003cb\u003e"`},
		"almost JSON": {`{"a":}`, `"{\"a\":}"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			call := endpoint(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, tc.answer) })
			result, err := client(t).Do(t.Context(), call)
			if err != nil || string(result) != tc.want {
				t.Errorf("%s, %v", result, err)
			}
			if (result == nil) != (tc.want == "") {
				t.Errorf("result is %#v", result)
			}
		})
	}
}

func TestDoSaysWhyNot(t *testing.T) {
	t.Parallel()
	status := func(code int, header, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", header)
			w.WriteHeader(code)
			fmt.Fprint(w, text)
		}
	}
	for name, tc := range map[string]struct {
		answer http.HandlerFunc
		want   string
		after  time.Duration
	}{
		"500":          {answer: status(500, "", "no\n\x00 \xff luck"), want: "the webhook answered 500 Internal Server Error: no \x00 � luck"},
		"503, seconds": {answer: status(503, "7", ""), want: "the webhook answered 503 Service Unavailable", after: 7 * time.Second},
		"429, a date": {answer: status(429, testTime.Add(time.Minute).UTC().Format(http.TimeFormat), ""),
			want: "the webhook answered 429 Too Many Requests", after: time.Minute},
		"429, a year": {answer: status(429, "31536000", ""), want: "the webhook answered 429 Too Many Requests", after: 24 * time.Hour},
		"429, a date in the past": {answer: status(429, testTime.Add(-time.Minute).UTC().Format(http.TimeFormat), ""),
			want: "the webhook answered 429 Too Many Requests"},
		"429, nonsense":           {answer: status(429, "-soon", ""), want: "the webhook answered 429 Too Many Requests"},
		"a status without a name": {answer: status(499, "", "x"), want: "the webhook answered 499: x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := client(t).Do(t.Context(), endpoint(t, tc.answer))
			var answer *StatusError
			if !errors.As(err, &answer) || err.Error() != tc.want || answer.RetryAfter != tc.after {
				t.Errorf("%v, %+v", err, answer)
			}
		})
	}
}

func TestDoFollowsNoRedirect(t *testing.T) {
	t.Parallel()
	var followed atomic.Bool
	other := endpoint(t, func(http.ResponseWriter, *http.Request) { followed.Store(true) })
	for _, code := range []int{301, 302, 303, 307, 308} {
		call := endpoint(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, code) })
		_, err := client(t).Do(t.Context(), call)
		if err == nil || !strings.Contains(err.Error(), "redirects are not followed") {
			t.Errorf("%d: %v", code, err)
		}
	}
	if followed.Load() {
		t.Error("a redirect was followed")
	}
}

func TestDoReadsNoMoreThanItMust(t *testing.T) {
	t.Parallel()
	for name, code := range map[string]int{"of an answer": 200, "of an error": 500} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var sent atomic.Int64
			call := endpoint(t, func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(code)
				part := []byte(strings.Repeat("x", 1<<16))
				for range 2 << 30 / len(part) {
					n, err := w.Write(part)
					sent.Add(int64(n))
					if err != nil {
						return
					}
				}
			})
			_, err := client(t).Do(t.Context(), call)
			var (
				answer *AnswerError
				status *StatusError
			)
			if !errors.As(err, &answer) && !errors.As(err, &status) || len(err.Error()) > 2<<10 {
				t.Errorf("%.3000v", err)
			}
			if sent.Load() > 64<<20 {
				t.Errorf("%d bytes were sent", sent.Load())
			}
		})
	}
}

func TestDoRefusesWhatCanBeNoResult(t *testing.T) {
	t.Parallel()
	call := endpoint(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "\xff\xfe") })
	_, err := client(t).Do(t.Context(), call)
	var answer *AnswerError
	if !errors.As(err, &answer) || !strings.Contains(err.Error(), "is not UTF-8") {
		t.Error(err)
	}
}

func TestDoDoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]string{"no answer": "", "half an answer": "half"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			call := endpoint(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body) // only then the server notices that its client went away
				fmt.Fprint(w, start)
				if start != "" {
					w.(http.Flusher).Flush()
				}
				<-r.Context().Done()
			})
			call.Timeout = 100 * time.Millisecond
			_, err := client(t).Do(t.Context(), call)
			if err == nil || !strings.Contains(err.Error(), "did not answer within 100ms") {
				t.Error(err)
			}
			call.Timeout = time.Minute
			gone := errors.New("the lease is lost")
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(50*time.Millisecond, func() { cancel(gone) })
			if _, err := client(t).Do(ctx, call); !errors.Is(err, gone) {
				t.Error(err)
			}
		})
	}
}

func TestDoSaysWhatIsWrongWithTheConnection(t *testing.T) {
	t.Parallel()
	quiet := log.New(io.Discard, "", 0)
	untrusted := httptest.NewUnstartedServer(http.NotFoundHandler())
	untrusted.Config.ErrorLog = quiet
	untrusted.StartTLS()
	t.Cleanup(untrusted.Close)
	old := httptest.NewUnstartedServer(http.NotFoundHandler())
	old.Config.ErrorLog = quiet
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	old.StartTLS()
	t.Cleanup(old.Close)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	cut := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }))
	t.Cleanup(cut.Close)
	for name, tc := range map[string]struct{ url, want string }{
		"a certificate that nobody signed": {untrusted.URL, "is not trusted"},
		"TLS of old":                       {old.URL, "protocol version"},
		"nobody listens":                   {"http://" + closed.Addr().String(), "is not reachable: connection refused"},
		"cut off":                          {cut.URL, "closed the connection"},
		"no such name":                     {"http://no-such-host.invalid", "doesn't resolve"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := client(t).Do(t.Context(), Call{URL: tc.url, AllowPrivate: true, Timeout: 10 * time.Second})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Error(err)
			}
		})
	}
}

func TestDoConnectsToPrivateAddressesOnlyWhereAllowed(t *testing.T) {
	t.Parallel()
	var called atomic.Bool
	call := endpoint(t, func(http.ResponseWriter, *http.Request) { called.Store(true) })
	c := client(t)
	if _, err := c.Do(t.Context(), call); err != nil || !called.Swap(false) {
		t.Fatal(err) // its connection is kept now
	}
	call.AllowPrivate = false
	byName := call
	byName.URL = strings.Replace(call.URL, "127.0.0.1", "localhost", 1)
	mapped := call
	mapped.URL = strings.Replace(call.URL, "127.0.0.1", "[::ffff:127.0.0.1]", 1)
	for _, call := range []Call{call, byName, mapped} {
		_, err := c.Do(t.Context(), call)
		if err == nil || !strings.Contains(err.Error(), "private address") || called.Load() {
			t.Errorf("%s: %v", call.URL, err)
		}
	}
}

func TestRefusal(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]string{
		"93.184.216.34": "", "2606:2800:220:1::1": "", "8.8.8.8": "", "172.32.0.1": "", "100.128.0.1": "",
		"127.0.0.1": "private", "127.255.0.9": "private", "::1": "private", "::ffff:127.0.0.1": "private", "::127.0.0.1": "private",
		"10.0.0.1": "private", "172.16.0.1": "private", "192.168.1.1": "private", "100.64.0.1": "private", "198.18.0.1": "private",
		"192.0.2.7": "private", "240.0.0.1": "private", "0.1.2.3": "private", "fc00::1": "private", "fd12::1": "private", "fec0::1": "private",
		"64:ff9b::7f00:1": "private", "2002:7f00:1::": "private", "2001:0:1::1": "private",
		"169.254.169.254": "never", "fe80::1": "never", "fe80::1%eth0": "never", "::ffff:169.254.169.254": "never",
		"0.0.0.0": "never", "::": "never", "224.0.0.1": "never", "ff02::1": "never", "255.255.255.255": "never",
	} {
		public, private := refusal(netip.MustParseAddr(addr), false) == "", refusal(netip.MustParseAddr(addr), true) == ""
		if public != (want == "") || private != (want != "never") {
			t.Errorf("%s: public %v, private %v; want %q", addr, public, private, want)
		}
	}
}

func TestResultsAreJSON(t *testing.T) {
	t.Parallel()
	call := endpoint(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat("[", 20_000)) })
	result, err := client(t).Do(t.Context(), call)
	if err != nil || !json.Valid(result) || result[0] != '"' {
		t.Errorf("%.20s, %v", result, err)
	}
}
