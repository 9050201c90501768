package handlers

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"webadmin/internal/broker"
	"webadmin/internal/kvdb"
	"webadmin/web/templates/brokerview"
	"webadmin/web/templates/ui"
)

// policyParts are the parts of a policy as the form has them. The names are those of the broker, so that its errors find their fields.
var policyParts = []struct {
	name, label, hint string
	get               func(broker.Policy) string
	set               func(*broker.Policy, string) error
}{
	{
		"max_attempts", "Attempts", "runs, until it is dead",
		func(x broker.Policy) string { return strconv.Itoa(x.MaxAttempts) },
		func(x *broker.Policy, s string) error { return readCount("max_attempts", s, 100, &x.MaxAttempts) },
	},
	{
		"lease_ms", "Lease", "a worker may be silent",
		func(x broker.Policy) string { return typedSpan(x.Lease) },
		func(x *broker.Policy, s string) error { return readSpanTo("lease_ms", s, &x.Lease) },
	},
	{
		"backoff_ms", "Backoff", "before the second run, at most",
		func(x broker.Policy) string { return typedSpan(x.Backoff) },
		func(x *broker.Policy, s string) error { return readSpanTo("backoff_ms", s, &x.Backoff) },
	},
	{
		"backoff_most_ms", "Longest backoff", "it doubles up to this",
		func(x broker.Policy) string { return typedSpan(x.BackoffMost) },
		func(x *broker.Policy, s string) error { return readSpanTo("backoff_most_ms", s, &x.BackoffMost) },
	},
	{
		"keep_ms", "Keep ended ones", "done, expired, cancelled",
		func(x broker.Policy) string { return typedSpan(x.KeepDone) },
		func(x *broker.Policy, s string) error { return readSpanTo("keep_ms", s, &x.KeepDone) },
	},
	{
		"keep_n", "and at most", "of each",
		func(x broker.Policy) string { return decimal(int64(x.KeepDoneN)) },
		func(x *broker.Policy, s string) error { return readCount("keep_n", s, mostKept, &x.KeepDoneN) },
	},
	{
		"dead_keep_ms", "Keep dead letters", "",
		func(x broker.Policy) string { return typedSpan(x.KeepDead) },
		func(x *broker.Policy, s string) error { return readSpanTo("dead_keep_ms", s, &x.KeepDead) },
	},
	{
		"dead_keep_n", "and at most", "",
		func(x broker.Policy) string { return decimal(int64(x.KeepDeadN)) },
		func(x *broker.Policy, s string) error { return readCount("dead_keep_n", s, mostKept, &x.KeepDeadN) },
	},
}

// mostKept bounds what a form may ask to be kept.
const mostKept = 10_000_000

func readCount(field, s string, most int, to *int) error {
	n, err := strconv.Atoi(strings.ReplaceAll(s, ",", ""))
	if err != nil || n < 1 || n > most {
		return kvdb.Invalid(field, "must be a number from 1 to %s", decimal(int64(most)))
	}
	*to = n
	return nil
}

func readSpanTo(field, s string, to *time.Duration) error {
	d, err := readSpan(field, s)
	if err == nil && d < time.Millisecond {
		err = kvdb.Invalid(field, "must be longer than nothing")
	}
	*to = d
	return err
}

// policyForm is the form with a policy as it is; for readers who may not change it, its values.
func (p *brokerPages) policyForm(c echo.Context, name string, policy broker.Policy) brokerview.PolicyForm {
	f := brokerview.PolicyForm{Version: strconv.FormatInt(policy.Version, 10)}
	if mayEdit(c) {
		f.Action = p.url("broker.service.policy", name)
	}
	if policy.Version == 0 {
		f.Changed = "the default"
	}
	for _, part := range policyParts {
		f.Fields = append(f.Fields, brokerview.PolicyField{Name: part.name, Label: part.label, Hint: part.hint, Value: part.get(policy)})
	}
	return f
}

// setPolicy serves POST /broker/services/:name/policy with the fields of policyParts and version.
func (p *brokerPages) setPolicy(c echo.Context) error {
	f, err := readForm(c)
	if err != nil {
		return err
	}
	ctx, name := c.Request().Context(), param(c, "name")
	policy, err := readPolicy(f)
	var saved broker.Policy
	if err == nil {
		err = p.audited(c, verbServicePolicy, serviceObject(name), func() (before, after string, err error) {
			was, err := p.Broker.Service(ctx, name)
			if err != nil {
				return "", "", err
			}
			saved, err = p.Broker.SetPolicy(ctx, name, policy)
			return policyText(was.Policy), policyText(saved), err
		})
	}
	if err != nil {
		return p.policyAgain(c, f, err)
	}
	toast := ui.ToastProps{Kind: "success", Text: "The policy of " + name + " is saved."}
	if !wantsFragment(c.Request()) {
		return p.done(c, p.url("broker.service", name), toast)
	}
	return render(c, http.StatusOK, templ.Join(brokerview.PolicyOf(p.policyForm(c, name, saved)), ui.ToastOOB(toast)))
}

func readPolicy(f form) (broker.Policy, error) {
	var policy broker.Policy
	var wrong kvdb.InvalidError
	for _, part := range policyParts {
		var invalid *kvdb.InvalidError
		if err := part.set(&policy, f.word(part.name)); errors.As(err, &invalid) {
			wrong.Fields = append(wrong.Fields, invalid.Fields...)
		}
	}
	policy.Version, _ = strconv.ParseInt(f.word("version"), 10, 64)
	if len(wrong.Fields) > 0 {
		return policy, &wrong
	}
	return policy, nil
}

// policyAgain shows the form again with what was typed, what is wrong with it, and what somebody else has made of it meanwhile.
func (p *brokerPages) policyAgain(c echo.Context, f form, err error) error {
	var stale *broker.StaleError
	wrong, invalid := faultsOf(err)
	if !invalid && !errors.As(err, &stale) {
		return err
	}
	name, status := param(c, "name"), http.StatusUnprocessableEntity
	now := broker.Policy{Version: -1}
	if stale != nil {
		now, status = stale.Current, http.StatusConflict
	}
	form := p.policyForm(c, name, now)
	if stale == nil {
		form.Version, form.Changed = f.word("version"), ""
	} else {
		form.Stale, form.Error = true, "Nothing was saved: somebody else has changed the policy meanwhile. What differs is said below each field."
	}
	for i, x := range form.Fields {
		typed := f.word(x.Name)
		if stale != nil && typed != x.Value {
			form.Fields[i].Theirs = x.Value
		}
		form.Fields[i].Value, form.Fields[i].Error = typed, wrong[x.Name]
	}
	if wantsFragment(c.Request()) {
		return render(c, status, brokerview.PolicyOf(form))
	}
	x, err := p.Broker.Service(c.Request().Context(), name)
	if err != nil {
		return err
	}
	return p.renderService(c, status, x, form)
}

// policyText says a policy for the audit log.
func policyText(x broker.Policy) string {
	return fmt.Sprintf("%d attempts, backoff %s to %s, lease %s, ended kept %s and %s, dead kept %s and %s", x.MaxAttempts,
		typedSpan(x.Backoff), typedSpan(x.BackoffMost),
		typedSpan(x.Lease), typedSpan(x.KeepDone), decimal(int64(x.KeepDoneN)), typedSpan(x.KeepDead), decimal(int64(x.KeepDeadN)))
}
