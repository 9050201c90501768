package broker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"time"

	"webadmin/internal/kvdb"
)

const (
	maxError   = 16 << 10
	maxExample = 500
	mostRetry  = 30 * 24 * time.Hour
)

// acked is one acknowledgement on its way.
type acked struct {
	cid, lease string
	result     []byte
	answer     any
	err        error
}

// Ack ends an attempt well: the invocation is done. result is JSON, nil = none. Errors: *LeaseLostError, also when it is done already;
// kvdb.ErrNotFound, kvdb.InvalidError, *JSONError, *TooLargeError.
func (s *Store) Ack(ctx context.Context, cid, lease string, result []byte) error {
	if err := s.checkBody("result", result); err != nil {
		return err
	}
	service, err := s.ServiceOf(ctx, cid)
	if err != nil {
		return err
	}
	a := &acked{cid: cid, lease: lease, result: result}
	if len(result) > alonePayload {
		s.ackMany(ctx, service, []*acked{a})
	} else if err := s.acking.of(service, s.ackMany).Add(ctx, a); err != nil {
		return changeErr("acknowledge", cid, err)
	}
	if a.err != nil {
		return changeErr("acknowledge", cid, a.err)
	}
	if a.answer == int64(1) {
		s.posted.add(service)
	}
	return lost(cid, a.answer)
}

// ackMany ends several attempts of a service in one step.
func (s *Store) ackMany(ctx context.Context, service string, all []*acked) {
	args := make([]any, 0, 3*len(all))
	for _, a := range all {
		args = append(args, a.cid, a.lease, a.result)
	}
	answers, err := s.run(ctx, ackScript, service, args...).Slice()
	if err == nil && len(answers) != len(all) {
		err = fmt.Errorf("broker: %d answers for %d acknowledgements", len(answers), len(all))
	}
	for i, a := range all {
		if a.err = err; err == nil {
			a.answer = answers[i]
		}
	}
}

// lost is the error of an answer that is the state of an invocation; a number is none.
func lost(cid string, answer any) error {
	state, ok := answer.(string)
	switch {
	case !ok:
		return nil
	case state == "":
		return fmt.Errorf("broker: invocation %s: %w", cid, kvdb.ErrNotFound)
	}
	return &LeaseLostError{CID: cid, State: State(state)}
}

// changeErr gives the error of a change its kind; where the outcome is unknown, the page of the invocation tells.
func changeErr(verb, cid string, err error) error {
	var unknown *kvdb.UnknownError
	if err = kvdb.WriteErr("broker: "+verb+" "+cid, err); errors.As(err, &unknown) {
		unknown.Check = "/broker/invocations/" + cid
	}
	return err
}

// How an attempt ends that doesn't end well.
const (
	endRetry = "retry" // it may be tried again
	endDead  = "dead"  // it can't succeed
	endBack  = "back"  // it was not finished: it doesn't count
)

// Nack ends an attempt that failed. It is tried again after retryAfter (< 0 = as the policy says, longer each time), or dead if its
// attempts are used up. Of errText 16 KiB are kept. Errors: *LeaseLostError, kvdb.ErrNotFound.
func (s *Store) Nack(ctx context.Context, cid, lease, errText string, retryAfter time.Duration) error {
	if retryAfter > mostRetry {
		return kvdb.Invalid("retry_after_ms", "must be at most %d", mostRetry.Milliseconds())
	}
	return s.endAttempt(ctx, cid, lease, endRetry, errText, retryAfter)
}

// fail is Nack of what can't succeed: it is dead at once.
func (s *Store) fail(ctx context.Context, cid, lease, errText string) error {
	return s.endAttempt(ctx, cid, lease, endDead, errText, -1)
}

// giveBack puts an invocation that was not finished to the front of its queue, as if its worker had never had it.
func (s *Store) giveBack(ctx context.Context, cid, lease string) error {
	return s.endAttempt(ctx, cid, lease, endBack, "", -1)
}

func (s *Store) endAttempt(ctx context.Context, cid, lease, how, errText string, retryAfter time.Duration) error {
	service, err := s.ServiceOf(ctx, cid)
	if err != nil {
		return err
	}
	wait := int64(-1)
	if retryAfter >= 0 {
		wait = millis(retryAfter)
	}
	errText = cutText(errText, maxError)
	channel, text := s.doorbell(service)
	reply, err := s.run(ctx, nackScript, service, channel, text, cid, lease, how,
		errText, fingerprint(errText), cutText(errText, maxExample), wait, rand.Float64()).Slice()
	if err != nil {
		return changeErr("end the attempt of", cid, err)
	}
	if len(reply) != 2 {
		return fmt.Errorf("broker: the end of an attempt answered %v", reply)
	}
	if reply[1] != int64(1) {
		return lost(cid, reply[0])
	}
	if reply[0] == string(Queued) {
		s.bell.ring(service)
	}
	return nil
}

// Extend makes a lease end its whole length from now, and returns when that is by the clock of Redis. Errors: *LeaseLostError,
// kvdb.ErrNotFound.
func (s *Store) Extend(ctx context.Context, cid, lease string) (until time.Time, err error) {
	service, err := s.ServiceOf(ctx, cid)
	if err != nil {
		return time.Time{}, err
	}
	reply, err := s.run(ctx, extendScript, service, cid, lease).Result()
	if err != nil {
		return time.Time{}, changeErr("extend the lease of", cid, err)
	}
	if err := lost(cid, reply); err != nil {
		return time.Time{}, err
	}
	ms, _ := reply.(int64)
	return time.UnixMilli(ms).UTC(), nil
}

// Cancel takes back an invocation that has not ended, and returns it as it is then. A worker that has it loses its lease. Errors:
// *StateError if it has ended, kvdb.ErrNotFound.
func (s *Store) Cancel(ctx context.Context, cid string) (Invocation, error) {
	service, err := s.ServiceOf(ctx, cid)
	if err != nil {
		return Invocation{}, err
	}
	was, err := s.run(ctx, cancelScript, service, cid).Text()
	if err != nil {
		return Invocation{}, changeErr("cancel", cid, err)
	}
	if was == "" {
		return Invocation{}, fmt.Errorf("broker: invocation %s: %w", cid, kvdb.ErrNotFound)
	}
	if State(was).Ended() {
		return Invocation{}, &StateError{CID: cid, State: State(was)}
	}
	return s.Invocation(ctx, cid)
}

// changing matches what differs between errors of one kind: quoted text, IDs, numbers.
var changing = regexp.MustCompile(`"[^"]*"|'[^']*'|\b[0-9a-fA-F]{8,}(?:-[0-9a-fA-F]+)*\b|[0-9]+(?:[.:][0-9]+)*`)

// fingerprint is the same for errors that differ in such things only.
func fingerprint(errText string) string {
	first, _, _ := strings.Cut(errText, "\n")
	sum := sha256.Sum256([]byte(changing.ReplaceAllString(cutText(first, maxExample), "…")))
	return hex.EncodeToString(sum[:8])
}

// cutText makes a text UTF-8 of at most that many bytes.
func cutText(text string, most int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most-len("…")], "") + "…"
}
