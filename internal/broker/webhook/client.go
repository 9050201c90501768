package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"
)

// MaxAnswer is how long an answer may be, in bytes.
const MaxAnswer = 1 << 20

const (
	maxErrorText = 1 << 10 // bytes of an answer that says why not
	maxHeader    = 64 << 10
	dialTime     = 5 * time.Second
	idleTime     = time.Minute
	idlePerHost  = 8
)

// Call is one invocation for an endpoint.
type Call struct {
	URL          string
	Secret       string // signs the body
	AllowPrivate bool   // the endpoint may have a private or a loopback address
	Timeout      time.Duration

	Service, CID, InReplyTo string
	Attempt                 int
	Body                    []byte
}

// Client calls endpoints. It is safe for concurrent use.
type Client struct {
	agent           string
	now             func() time.Time
	public, private *http.Client // connections are kept, so those to private addresses are kept apart
}

// NewClient returns a Client that gives agent as its name. Close it.
func NewClient(agent string, now func() time.Time) *Client {
	return &Client{agent: agent, now: now, public: httpClient(false), private: httpClient(true)}
}

// httpClient follows no redirects, uses no proxy (which would connect in its place), asks for no compression (a small answer stays
// small), and checks addresses.
func httpClient(allowPrivate bool) *http.Client {
	dialer := &net.Dialer{Timeout: dialTime, Control: control(allowPrivate)}
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: dialer.DialContext, ForceAttemptHTTP2: true, DisableCompression: true,
			TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, TLSHandshakeTimeout: dialTime,
			MaxIdleConnsPerHost: idlePerHost, IdleConnTimeout: idleTime, MaxResponseHeaderBytes: maxHeader,
		},
	}
}

// Close closes the connections that are kept.
func (c *Client) Close() {
	c.public.CloseIdleConnections()
	c.private.CloseIdleConnections()
}

// StatusError is an answer that says that the invocation was not done.
type StatusError struct {
	Status     int
	Text       string        // the beginning of the answer
	RetryAfter time.Duration // what the endpoint asked for; 0 = nothing
}

func (e *StatusError) Error() string {
	text := "the webhook answered " + strings.TrimSpace(strconv.Itoa(e.Status)+" "+http.StatusText(e.Status))
	if e.Status >= 300 && e.Status < 400 {
		text += "; redirects are not followed"
	}
	if e.Text != "" {
		text += ": " + e.Text
	}
	return text
}

// AnswerError says that the endpoint did its work, and that its answer can't be a result: to call it again is no use.
type AnswerError struct{ why string }

func (e *AnswerError) Error() string { return "the webhook has done its work, but " + e.why }

// Do calls the endpoint once, and returns the result as JSON: what it answered if that is JSON, else as a text, nil if that is empty.
// Errors are *StatusError, *AnswerError, the cause of ctx when that ended, and others, which say in words that the endpoint
// was not reached or did not answer.
func (c *Client) Do(ctx context.Context, call Call) (result []byte, err error) {
	own, cancel := context.WithTimeout(ctx, call.Timeout)
	defer cancel()
	req, err := c.request(own, call)
	if err != nil {
		return nil, err
	}
	client := c.public
	if call.AllowPrivate {
		client = c.private
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, c.inWords(ctx, call, err)
	}
	defer res.Body.Close()
	if res.StatusCode < 200 || res.StatusCode > 299 {
		text, _ := io.ReadAll(io.LimitReader(res.Body, maxErrorText)) // without it, the status says enough
		return nil, &StatusError{Status: res.StatusCode, Text: plain(text), RetryAfter: c.retryAfter(res.Header.Get("Retry-After"))}
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, MaxAnswer+1))
	switch {
	case err != nil:
		return nil, c.inWords(ctx, call, err)
	case len(body) > MaxAnswer:
		return nil, &AnswerError{fmt.Sprintf("its answer has more than %d bytes", MaxAnswer)}
	}
	return asJSON(body)
}

func (c *Client) request(ctx context.Context, call Call) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, call.URL, bytes.NewReader(call.Body))
	if err != nil {
		return nil, err
	}
	// Not Idempotency-Key: with it, the transport would send a request again of which it doesn't know what became.
	for name, value := range map[string]string{
		"Content-Type": "application/json", "Accept": "application/json", "User-Agent": c.agent,
		"Webadmin-Service": call.Service, "Webadmin-Cid": call.CID, "X-Correlation-Id": call.CID, "Webadmin-Attempt": strconv.Itoa(call.Attempt),
		"Webadmin-Signature": Sign(call.Secret, c.now(), call.Body),
	} {
		req.Header.Set(name, value)
	}
	if call.InReplyTo != "" {
		req.Header.Set("Webadmin-In-Reply-To", call.InReplyTo)
	}
	return req, nil
}

// Sign returns the signature of a body at a moment: "t=<Unix seconds>,v1=<hex>".
func Sign(secret string, at time.Time, body []byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(t + "."))
	h.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(h.Sum(nil))
}

// asJSON makes a result of an answer.
func asJSON(body []byte) ([]byte, error) {
	text := bytes.TrimSpace(body)
	switch {
	case len(text) == 0:
		return nil, nil
	case !utf8.Valid(text):
		return nil, &AnswerError{"its answer is not UTF-8 text"}
	case json.Valid(text):
		return text, nil
	}
	return json.Marshal(string(text))
}

// plain makes one line of what an endpoint answered.
func plain(text []byte) string {
	return strings.Join(strings.Fields(strings.ToValidUTF8(string(text), "�")), " ")
}

// retryAfter reads a Retry-After header: seconds, or a date.
func (c *Client) retryAfter(header string) time.Duration {
	if seconds, err := strconv.Atoi(header); err == nil {
		return time.Duration(min(max(seconds, 0), maxRetryAfter)) * time.Second
	}
	at, err := http.ParseTime(header)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(c.now()), 0), maxRetryAfter*time.Second)
}

const maxRetryAfter = 24 * 60 * 60 // seconds

// inWords says why there is no answer, without the addresses of networks that are none of the reader's business.
func (c *Client) inWords(ctx context.Context, call Call, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	host := "the webhook"
	if u, parseErr := url.Parse(call.URL); parseErr == nil {
		host = u.Host
	}
	var (
		refused     *refusedError
		noName      *net.DNSError
		certificate *tls.CertificateVerificationError
		unknown     x509.UnknownAuthorityError
		operation   *net.OpError
		number      syscall.Errno
		late        net.Error
	)
	switch {
	case errors.As(err, &refused):
		return fmt.Errorf("%s %s", host, refused.why)
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &late) && late.Timeout():
		return fmt.Errorf("%s did not answer within %s", host, call.Timeout)
	case errors.As(err, &noName):
		return fmt.Errorf("%s can't be found: its name doesn't resolve", host)
	case errors.As(err, &certificate), errors.As(err, &unknown):
		return fmt.Errorf("the certificate of %s is not trusted: %w", host, errors.Unwrap(err))
	case errors.As(err, &number):
		return fmt.Errorf("%s is not reachable: %w", host, number)
	case errors.As(err, &operation):
		return fmt.Errorf("%s is not reachable: %w", host, operation.Err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%s closed the connection without a whole answer", host)
	}
	var request *url.Error
	if errors.As(err, &request) {
		err = request.Err
	}
	return fmt.Errorf("%s: %w", host, err)
}
