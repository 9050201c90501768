package webhook

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"webadmin/internal/broker"
	"webadmin/internal/kvdb/kvtest"
)

// serving is a broker with workers whose webhook of the service "hook" is at an endpoint.
func serving(t *testing.T, answer http.HandlerFunc) *broker.Store {
	t.Helper()
	s := broker.New(kvtest.Open(t), broker.Options{Secret: []byte("key")})
	c := NewClient("webadmin/test", time.Now)
	s.Handle(s.HasWebhook, broker.HandlerWebhook, Handler(s, c))
	s.Start(t.Context())
	s.StartWorkers(t.Context(), 4)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
		c.Close()
	})
	call := endpoint(t, answer)
	_, err := s.SaveWebhook(t.Context(), broker.Webhook{Service: "hook", URL: call.URL, Secret: "0123456789abcdef",
		AllowPrivate: true, Timeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func ended(t *testing.T, s *broker.Store, c broker.Call) (i broker.Invocation) {
	t.Helper()
	cid, err := s.Invoke(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	kvtest.Await(t, cid+" has ended", func() bool {
		if i, err = s.Invocation(t.Context(), cid); err != nil {
			t.Fatal(err)
		}
		return i.State.Ended()
	})
	return i
}

func TestInvocationsGoToTheWebhook(t *testing.T) {
	t.Parallel()
	s := serving(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var seconds int64
		if _, err := fmt.Sscanf(r.Header.Get("Webadmin-Signature"), "t=%d,", &seconds); err != nil ||
			Sign("0123456789abcdef", time.Unix(seconds, 0), body) != r.Header.Get("Webadmin-Signature") {
			http.Error(w, "the signature is wrong", http.StatusForbidden)
			return
		}
		fmt.Fprintf(w, `{"cid":%q,"got":%s}`, r.Header.Get("Webadmin-Cid"), body)
	})
	i := ended(t, s, broker.Call{Service: "hook", Payload: []byte(`[12345678901234567890]`)})
	if want := `{"cid":"` + i.CID + `","got":[12345678901234567890]}`; i.State != broker.Done || string(i.Result) != want {
		t.Errorf("%s: %s %s", i.State, i.Result, i.Error)
	}
	v, err := s.Service(t.Context(), "hook")
	if err != nil || v.Handler != broker.HandlerWebhook {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestAWebhookThatFails(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	s := serving(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		n := calls.Add(1)
		switch string(body) {
		case `"later"`:
			if r.Header.Get("Webadmin-Attempt") == "1" {
				w.Header().Set("Retry-After", "1")
				w.WriteHeader(http.StatusTooManyRequests)
			}
		case `"huge"`:
			fmt.Fprint(w, strings.Repeat("x", 2<<20))
		case `"broken"`:
			http.Error(w, fmt.Sprintf("no luck, call %d", n), http.StatusInternalServerError)
		}
	})
	start := time.Now()
	i := ended(t, s, broker.Call{Service: "hook", Payload: []byte(`"later"`)})
	if took := time.Since(start); i.State != broker.Done || i.Attempt != 2 || took < time.Second {
		t.Errorf("after %s: %+v", took, i)
	}
	i = ended(t, s, broker.Call{Service: "hook", Payload: []byte(`"broken"`), MaxAttempts: 1})
	if i.State != broker.Dead || !strings.Contains(i.Error, "500 Internal Server Error: no luck") {
		t.Errorf("%+v", i)
	}
	calls.Store(0)
	i = ended(t, s, broker.Call{Service: "hook", Payload: []byte(`"huge"`)})
	if i.State != broker.Dead || i.Attempt != 1 || calls.Load() != 1 || !strings.Contains(i.Error, "has done its work, but its answer has more than") {
		t.Errorf("%d calls: %+v", calls.Load(), i)
	}
}

func TestAWebhookThatHangsHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	s := serving(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})
	var hanging string
	for range 5 {
		var err error
		if hanging, err = s.Invoke(t.Context(), broker.Call{Service: "hook", MaxAttempts: 1}); err != nil {
			t.Fatal(err)
		}
	}
	start := time.Now()
	if i := ended(t, s, broker.Call{Service: "echo"}); i.State != broker.Done || time.Since(start) > time.Second {
		t.Errorf("after %s: %+v", time.Since(start), i)
	}
	if _, err := s.Cancel(t.Context(), hanging); err != nil {
		t.Error(err)
	}
}
