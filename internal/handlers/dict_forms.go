package handlers

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"webadmin/internal/dict"
	"webadmin/internal/kvdb"
	"webadmin/web/templates/dictview"
	"webadmin/web/templates/ui"
)

// newOp makes a token for a form.
func newOp() string { return rand.Text() }

// posted is what every form of an item sends besides its fields.
type posted struct {
	form
	op      string // token of the form
	back    string // page of ours to go to when all is done; "" = the list
	version int64
	check   bool // asks what became of the form when it was sent before
}

func readPosted(c echo.Context) (posted, error) {
	f, err := readForm(c)
	if err != nil {
		return posted{}, err
	}
	version, _ := strconv.ParseInt(f.word("version"), 10, 64) // 0 fits nothing, so that it is stale
	return posted{form: f, op: f.word("op"), back: localPath(f.word("back")), version: version, check: f.has("check")}, nil
}

// backTo is the page to go to when all is done.
func (f posted) backTo(list string) string {
	if f.back == "" {
		return list
	}
	return f.back
}

// by names the operation: the form's token, and all that was typed. So a form that is sent twice is one operation, and one that
// was changed before it was sent again is another.
func (f posted) by(c echo.Context, fields ...string) dict.By {
	if f.op == "" {
		return dict.By{Who: actor(c)}
	}
	h := sha256.New()
	for _, s := range append(fields, c.Path(), actor(c)) {
		h.Write([]byte(strconv.Itoa(len(s)) + ":" + s))
	}
	return dict.By{Who: actor(c), Op: f.op + "." + hex.EncodeToString(h.Sum(nil)[:12])}
}

var (
	// errNotDone says that a form that was sent before was not done, for good.
	errNotDone = errors.New("it was not done")
	// errEmpty says that a new item has no value: that may be meant, or a slip of the Enter key.
	errEmpty = errors.New("nothing is typed")
)

// settle finds out what became of the operation, when the form asks for it. errNotDone; ErrUnknown when nobody knows still. Without
// an error it was done, or is sent only now; repeating it is harmless and gives what it gave.
func (p *dictPages) settle(ctx context.Context, f posted, by dict.By) error {
	if !f.check {
		return nil
	}
	_, done, err := p.Dict.Outcome(ctx, by.Op)
	switch {
	case err != nil:
		return &kvdb.UnknownError{Op: "check", Err: err}
	case !done:
		return errNotDone
	}
	return nil
}

// save makes the change that a form asks for, and its audit record. again shows the form with why that failed.
func (p *dictPages) save(c echo.Context, f posted, by dict.By, verb, object string, put func() (before, after string, err error), again func(error) error) (saved bool, err error) {
	err = p.settle(c.Request().Context(), f, by)
	if err == nil {
		err = p.audited(c, verb, object, put)
	}
	if err != nil {
		return false, again(err)
	}
	return true, nil
}

// trouble is why a form could not be saved, and what it says when it is shown again.
type trouble struct {
	status int // 0 = it has nothing to do with the form
	state  dictview.State
	op     string // token of the form that is shown again
	said   string // about the whole
	exists string // ID of what is in the way
	wrong  faults
	stale  dict.StaleError // as the thing is now
}

// troubleOf says what to make of an error. op is the token of the form that was sent, existing whether it is of a thing that was there.
func (p *dictPages) troubleOf(c echo.Context, err error, op string, existing bool) trouble {
	t := trouble{op: op} // the same token, so that what was perhaps done is not done again
	var (
		stale   *dict.StaleError
		exists  *dict.ExistsError
		missing *dict.MissingEntriesError
	)
	invalid := false
	t.wrong, invalid = faultsOf(err)
	switch {
	case errors.As(err, &stale):
		t.status, t.state, t.op, t.stale = http.StatusConflict, dictview.Stale, newOp(), *stale
		if stale.Entry == nil && stale.Translation == nil {
			t.state = dictview.Gone
		}
	case existing && errors.Is(err, kvdb.ErrNotFound):
		t.status, t.state, t.op = http.StatusConflict, dictview.Gone, newOp()
	case errors.Is(err, errNotDone):
		t.status, t.state, t.op = http.StatusConflict, dictview.NotDone, newOp()
	case errors.Is(err, errEmpty):
		t.status, t.said = http.StatusUnprocessableEntity, "Nothing is typed as a value. The empty value is a value too: save once more if that is meant."
	case errors.Is(err, kvdb.ErrUnknown):
		t.status, t.state = http.StatusGatewayTimeout, dictview.Unknown
	case errors.As(err, &exists):
		t.status, t.said, t.exists = http.StatusConflict, p.problemOf(err, c).Detail, exists.ID
	case errors.As(err, &missing):
		t.status, t.said = http.StatusUnprocessableEntity, missingSaid(missing.Entries)
	case invalid:
		t.status = http.StatusUnprocessableEntity
	case errors.Is(err, kvdb.ErrInvalid), errors.Is(err, kvdb.ErrConflict), errors.Is(err, kvdb.ErrAway):
		said := p.problemOf(err, c)
		t.status, t.said = said.Status, said.Detail
	}
	return t
}

// missingSaid names the ends of a translation that are no entries.
func missingSaid(entries []dict.Entry) string {
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = entryText(e)
	}
	return "There is no entry " + strings.Join(names, " and no entry ") + ". Tick the box to have them created with the translation."
}

// into puts the trouble into a form. what is entry or translation; back is where to go from a thing that is gone.
func (p *dictPages) into(f *dictview.Form, t trouble, what, list, back string, fields ...string) {
	f.State, f.Error = t.state, t.said
	if t.exists != "" {
		f.See = dictview.Link{Text: "Edit that one", URL: p.url("dict."+what+".edit", t.exists)}
	}
	if t.state == dictview.Gone {
		f.Again, f.Cancel = list, back
	}
	for _, field := range fields {
		if t.wrong[field] != "" {
			f.Focus = field
			break
		}
	}
}

// again shows a form that could not be saved, with all that was typed. When nothing was done because a server is away, the form
// of a fragment is still where it is: a toast says so.
func (p *dictPages) again(c echo.Context, status int, err error, fragment, page templ.Component) error {
	if !wantsFragment(c.Request()) {
		return render(c, status, page)
	}
	switch status {
	case http.StatusServiceUnavailable:
		return err
	case http.StatusGatewayTimeout:
		swapAnyway(c, "outerHTML")
		return render(c, status, templ.Join(fragment, ui.ToastOOB(toastOf(p.problemOf(err, c)))))
	}
	return render(c, status, fragment)
}

// backOf is where a form was opened from: what the address says, or the list with its filters, or else the list.
func backOf(c echo.Context, list string) string {
	if back := localPath(c.QueryParam("back")); back != "" {
		return back
	}
	if from := ownPath(c.Request(), c.Request().Referer()); addressPath(from) == list {
		return from
	}
	return list
}

func addressPath(address string) string {
	path, _, _ := strings.Cut(address, "?")
	return path
}

// typedIn looks a field up by its name.
func typedIn(pairs ...string) func(field string) string {
	return func(field string) string {
		for i := 0; i+1 < len(pairs); i += 2 {
			if pairs[i] == field {
				return pairs[i+1]
			}
		}
		return ""
	}
}
