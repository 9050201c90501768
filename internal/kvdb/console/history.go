package console

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"webadmin/internal/kvdb"
)

const (
	maxHistory     = 500
	maxHistoryLine = 4 << 10 // bytes; longer ones are not remembered
)

// HistoryLine is a line that somebody typed.
type HistoryLine struct {
	At   time.Time
	Line string
}

// History returns the lines that somebody typed which contain q, in any case, the newest first, at most limit of them (0 = all: 500 at
// most). The errors are kvdb.ErrAway.
func (c *Console) History(ctx context.Context, who, q string, limit int) ([]HistoryLine, error) {
	all, err := c.db.Client().LRange(ctx, c.db.Keys().Console().History(who), 0, maxHistory-1).Result()
	if err != nil {
		return nil, kvdb.ReadErr("history", err)
	}
	var lines []HistoryLine
	q = strings.ToLower(q)
	for _, item := range all {
		at, line, _ := strings.Cut(item, " ")
		if !strings.Contains(strings.ToLower(line), q) {
			continue
		}
		ms, _ := strconv.ParseInt(at, 10, 64)
		lines = append(lines, HistoryLine{time.UnixMilli(ms), line})
		if len(lines) == limit {
			break
		}
	}
	return lines, nil
}

// ForgetHistory deletes the history of somebody. The errors are those of a write.
func (c *Console) ForgetHistory(ctx context.Context, who string) error {
	return kvdb.WriteErr("history", c.db.Client().Del(ctx, c.db.Keys().Console().History(who)).Err())
}

// appendHistory puts a line on top of a history, and doesn't repeat the one that is there.
//
//	KEYS[1]  LIST
//	ARGV[1]  Unix time in ms
//	ARGV[2]  the line
//	ARGV[3]  how many lines to keep
//	Returns 1 if it is a new one, else 0.
var appendHistory = kvdb.NewScript(`
local item = ARGV[1] .. ' ' .. ARGV[2]
local last = redis.call('LINDEX', KEYS[1], 0)
if last and last:sub((last:find(' ', 1, true)) + 1) == ARGV[2] then
  redis.call('LSET', KEYS[1], 0, item)
  return 0
end
redis.call('LPUSH', KEYS[1], item)
redis.call('LTRIM', KEYS[1], 0, ARGV[3] - 1)
return 1`)

// remember puts a command into the history. Secrets are masked; of a command that the server doesn't know, which may be a misspelt
// AUTH, nothing is kept. A history that can't be written is no reason not to run the command.
func (c *Console) remember(ctx context.Context, who string, cmd Command, class kvdb.Class) {
	if !class.Known {
		return
	}
	line := strings.TrimSpace(cmd.Text)
	if masked := kvdb.Masked(cmd.Args); line == "" || !slices.Equal(masked, cmd.Args) {
		line = Join(masked)
		if cmd.Repeat > 1 {
			line = strconv.Itoa(cmd.Repeat) + " " + line
		}
	}
	if len(line) > maxHistoryLine {
		return
	}
	key := c.db.Keys().Console().History(who)
	_ = appendHistory.Run(ctx, c.db, []string{key}, c.o.Now().UnixMilli(), line, maxHistory).Err()
}
