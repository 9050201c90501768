package handlers

import (
	"errors"

	"github.com/labstack/echo/v4"

	"webadmin/internal/kvdb"
	"webadmin/web/templates/redisview"
	"webadmin/web/templates/ui"
)

// This file changes a key as a whole: when it expires, what it is called, copies of it.

// manage are the forms for the key as a whole, one of them perhaps as it was sent.
func (p *redisKeysPages) manage(c echo.Context, v kvdb.Value, wrong keyFaults) *redisview.KeyManage {
	key := v.Name
	name, escaped := inField(key)
	m := &redisview.KeyManage{
		TTL: p.keyURL("redis.key.ttl", key), Rename: p.keyURL("redis.key.rename", key), Copy: p.keyURL("redis.key.copy", key),
		Delete: p.keyURL("redis.key.delete", key),
		Type:   v.Type, HadTTL: v.TTL != kvdb.NoTTL, Expire: redisview.KeyExpire{Unit: "s"}, Escape: escaped,
		RenameTo: ui.FieldProps{ID: "rename-to", Name: "to", Label: "New name", Value: name, Mono: true},
		CopyTo:   ui.FieldProps{ID: "copy-to", Name: "to", Label: "Name of the copy", Value: name, Mono: true, Hint: "It expires when this one does."},
	}
	if wrong.form == "" {
		return m
	}
	faults, _ := faultsOf(wrong.err)
	var exists *kvdb.KeyExistsError
	said := p.problemOf(wrong.err, c).Detail
	for _, field := range []string{"to", "ttl", "value"} {
		if faults[field] != "" {
			said = faults[field]
		}
	}
	taken := errors.As(wrong.err, &exists)
	switch wrong.form {
	case "ttl":
		m.Expire = expireOf(wrong.f, nil)
		m.Expire.Error = said
	case "rename":
		m.RenameTo.Value, m.RenameTo.Error, m.RenameTo.Autofocus, m.RenameReplace, m.Escape = wrong.f.text("to"), said, true, taken, wrong.f.has("escapes")
	case "copy":
		m.CopyTo.Value, m.CopyTo.Error, m.CopyTo.Autofocus, m.CopyReplace, m.Escape = wrong.f.text("to"), said, true, taken, wrong.f.has("escapes")
	}
	return m
}

// refuseKeyForm shows the page of a key again, with what is wrong with one of its forms.
func (p *redisKeysPages) refuseKeyForm(c echo.Context, key, name string, f form, err error) error {
	said := p.problemOf(err, c)
	switch {
	case errors.Is(err, kvdb.ErrInvalid), errors.Is(err, kvdb.ErrConflict):
		return p.renderKey(c, said.Status, key, keyFaults{form: name, f: f, err: err}, nil)
	}
	return err
}

// setTTL serves POST /redis/key/ttl with the fields type, had_ttl, do (set or persist), amount, unit and at.
func (p *redisKeysPages) setTTL(c echo.Context) error {
	key, err := keyOf(c)
	if err != nil {
		return err
	}
	f, err := readForm(c)
	if err != nil {
		return err
	}
	ttl := kvdb.NoTTL
	if f.word("do") != "persist" {
		if ttl, err = readExpire(f, p.Now()); err == nil && ttl == kvdb.NoTTL {
			err = kvdb.Invalid("ttl", "say when: as a time from now, or as a date")
		}
	}
	if err == nil {
		before := map[bool]string{true: "expires", false: "never expires"}[f.has("had_ttl")]
		err = p.audited(c, verbKeyExpire, keyObject(key), func() (string, string, error) {
			return before, "expires " + ttlText(ttl), p.edit(c, key).SetTTL(c.Request().Context(), f.word("type"), f.has("had_ttl"), ttl)
		})
	}
	if err != nil {
		return p.refuseKeyForm(c, key, "ttl", f, err)
	}
	said := "The key expires " + ttlText(ttl) + "."
	if ttl == kvdb.NoTTL {
		said = "The key never expires."
	}
	return p.done(c, p.keyURL("redis.key", key), ui.ToastProps{Kind: "success", Text: said})
}

// renameKey serves POST /redis/key/rename with the fields type, to, escapes and replace.
func (p *redisKeysPages) renameKey(c echo.Context) error {
	return p.moveKey(c, "rename", verbKeyRename, "Renamed", func(e kvdb.Edit, kind, to string, replace bool) error {
		return e.Rename(c.Request().Context(), kind, to, replace)
	})
}

// copyKey serves POST /redis/key/copy with the same fields.
func (p *redisKeysPages) copyKey(c echo.Context) error {
	return p.moveKey(c, "copy", verbKeyCopy, "Copied", func(e kvdb.Edit, kind, to string, replace bool) error {
		return e.Copy(c.Request().Context(), kind, to, replace)
	})
}

func (p *redisKeysPages) moveKey(c echo.Context, name, verb, said string, do func(e kvdb.Edit, kind, to string, replace bool) error) error {
	key, err := keyOf(c)
	if err != nil {
		return err
	}
	f, err := readForm(c)
	if err != nil {
		return err
	}
	to := f.text("to")
	if f.has("escapes") {
		to, err = unescapeBytes("to", to)
	}
	switch {
	case err != nil:
	case to == key:
		err = kvdb.Invalid("to", "is the name that it has")
	case to == "":
		err = kvdb.Invalid("to", "is empty")
	default:
		err = p.audited(c, verb, keyObject(key), func() (string, string, error) {
			after := kvdb.Shown(to)
			if f.has("replace") {
				after += ", replacing what had this name"
			}
			return kvdb.Shown(key), after, do(p.edit(c, key), f.word("type"), to, f.has("replace"))
		})
	}
	if err != nil {
		return p.refuseKeyForm(c, key, name, f, err)
	}
	return p.done(c, p.keyURL("redis.key", to), ui.ToastProps{Kind: "success", Text: said + " " + kvdb.Shown(key) + " to " + kvdb.Shown(to) + "."})
}
