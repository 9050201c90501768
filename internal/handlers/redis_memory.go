package handlers

import (
	"cmp"
	"math"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"webadmin/internal/kvdb"
	"webadmin/web/templates/layout"
	"webadmin/web/templates/redisview"
	"webadmin/web/templates/ui"
)

const (
	shownBig    = 100       // of the biggest keys
	runningBig  = 2         // searches at a time
	keepBig     = time.Hour // the result of one
	mostBigText = "1000000" // keys that are looked at unless one asks for more
)

// bigJobs are the searches of this process: the last one of each user.
type bigJobs struct {
	mu   sync.Mutex
	jobs map[string]*kvdb.BigJob
}

// of returns the user's search; nil = there is none, or their role is another now and they may see less.
func (b *bigJobs) of(who, role string) *kvdb.BigJob {
	b.mu.Lock()
	defer b.mu.Unlock()
	if j := b.jobs[who]; j != nil && j.Role == role {
		return j
	}
	return nil
}

// start starts a search in the place of the user's last one. ok is false when too many run.
func (b *bigJobs) start(who string, begin func() (*kvdb.BigJob, error)) (ok bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.jobs == nil {
		b.jobs = map[string]*kvdb.BigJob{}
	}
	running := 0
	for name, j := range b.jobs {
		switch state := j.State(); {
		case state.Ended.IsZero() && name == who:
			j.Cancel()
		case state.Ended.IsZero():
			running++
		case time.Since(state.Ended) > keepBig:
			delete(b.jobs, name)
		}
	}
	if running >= runningBig {
		return false, nil
	}
	j, err := begin()
	if err == nil {
		b.jobs[who] = j
	}
	return true, err
}

// memory serves GET /redis/memory.
func (p *redisInfoPages) memory(c echo.Context) error {
	v := redisview.MemoryPage{Job: p.jobView(c)}
	said, err := p.DB.MemoryDoctor(c.Request().Context())
	if err != nil {
		v.Doctor = []redisview.Doctor{{Text: upperFirst(kvdb.Sentence(err))}}
	}
	for node, text := range said {
		if len(said) == 1 {
			node = ""
		}
		v.Doctor = append(v.Doctor, redisview.Doctor{Node: node, Text: text})
	}
	slices.SortFunc(v.Doctor, func(a, b redisview.Doctor) int { return cmp.Compare(a.Node, b.Node) })
	v.Page = p.page(c, "Memory", append(p.crumbs("redis.info"), layout.Crumb{Text: "Memory"})...)
	p.standIn(v.Page.Nav, p.url("redis.info"))
	return render(c, http.StatusOK, redisview.Memory(v))
}

// standIn marks where in the navigation a page belongs whose own address is not below it.
func (p *redisInfoPages) standIn(nav []layout.NavItem, url string) {
	for i := range nav {
		for j := range nav[i].Sub {
			if nav[i].Sub[j].URL == url {
				nav[i].Current, nav[i].Sub[j].Current = true, true
			}
		}
	}
}

// memoryJob serves GET /redis/memory/job: how far the reader's search is.
func (p *redisInfoPages) memoryJob(c echo.Context) error {
	if !wantsFragment(c.Request()) {
		return redirect(c, p.url("redis.memory"))
	}
	return render(c, http.StatusOK, redisview.JobOf(p.jobView(c)))
}

