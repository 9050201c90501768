package handlers

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"webadmin/internal/broker"
	"webadmin/internal/dict"
	"webadmin/internal/kvdb"
	"webadmin/web/templates/dictview"
	"webadmin/web/templates/layout"
	"webadmin/web/templates/ui"
)

const (
	metRows = 50  // invocations that the page of a miss shows, unless all are asked for
	metLive = 200 // of how many at most the page keeps itself up to date: all of them are read each time
)

// miss serves GET /dictionaries/misses/one with the five fields of a query: what was not found, its translation once there is one, and the
// invocations that met it. all shows every one of them.
func (p *dictPages) miss(c echo.Context) error {
	q := missAsked(c)
	view, err := p.missView(c, q)
	if err != nil {
		return err
	}
	if wantsFragment(c.Request()) && targets(c.Request(), "met") {
		return render(c, http.StatusOK, dictview.MetOf(view.Met))
	}
	return p.renderMiss(c, http.StatusOK, nil, q, view)
}

func missAsked(c echo.Context) dict.Query {
	return dict.Query{
		System1: query(c, "system1"), Key1: query(c, "key1"), Value1: text(c, "value1"), System2: query(c, "system2"), Key2: query(c, "key2"),
	}
}

// missPosted reads the query out of a form.
func (f posted) missPosted() dict.Query {
	return dict.Query{System1: f.word("system1"), Key1: f.word("key1"), Value1: f.text("value1"), System2: f.word("system2"), Key2: f.word("key2")}
}

func (p *dictPages) missURL(q dict.Query) string { return p.url("dict.miss", queryValues(q)) }

// renderMiss shows a miss: as a part of its page, or all of it. err is why a form is shown again.
func (p *dictPages) renderMiss(c echo.Context, status int, err error, q dict.Query, view dictview.MissOne) error {
	way := append(p.crumbs("dict.misses"), layout.Crumb{Text: short(q.Value1), Mono: true})
	page := dictview.MissOnePage{Page: p.page(c, "Miss "+short(q.Value1), way...), List: p.url("dict.misses"), Miss: view}
	page.Path = p.missURL(q) // also after a form
	return p.again(c, status, err, dictview.MissOneOf(view), dictview.MissAlone(page))
}

// missView reads what the page shows.
func (p *dictPages) missView(c echo.Context, q dict.Query) (v dictview.MissOne, err error) {
	ctx, l := c.Request().Context(), p.view(c)
	m, err := p.Dict.Miss(ctx, q)
	if err != nil {
		return v, err
	}
	got, err := p.Dict.Lookup(ctx, q)
	if err != nil {
		return v, err
	}
	v = missOf(q)
	v.Count, v.First, v.Last = m.Count, m.FirstAt, m.LastAt
	switch {
	case got.Found:
		id, err := p.idOf(ctx, q, got)
		if err != nil {
			return v, err
		}
		v.Badge, v.Answer = dictview.Badge{Kind: "success", Text: "answered"}, &dictview.MissAnswer{Value2: got.Value2}
		if id != "" {
			v.Answer.See = dictview.Link{Text: "See the translation", URL: p.url("dict.translation", id)}
		}
	case m.Count == 0:
		v.Badge = dictview.Badge{Kind: "plain", Text: "no miss"}
		v.Said = "Nobody has looked it up in vain since it was dismissed, or it was so long ago that it was forgotten."
	}
	if !got.Found && l.edit {
		v.Form = p.missForm(q, newOp(), "")
	}
	v.Met = p.met(c, q, got.Found)
	return v, nil
}

// missOf is what is known of a miss without asking anybody.
func missOf(q dict.Query) dictview.MissOne {
	return dictview.MissOne{
		System1: q.System1, Key1: q.Key1, Value1: q.Value1, System2: q.System2, Key2: q.Key2,
		Badge: dictview.Badge{Kind: "warning", Text: "not found"},
	}
}

func (p *dictPages) missForm(q dict.Query, op, value2 string) *dictview.MissForm {
	return &dictview.MissForm{
		Action: p.url("dict.miss.add"), Hidden: missHidden(q, "op", op), Draft: "miss-" + digest(q), Value2: dictview.Input{Value: value2},
	}
}

// missHidden are the fields of a form that name a miss, and others.
func missHidden(q dict.Query, more ...string) []dictview.Hidden {
	return hidden(append([]string{"system1", q.System1, "key1", q.Key1, "value1", q.Value1, "system2", q.System2, "key2", q.Key2}, more...)...)
}

