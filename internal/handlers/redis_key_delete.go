package handlers

import (
	"errors"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"webadmin/internal/kvdb"
	"webadmin/web/templates/redisview"
	"webadmin/web/templates/ui"
)

// askDeleteKey serves GET /redis/key/delete: what the key holds, and the question.
func (p *redisKeysPages) askDeleteKey(c echo.Context) error {
	key, err := keyOf(c)
	if err != nil {
		return err
	}
	return p.renderDeletion(c, http.StatusOK, key, "")
}

func (p *redisKeysPages) renderDeletion(c echo.Context, status int, key, notice string) error {
	const sample = 10
	v, err := p.DB.ReadValue(c.Request().Context(), roleOf(c), kvdb.ValueQuery{Key: key, Limit: sample})
	if errors.Is(err, kvdb.ErrNotFound) {
		return p.renderGone(c, key, nil)
	}
	if err != nil {
		return err
	}
	page := redisview.KeyDeletePage{
		Page: p.keysStep(c, "Delete "+shortKey(key), "Delete", shortKey(key)), Title: nameText(key), Kind: kindName(v.Type), Notice: notice,
		Holds:  []string{"A " + kindName(v.Type) + ",", lengthText(v) + ",", byteSize(v.Size) + " in memory.", "It expires " + ttlText(v.TTL) + "."},
		Action: p.keyURL("redis.key.delete.do", key), Cancel: p.keyURL("redis.key", key),
		Hidden: []redisview.KeyHidden{{Name: "type", Value: v.Type}},
	}
	if v.TTL == kvdb.NoTTL {
		page.Holds[3] = "It never expires."
	}
	if v.Type == "string" && v.Next == "" {
		page.Hidden = append(page.Hidden, redisview.KeyHidden{Name: "seen", Value: kvdb.Digest(v.Text)})
	}
	if v.Type == "string" && v.Text != "" {
		page.Sample = append(page.Sample, partText(kvdb.Part{Text: v.Text, Size: v.Length}, shownValue))
	}
	for _, e := range v.Elements[:min(len(v.Elements), sample)] {
		page.Sample = append(page.Sample, elementText(v.Type, e))
	}
	if n := v.Length - int64(len(page.Sample)); v.Type != "string" && n > 0 && len(page.Sample) > 0 {
		page.Holds = append(page.Holds, "The first of what it holds:")
	}
	return render(c, status, redisview.KeyDelete(page))
}

// elementText is an element in one line.
func elementText(kind string, e kvdb.Element) redisview.KeyText {
	const most = 120
	switch kind {
	case "list":
		return partText(e.Value, most)
	case "hash":
		name, value := partText(e.Name, most), partText(e.Value, most)
		return redisview.KeyText{Text: name.Text + ": " + value.Text, More: value.More}
	case "stream":
		return redisview.KeyText{Text: e.ID}
	case "zset":
		member := partText(e.Name, most)
		return redisview.KeyText{Text: e.Score + " " + member.Text, More: member.More}
	}
	return partText(e.Name, most)
}

// deleteKey serves POST /redis/key/delete with the fields type and, of a string, seen.
func (p *redisKeysPages) deleteKey(c echo.Context) error {
	key, err := keyOf(c)
	if err != nil {
		return err
	}
	f, err := readForm(c)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	before := ""
	if v, err := p.DB.ReadValue(ctx, roleOf(c), kvdb.ValueQuery{Key: key, Limit: 1}); err == nil {
		before = keyWords(v)
	}
	err = p.audited(c, verbKeyDelete, keyObject(key), func() (string, string, error) {
		return before, "", p.edit(c, key).Delete(ctx, f.word("type"), f.word("seen"))
	})
	var changed *kvdb.KeyChangedError
	if errors.As(err, &changed) && changed.Type != "none" {
		return p.renderDeletion(c, http.StatusConflict, key, p.problemOf(err, c).Detail+" Look again.")
	}
	if err != nil && changed == nil {
		return err
	}
	return p.done(c, p.url("redis.keys"), ui.ToastProps{Kind: "success", Text: kvdb.Shown(key) + " is deleted."})
}

// keyWords is a key in the audit log.
func keyWords(v kvdb.Value) string {
	words := kindName(v.Type) + ", " + lengthText(v)
	if v.Type == "string" {
		words += ": " + kvdb.Shown(v.Text)
	}
	if v.TTL != kvdb.NoTTL {
		words += ", expires in " + v.TTL.Round(time.Second).String()
	}
	return words
}
