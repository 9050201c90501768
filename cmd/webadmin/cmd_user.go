package main

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"webadmin/internal/account"
)

func userAdd(ctx context.Context, c *call) error {
	name := c.args[0]
	role, err := account.ParseRole(cmp.Or(c.flags["role"], string(account.Viewer)))
	if err != nil {
		return &usageError{err}
	}
	return c.withStores(ctx, func(ctx context.Context, s *stores) error {
		password, err := c.newPassword(ctx)
		if err != nil {
			return err
		}
		err = s.audited(ctx, "user.create", "user "+name, func() (before, after string, err error) {
			_, err = s.accounts.CreateUser(ctx, name, role, password)
			return "", "role " + string(role), err
		})
		if err != nil {
			return err
		}
		fmt.Fprintf(c.stdout, "added %s as %s\n", name, role)
		return nil
	})
}

func userPasswd(ctx context.Context, c *call) error {
	name := c.args[0]
	return c.withStores(ctx, func(ctx context.Context, s *stores) error {
		if _, err := s.accounts.User(ctx, name); err != nil {
			return err
		}
		password, err := c.newPassword(ctx)
		if err != nil {
			return err
		}
		err = s.audited(ctx, "user.password", "user "+name, func() (before, after string, err error) {
			return "", "", s.accounts.SetPassword(ctx, name, password)
		})
		if err != nil {
			return err
		}
		fmt.Fprintf(c.stdout, "%s has a new password; their sessions have ended\n", name)
		return nil
	})
}

func userRemove(ctx context.Context, c *call) error {
	name := c.args[0]
	return c.withStores(ctx, func(ctx context.Context, s *stores) error {
		u, err := s.accounts.User(ctx, name)
		if err != nil {
			return err
		}
		err = s.audited(ctx, "user.delete", "user "+name, func() (before, after string, err error) {
			return "role " + string(u.Role), "", s.accounts.DeleteUser(ctx, name)
		})
		if err != nil {
			return err
		}
		fmt.Fprintf(c.stdout, "removed %s\n", name)
		return nil
	})
}

func userList(ctx context.Context, c *call) error {
	return c.withStores(ctx, func(ctx context.Context, s *stores) error {
		users, err := s.accounts.Users(ctx)
		if err != nil {
			return err
		}
		table(c.stdout, func(row func(...string)) {
			row("NAME", "ROLE", "STATE", "CREATED", "LAST SIGN-IN")
			for _, u := range users {
				state := "enabled"
				if u.Disabled {
					state = "disabled"
				}
				row(u.Name, string(u.Role), state, stamp(u.CreatedAt), stamp(u.LastSignInAt))
			}
		})
		return nil
	})
}

// stamp is a time for a table; "never" when there was none.
func stamp(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(time.RFC3339)
}