// addMissed serves POST /dictionaries/misses/one: it adds the translation that is missing. Fields as the query of the page, value2 and op.
func (p *dictPages) addMissed(c echo.Context) error {
	f, err := readPosted(c)
	if err != nil {
		return err
	}
	q := f.missPosted()
	t := dict.Translation{System1: q.System1, Key1: q.Key1, Value1: q.Value1, System2: q.System2, Key2: q.Key2, Value2: f.text("value2")}
	if t.Value2 == "" && !f.has("empty") {
		return p.missAgain(c, f, t, errEmpty)
	}
	var made dict.Translation
	var change dict.Change
	by := f.by(c, t.System1, t.Key1, t.Value1, t.System2, t.Key2, t.Value2)
	saved, err := p.save(c, f, by, verbTranslationCreate, "translation "+translationText(t), func() (before, after string, err error) {
		made, change, err = p.Dict.CreateTranslation(c.Request().Context(), by, t, true)
		return "", wholeText(t), err
	}, func(err error) error { return p.missAgain(c, f, t, err) })
	if !saved {
		return err
	}
	return p.missChanged(c, q, p.savedToast(made, change))
}

// missChanged shows a miss after a change.
func (p *dictPages) missChanged(c echo.Context, q dict.Query, toast ui.ToastProps) error {
	if !wantsFragment(c.Request()) {
		return p.done(c, p.missURL(q), toast)
	}
	view, err := p.missView(c, q)
	if err != nil {
		return p.done(c, p.missURL(q), toast) // the change is made; the page says what it can't read
	}
	return render(c, http.StatusOK, templ.Join(dictview.MissOneOf(view), ui.ToastOOB(toast)))
}

// missAgain shows the form again, with why the translation was not added. Errors that have nothing to do with it are returned.
func (p *dictPages) missAgain(c echo.Context, f posted, t dict.Translation, err error) error {
	x := p.troubleOf(c, err, f.op, false)
	if x.status == 0 {
		return err
	}
	q := t.Query()
	view, unread := p.missView(c, q)
	if unread != nil { // what was typed is shown all the same
		view = missOf(q)
		view.Met = dictview.Met{URL: p.missURL(q), Trouble: kvdb.Sentence(unread)}
	}
	form := p.missForm(q, x.op, t.Value2)
	form.State, form.Error, form.Value2.Error = x.state, x.said, x.wrong["value2"]
	if errors.Is(err, errEmpty) {
		form.Hidden = append(form.Hidden, dictview.Hidden{Name: "empty", Value: "1"})
	}
	if view.Answer == nil || x.state == dictview.Unknown {
		view.Form = form
	} else {
		view.Said = x.said // somebody else was quicker: there is nothing left to add
	}
	return p.renderMiss(c, x.status, err, q, view)
}

// retryMissed serves POST /dictionaries/misses/one/retry: it queues the dead letters that met the miss again. Fields as the query of the page,
// and dead: how many it showed.
func (p *dictPages) retryMissed(c echo.Context) error {
	f, err := readPosted(c)
	if err != nil {
		return err
	}
	ctx, q := c.Request().Context(), f.missPosted()
	met, err := p.Dict.Met(ctx, q)
	if err != nil {
		return err
	}
	cids := cidsOf(met)
	if len(cids) == 0 {
		return p.missChanged(c, q, ui.ToastProps{Kind: "info", Text: "Nothing was retried: those that met it are no longer known."})
	}
	var n int64
	err = p.audited(c, verbDeadRetry, "dead letters that met the miss "+queryText(q), func() (before, after string, err error) {
		n, err = p.Broker.RetryDead(ctx, broker.DeadSelect{CIDs: cids}, broker.DeadOptions{})
		return strings.Join(cids, " "), decimal(n) + " retried", err
	})
	p.dead.forget()
	if err != nil {
		return err
	}
	toast := ui.ToastProps{Kind: "success", Text: plural(n, "dead letter") + " queued again."}
	if shown, _ := strconv.ParseInt(f.word("dead"), 10, 64); shown > n {
		toast.Kind = "warning"
		toast.Text += " " + decimal(shown-n) + " of those that were shown" + isAre(shown-n) + " no longer dead."
	}
	return p.missChanged(c, q, toast)
}

