package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"webadmin/internal/account"
	"webadmin/internal/kvdb"
)

func tokenCreate(ctx context.Context, c *call) error {
	name := c.flags["name"]
	if name == "" {
		return &usageError{errors.New("token create needs --name, which says what the token is for")}
	}
	if c.flags["role"] == "" {
		return &usageError{errors.New("token create needs --role: viewer, operator or admin")}
	}
	role, err := account.ParseRole(c.flags["role"])
	if err != nil {
		return &usageError{err}
	}
	expires, err := parseExpiry(c.flags["expires"], c.now())
	if err != nil {
		return &usageError{fmt.Errorf("--expires: %w", err)}
	}
	return c.withStores(ctx, func(ctx context.Context, s *stores) error {
		var secret string
		err := s.audited(ctx, "token.create", "token "+name, func() (before, after string, err error) {
			t, made, err := s.accounts.CreateToken(ctx, name, role, expires, actor())
			secret = made
			return "", fmt.Sprintf("ID %s, role %s, expires %s", t.ID, role, stamp(expires)), err
		})
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(c.stdout, secret)
		return err
	})
}

func tokenRevoke(ctx context.Context, c *call) error {
	id := c.args[0]
	return c.withStores(ctx, func(ctx context.Context, s *stores) error {
		tokens, err := s.accounts.Tokens(ctx)
		if err != nil {
			return err
		}
		for _, t := range tokens {
			if t.ID != id {
				continue
			}
			err := s.audited(ctx, "token.revoke", "token "+id, func() (before, after string, err error) {
				return fmt.Sprintf("%s, role %s", t.Name, t.Role), "", s.accounts.RevokeToken(ctx, id)
			})
			if err != nil {
				return err
			}
			fmt.Fprintf(c.stdout, "revoked %s (%s)\n", id, t.Name)
			return nil
		}
		return fmt.Errorf("token %q: %w; token list shows the IDs", id, kvdb.ErrNotFound)
	})
}

func tokenList(ctx context.Context, c *call) error {
	return c.withStores(ctx, func(ctx context.Context, s *stores) error {
		tokens, err := s.accounts.Tokens(ctx)
		if err != nil {
			return err
		}
		table(c.stdout, func(row func(...string)) {
			row("ID", "NAME", "ROLE", "BY", "CREATED", "EXPIRES", "LAST USED")
			for _, t := range tokens {
				row(t.ID, t.Name, string(t.Role), t.CreatedBy, stamp(t.CreatedAt), stamp(t.ExpiresAt), stamp(t.LastUsedAt))
			}
		})
		return nil
	})
}

const maxExpiryDays = 36500

// parseExpiry reads "90d", "12h", a date (its end, UTC) or "never"; the zero time means never.
func parseExpiry(s string, now time.Time) (time.Time, error) {
	if s == "" || s == "never" {
		return time.Time{}, nil
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n > 0 && n <= maxExpiryDays {
			return now.AddDate(0, 0, n), nil
		}
	}
	if d, err := time.ParseDuration(s); err == nil && d > 0 {
		return now.Add(d), nil
	}
	if day, err := time.Parse(time.DateOnly, s); err == nil {
		end := day.AddDate(0, 0, 1)
		if !end.After(now) {
			return time.Time{}, fmt.Errorf("%s is past", s)
		}
		return end, nil
	}
	return time.Time{}, fmt.Errorf("%q is none of 90d, 12h, 2027-01-31 and never", s)
}
