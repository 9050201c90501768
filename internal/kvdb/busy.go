package kvdb

import "github.com/redis/go-redis/v9"

// IsBusy says whether the server has refused a command because a script keeps it from all else. It is then ErrAway as well.
func IsBusy(err error) bool { return redis.HasErrorPrefix(err, "BUSY ") }