func cidsOf(met []dict.Meeting) []string {
	cids := make([]string, len(met))
	for i, m := range met {
		cids[i] = m.CID
	}
	return cids
}

// met says how those are that met a miss. That it can't be had takes nothing else off the page. answered is whether the translation is there.
func (p *dictPages) met(c echo.Context, q dict.Query, answered bool) dictview.Met {
	ctx, every := c.Request().Context(), query(c, "all") != ""
	v := dictview.Met{URL: p.missURL(q)}
	here := queryValues(q)
	here.Set("all", "1")
	if every {
		v.URL = p.url("dict.miss", here)
	}
	list, err := p.Dict.Met(ctx, q)
	var now map[string]broker.Invocation
	if err == nil {
		now, err = p.Broker.InvocationsOf(ctx, cidsOf(list))
	}
	if err != nil {
		v.Trouble = "They can't be listed. " + kvdb.Sentence(err)
		return v
	}
	count := map[broker.State]int64{}
	for i, m := range list {
		x := now[m.CID]
		count[x.State]++
		if x.State == broker.Retrying && (v.Next.IsZero() || x.DueAt.Before(v.Next)) {
			v.Next = x.DueAt
		}
		if every || i < metRows {
			v.Rows = append(v.Rows, p.metRow(m, x))
		}
	}
	if len(v.Rows) < len(list) {
		v.More, v.All = "The newest "+decimal(metRows)+" of "+decimal(int64(len(list))), p.url("dict.miss", here)
	}
	going := false
	for _, s := range broker.States {
		if n := count[s]; n > 0 {
			badge := stateBadge(s)
			v.Figures = append(v.Figures, dictview.MetFigure{Badge: dictview.Badge(badge), N: decimal(n)})
			going = going || !s.Ended()
		}
	}
	if n := count[""]; n > 0 {
		v.Figures = append(v.Figures, dictview.MetFigure{Badge: dictview.Badge{Kind: "plain", Text: "not kept"}, N: decimal(n)})
	}
	v.Live = going && len(list) <= metLive
	p.metActions(c, &v, q, count, answered)
	return v
}

// metActions says what can be done for those that met a miss: the dead ones can be retried once it is answered, others try again by themselves.
func (p *dictPages) metActions(c echo.Context, v *dictview.Met, q dict.Query, count map[broker.State]int64, answered bool) {
	if n := count[broker.Retrying]; n == 1 {
		v.Retries = "One tries again by itself: "
	} else if n > 1 {
		v.Retries = decimal(n) + " try again by themselves, the next "
	}
	dead := count[broker.Dead]
	switch {
	case dead == 0:
	case !answered:
		v.Waits = plural(dead, "dead letter") + " can be retried from here once there is a translation. Before that, " + itThey(dead) + " would fail again."
	case mayEdit(c):
		v.Retry = &dictview.MetRetry{
			Action: p.url("dict.miss.retry"), Button: "Retry " + plural(dead, "dead letter"), Hidden: missHidden(q, "dead", strconv.FormatInt(dead, 10)),
		}
	}
}

func itThey(n int64) string {
	if n == 1 {
		return "it"
	}
	return "they"
}

// metRow is an invocation that met a miss; x is empty if it is no longer kept.
func (p *dictPages) metRow(m dict.Meeting, x broker.Invocation) dictview.MetRow {
	row := dictview.MetRow{
		CID: dictview.Link{Text: m.CID, URL: p.invocationURL(m.CID)}, At: m.At, State: dictview.Badge{Kind: "plain", Text: "no longer kept"},
	}
	if row.CID.URL == "" {
		row.State.Text = "not of this broker"
	}
	if x.CID == "" {
		return row
	}
	moment := stateMoment(x)
	row.Service = dictview.Link{Text: x.Service, URL: p.url("broker.service", x.Service)}
	row.State, row.Word, row.When, row.Error = dictview.Badge(stateBadge(x.State)), moment.Word, moment.At, oneLine(x.Error)
	return row
}

// offerRetry has the toast about a new translation lead to the invocations that had looked for it, if any are known.
func (p *dictPages) offerRetry(c echo.Context, toast *ui.ToastProps, q dict.Query) {
	m, err := p.Dict.Miss(c.Request().Context(), q)
	if err != nil || m.Met == 0 {
		return
	}
	toast.Text += " " + plural(m.Met, "invocation") + " had looked for it."
	toast.LinkText, toast.LinkURL = "Look at them", p.missURL(q)
}
