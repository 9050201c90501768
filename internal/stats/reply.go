package stats

import (
	"errors"

	"github.com/redis/go-redis/v9"
)

func mapOf(cmd redis.Cmder) map[string]string {
	if m, ok := cmd.(*redis.MapStringStringCmd); ok {
		return m.Val()
	}
	return nil
}

// textOf is the reply of a HGET; "" = there is none.
func textOf(cmd redis.Cmder) (string, error) {
	if err := cmd.Err(); err != nil && !isNil(err) {
		return "", err
	}
	if c, ok := cmd.(*redis.StringCmd); ok {
		return c.Val(), nil
	}
	return "", nil
}

func isNil(err error) bool { return errors.Is(err, redis.Nil) }
