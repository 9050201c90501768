package api

import (
	"context"
	"slices"

	"webadmin/internal/dict"
	"webadmin/internal/handlers/mw"
	"webadmin/internal/kvdb"
)

// idempotent is part of the input of every call that changes something.
type idempotent struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"200" doc:"Names this change in words of yours. Sent again within a day it is applied once, and gives the same answer. Keys of different users and tokens have nothing to do with each other."`
}

// by says who makes a change, and for which operation.
func (i idempotent) by(ctx context.Context) dict.By {
	p := mw.From(ctx).Principal
	by := dict.By{Who: p.Name}
	if i.IdempotencyKey != "" {
		owner := p.Kind + ":" + p.Name
		if p.TokenID != "" {
			owner = p.Kind + ":" + p.TokenID // names of tokens need not be unique
		}
		by.Op = "api:" + owner + ":" + i.IdempotencyKey
	}
	return by
}

// keyReusedError refuses an Idempotency-Key that named another change before.
type keyReusedError struct{}

func (keyReusedError) Error() string {
	return "the Idempotency-Key named another change before; nothing was done"
}

func (keyReusedError) Is(target error) bool { return target == kvdb.ErrConflict }

// verify checks that a change is the one that was asked for: under a key that was used before, the store gives the
// change that was made then, whatever is asked for now.
func (s *server) verify(ctx context.Context, i idempotent, c dict.Change, did func(items []dict.Item) bool) error {
	if i.IdempotencyKey == "" || c.ID == "" {
		return nil
	}
	items := c.Items
	if c.Large { // entries come first, and an edit touches one of them
		page, err := s.Dict.ChangeItems(ctx, c.ID, "", 2)
		if err != nil {
			return err
		}
		items = page.Items
	}
	if !did(items) {
		return keyReusedError{}
	}
	return nil
}

// wroteEntry says whether a change made an entry what it should be.
func wroteEntry(want dict.Entry) func([]dict.Item) bool {
	return func(items []dict.Item) bool {
		return slices.ContainsFunc(items, func(i dict.Item) bool {
			is := i.EntryAfter
			return is != nil && is.System == want.System && is.Key == want.Key && is.Value == want.Value && (want.ID == "" || is.ID == want.ID)
		})
	}
}

// wroteTranslation says whether a change made a translation what it should be.
func wroteTranslation(want dict.Translation) func([]dict.Item) bool {
	return func(items []dict.Item) bool {
		return slices.ContainsFunc(items, func(i dict.Item) bool {
			is := i.TranslationAfter
			return is != nil && is.Query() == want.Query() && is.Value2 == want.Value2 && (want.ID == "" || is.ID == want.ID)
		})
	}
}

// deleted says whether a change deleted the entry or the translation with an ID.
func deleted(id string) func([]dict.Item) bool {
	return func(items []dict.Item) bool {
		gone := false
		for _, i := range items {
			switch {
			case i.EntryAfter != nil && i.EntryAfter.ID == id, i.TranslationAfter != nil && i.TranslationAfter.ID == id:
				return false // renamed
			case i.EntryBefore != nil && i.EntryBefore.ID == id, i.TranslationBefore != nil && i.TranslationBefore.ID == id:
				gone = true
			}
		}
		return gone
	}
}
