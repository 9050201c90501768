package lua

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/singleflight"

	"webadmin/internal/kvdb"
)

const (
	cacheFresh = time.Second // how old a look at the version of the uploads gets
	// cacheKept is how old anything gets, whatever the version says: a failover can lose changes, and those made
	// after it have their numbers.
	cacheKept = time.Minute
)

// cacheMost is how many bytes of programs are kept.
var cacheMost = 32 << 20

// cacheCost is what one costs beside its text.
const cacheCost = 512

// cache remembers programs for runs. What it holds is at least as new as its version of the uploads.
type cache struct {
	flights singleflight.Group

	mu      sync.Mutex
	version string    // as it was at checked
	checked time.Time // zero = never
	born    time.Time // when it was empty
	age     int64     // grows when something is forgotten: what was read before that is not kept
	sources map[string]Source
	bytes   int
}

// fresh says whether the version was looked at a short while ago.
func (c *cache) fresh(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	age := now.Sub(c.checked)
	return !c.checked.IsZero() && 0 <= age && age < cacheFresh
}

// look returns a program if it is there, and the age to keep it with if it is not.
func (c *cache) look(name string) (src Source, age int64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	src, ok = c.sources[name]
	return src, c.age, ok
}

// see takes note of the version that the uploads had at a time.
func (c *cache) see(version string, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if version != c.version || at.Sub(c.born) >= cacheKept {
		c.sources, c.bytes, c.born = nil, 0, at
		c.age++
	}
	c.version, c.checked = version, at
}

// keep remembers what was read at an age.
func (c *cache) keep(src Source, age int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if age != c.age {
		return
	}
	if c.sources == nil {
		c.sources = map[string]Source{}
	}
	c.drop(src.Name)
	for name := range c.sources { // any
		if c.bytes+len(src.Text)+cacheCost <= cacheMost {
			break
		}
		c.drop(name)
	}
	c.sources[src.Name] = src
	c.bytes += len(src.Text) + cacheCost
}

func (c *cache) drop(name string) {
	if old, ok := c.sources[name]; ok {
		c.bytes -= len(old.Text) + cacheCost
		delete(c.sources, name)
	}
}

// forget is for what this process has changed.
func (c *cache) forget(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(name)
	c.age++
}

// once does something for all who want it at the same time. It goes on when one of them no longer waits.
func once[T any](ctx context.Context, g *singleflight.Group, key string, f func(ctx context.Context) (T, error)) (T, error) {
	done := g.DoChan(key, func() (any, error) { return f(context.WithoutCancel(ctx)) })
	select {
	case r := <-done:
		return r.Val.(T), r.Err
	case <-ctx.Done():
		var none T
		return none, kvdb.ReadErr("look up the program", ctx.Err())
	}
}

// resolve returns what a run of the name is to run: from memory, but for one look a second at whether
// another process has changed an upload. NotFoundError; an InvalidError for a file that can't be run.
func (s *Store) resolve(ctx context.Context, name string) (Source, error) {
	c := &s.cache
	if !c.fresh(s.now()) {
		_, err := once(ctx, &c.flights, "version", func(ctx context.Context) (string, error) {
			at := s.now()
			version, err := s.db.Client().Get(ctx, s.keys.Version()).Result()
			if err != nil && !errors.Is(err, redis.Nil) {
				return "", kvdb.ReadErr("look up the program", err)
			}
			c.see(version, at)
			return version, nil
		})
		if err != nil {
			return Source{}, err
		}
	}
	src, age, ok := c.look(name)
	if !ok || !s.isNow(src) {
		var err error
		// Who comes after a change doesn't join those who read before it.
		src, err = once(ctx, &c.flights, strconv.FormatInt(age, 10)+" "+name, func(ctx context.Context) (Source, error) {
			src, err := s.Program(ctx, name)
			if err == nil && src.SHA1 != "" {
				c.keep(src, age)
			}
			return src, err
		})
		if err != nil {
			return Source{}, err
		}
	}
	if src.SHA1 == "" {
		return Source{}, kvdb.Invalid("name", "is that of a file which can't be run: %s", src.Error)
	}
	return src, nil
}

// isNow says whether what is kept is still what the directory has.
func (s *Store) isNow(src Source) bool {
	if src.Origin == Upload {
		return true
	}
	x := s.files.all().byName[src.Name]
	if src.Origin == File {
		return x != nil && x.SHA1 == src.SHA1
	}
	return x == nil
}

// Program returns a program with its text, as it is now. A file that can't be run has an Error, and no text if
// that is to blame. NotFoundError.
func (s *Store) Program(ctx context.Context, name string) (Source, error) {
	if CheckName(name) == nil { // else no upload has it
		src, err := s.upload(ctx, name)
		if err != nil || src.Version > 0 {
			src.Overrides = s.below(Upload, name)
			return src, err
		}
	}
	if x := s.files.all().byName[name]; x != nil {
		src, err := s.files.read(x)
		if !errors.Is(err, kvdb.ErrNotFound) {
			src.Overrides = s.below(File, name)
			return src, err
		}
	}
	if src, ok := builtins[name]; ok {
		return src, nil
	}
	return Source{}, s.notFound(ctx, name)
}

// below returns the next origin after one that has a program of the name.
func (s *Store) below(o Origin, name string) Origin {
	if o == Upload && s.files.all().byName[name] != nil {
		return File
	}
	if _, ok := builtins[name]; ok && o != Builtin {
		return Builtin
	}
	return ""
}

// notFound says that there is no program of the name, and what there is. At most nearRead of the uploads are
// looked at, first those that begin alike.
func (s *Store) notFound(ctx context.Context, name string) error {
	const nearRead = 1000
	candidates := slices.Clone(s.files.all().local)
	start := name[:min(len(name), 2)]
	pipe := s.db.Client().Pipeline()
	alike := pipe.ZRangeByLex(ctx, s.keys.Names(), &redis.ZRangeBy{Min: "[" + start, Max: "(" + start + "\xff", Count: nearRead})
	first := pipe.ZRangeByLex(ctx, s.keys.Names(), &redis.ZRangeBy{Min: "-", Max: "+", Count: nearRead})
	if _, err := pipe.Exec(ctx); err != nil {
		return kvdb.ReadErr("look up the program", err)
	}
	candidates = append(append(candidates, alike.Val()...), first.Val()...)
	return &NotFoundError{Name: name, Near: near(name, candidates)}
}