func (p *redisInfoPages) jobView(c echo.Context) redisview.Job {
	v := redisview.Job{Refresh: p.url("redis.memory.job"), Start: p.url("redis.memory.start"), Cancel: p.url("redis.memory.cancel")}
	v.Form = jobForm("", "", mostBigText)
	j := p.big.of(actor(c), roleOf(c))
	if j == nil {
		return v
	}
	v.Form = jobForm(j.Query.Match, j.Query.Type, strconv.FormatInt(j.Query.Most, 10))
	state := j.State()
	v.Running, v.Known = state.Ended.IsZero(), true
	v.Looked, v.Total = state.Found.Looked, state.Found.Total
	if j.Query.Most > 0 {
		v.Total = min(v.Total, j.Query.Most)
	}
	var all int64
	for _, t := range state.Found.Types {
		all += t.Size
	}
	for _, t := range state.Found.Types {
		v.Types = append(v.Types, redisview.TypeRow{Type: cmp.Or(t.Type, "not known"), Keys: t.Keys, Size: t.Size,
			Share: int(math.Round(100 * float64(t.Size) / float64(max(all, 1))))})
	}
	for _, k := range state.Found.Keys {
		row := redisview.BigKeyRow{Name: k.Name, Type: cmp.Or(k.Type, "not known"), Size: k.Size, TTL: "never", Own: k.Own}
		if k.TTL != kvdb.NoTTL {
			row.TTL = lastingText(k.TTL)
		}
		if p.byName["redis.key"] != nil {
			row.URL = p.keyURL("redis.key", k.Name)
		}
		v.Keys = append(v.Keys, row)
	}
	if v.Running {
		v.Known = len(v.Keys) > 0
		return v
	}
	took := " in " + lastingText(state.Ended.Sub(j.Started)) + "."
	switch looked := plural(state.Found.Looked, "key"); {
	case state.Err != nil:
		v.Trouble = upperFirst(kvdb.Sentence(state.Err))
	case state.Found.Complete:
		v.Note = "All keys were looked at, about " + decimal(state.Found.Looked) + "," + took
	default:
		v.Note = "About " + looked + " of " + decimal(state.Found.Total) + " were looked at" + took + " There may be bigger ones among the rest."
	}
	return v
}

func jobForm(match, kind, most string) redisview.JobForm {
	f := redisview.JobForm{Match: match}
	f.Type = ui.SelectProps{Name: "type", Label: "Type", Value: kind, Options: []ui.Option{
		{Text: "All"}, {Value: "string"}, {Value: "list"}, {Value: "set"}, {Value: "zset", Text: "sorted set"}, {Value: "hash"}, {Value: "stream"},
	}}
	f.Most = ui.SelectProps{Name: "most", Label: "Look at", Value: most, Options: []ui.Option{
		{Value: "100000", Text: "100,000 keys"}, {Value: "1000000", Text: "1,000,000 keys"}, {Value: "0", Text: "all keys"},
	}}
	return f
}

// startBig serves POST /redis/memory with the fields match, type and most.
func (p *redisInfoPages) startBig(c echo.Context) error {
	f, err := readForm(c)
	if err != nil {
		return err
	}
	most, err := strconv.ParseInt(cmp.Or(f.word("most"), mostBigText), 10, 64)
	if err != nil || most < 0 {
		return kvdb.Invalid("most", "must be a number, 0 for all")
	}
	q := kvdb.BigQuery{KeyFilter: kvdb.KeyFilter{Match: f.text("match"), Type: f.word("type")}, Top: shownBig, Most: most}
	ok, err := p.big.start(actor(c), func() (*kvdb.BigJob, error) { return p.DB.StartBigKeys(roleOf(c), q) })
	if err != nil {
		return err
	}
	if !ok {
		toast := ui.ToastProps{Kind: "warning", Text: "Others are looking for big keys already. Try again when they are done."}
		if wantsFragment(c.Request()) {
			return refuseFragment(c, http.StatusTooManyRequests, toast)
		}
		return p.done(c, p.url("redis.memory"), toast)
	}
	return p.showJob(c)
}

// cancelBig serves POST /redis/memory/cancel. What was found stays.
func (p *redisInfoPages) cancelBig(c echo.Context) error {
	if j := p.big.of(actor(c), roleOf(c)); j != nil {
		j.Cancel()
		select {
		case <-j.Done():
		case <-time.After(time.Second):
		}
	}
	return p.showJob(c)
}

func (p *redisInfoPages) showJob(c echo.Context) error {
	if !wantsFragment(c.Request()) {
		return redirect(c, p.url("redis.memory"))
	}
	return render(c, http.StatusOK, redisview.JobOf(p.jobView(c)))
}
