package lua

import (
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// TestCheck: the server's word decides whether a text compiles, and what there is to call.
func TestCheck(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		s := newStore(t, db)
		const eof = "'end' expected (to close 'if' at line 1) near '<eof>'"
		for text, want := range map[string][]Problem{
			"return redis.call('GET', KEYS[1]) or cjson.encode({bit.band(1, 2), struct.pack('b', 1), #cmsgpack.pack(1)})": nil,
			"#!lua flags=no-writes\nlocal n = redis.call('OBJECT', 'FREQ', KEYS[1])\nreturn math.floor(n)":                nil,
			"if true then\n":                   {{2, 0, true, "syntax", eof}},
			"return 1 +* 2":                    {{1, 11, true, "syntax", "unexpected symbol near '*'"}},
			"local x = 1\nx = 'a\n":            {{2, 5, true, "syntax", "unfinished string near ''a'"}},
			"goto x":                           {{1, 1, true, "syntax", "'=' expected near 'x'"}},
			"break":                            {{1, 0, true, "syntax", "no loop to break near '<eof>'"}},
			"#!lua flags=alow-oom\nx=1":        {{1, 13, true, "syntax", "Unexpected flag in script shebang: alow-oom"}},
			"return 0x1p4":                     {{1, 11, false, "parse", "the server accepts the text, but the further checks can't read it: "}},
			"return kyes":                      {{1, 8, false, "undefined-global", "there is no kyes"}},
			"return redis.cal('GET', KEYS[1])": {{1, 14, false, "unknown-member", "there is no redis.cal; did you mean redis.call?"}},
			"\nreturn redis.call('CONFIG', 'GET', 'save')": {{2, 19, false, "noscript-command", "Redis refuses to run CONFIG GET"}},
			"return redis.call('GETT', KEYS[1])":           {{1, 19, false, "unknown-command", `the server has no command "GETT"`}},
			"redis.call('SET', 'a', 1)\nlocal x = y":       nil, // below
		} {
			got, err := s.Check(t.Context(), text)
			if err != nil {
				t.Errorf("%q: %v", text, err)
			}
			if strings.HasPrefix(text, "redis.call") {
				rules := []string{}
				for _, p := range got {
					rules = append(rules, p.Rule)
				}
				if diff := cmp.Diff([]string{"dynamic-key", "unused-local", "undefined-global"}, rules); diff != "" {
					t.Errorf("%q (-want +got):\n%s", text, diff)
				}
				if refuses := strings.Contains(got[0].Message, "the cluster refuses it"); refuses != db.IsCluster() {
					t.Errorf("%q: %s", text, got[0].Message)
				}
				continue
			}
			for i := range min(len(got), len(want)) {
				if strings.HasPrefix(got[i].Message, want[i].Message) {
					got[i].Message = want[i].Message
				}
			}
			if len(want)+len(got) > 0 && !cmp.Equal(want, got) {
				t.Errorf("%q (-want +got):\n%s", text, cmp.Diff(want, got))
			}
		}
	})
}

// TestCheckOfTexts: what can't be a program isn't sent to the server.
func TestCheckOfTexts(t *testing.T) {
	t.Parallel()
	s := newStore(t, kvtest.Open(t))
	for _, text := range []string{"", "return '\xff'", "return 1\x00", strings.Repeat(" ", MaxText+1)} {
		if _, err := s.Check(t.Context(), text); !errors.Is(err, kvdb.ErrInvalid) {
			t.Errorf("%.20q: %v", text, err)
		}
	}
	if _, err := s.Check(t.Context(), strings.Repeat("local a=1 ", MaxText/10)); err != nil {
		t.Error(err)
	}
}

// TestCheckRunsNothing: neither is the text run, nor does the server remember it.
func TestCheckRunsNothing(t *testing.T) {
	t.Parallel()
	db := kvtest.Open(t)
	s := newStore(t, db)
	key := string(db.Keys()) + "checked"
	text := "redis.call('SET', '" + key + "', 1)"
	_, err := s.Check(t.Context(), text)
	must(t, err)
	if n, err := db.Client().Exists(t.Context(), key).Result(); n != 0 || err != nil {
		t.Errorf("keys: %d, %v", n, err)
	}
	sum := sha1.Sum([]byte(text))
	if known, err := db.Client().ScriptExists(t.Context(), hex.EncodeToString(sum[:])).Result(); err != nil || known[0] {
		t.Errorf("the server knows it: %v, %v", known, err)
	}
}

// TestCheckWithoutServer: what can be told without one is told, with what was known of it.
func TestCheckWithoutServer(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	db := srv.DB(t)
	text := "x = 1\nreturn kyes"
	rules := func(s *Store) (string, error) {
		problems, err := s.Check(t.Context(), text)
		rules := []string{}
		for _, p := range problems {
			rules = append(rules, p.Rule)
			if p.Error {
				t.Errorf("an error that no server told: %v", p)
			}
		}
		return strings.Join(rules, " "), err
	}
	s := newStore(t, db)
	if got, err := rules(s); got != "assigned-global undefined-global" || err != nil {
		t.Errorf("%s, %v", got, err)
	}
	before := s.facts.run
	srv.Kill()
	if got, err := rules(s); got != "assigned-global undefined-global" || !errors.Is(err, kvdb.ErrAway) || kvdb.Sentence(err) == "" {
		t.Errorf("away: %s, %v", got, err)
	}
	if got, err := rules(New(db, Options{})); got != "assigned-global" || !errors.Is(err, kvdb.ErrAway) {
		t.Errorf("never seen: %s, %v", got, err)
	}
	text = "return 1 +"
	if got, err := rules(s); got != "parse" || !errors.Is(err, kvdb.ErrAway) {
		t.Errorf("away: %s, %v", got, err)
	}
	srv.Restart()
	text = "return kyes"
	if got, err := rules(s); got != "undefined-global" || err != nil {
		t.Errorf("back: %s, %v", got, err)
	}
	if s.facts.run == before {
		t.Error("the facts are those of the server before")
	}
}

// TestCheckKeepsFacts: the server is asked for them every now and then.
func TestCheckKeepsFacts(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := newStore(t, kvtest.Open(t), withClock(c))
	asked := func() bool {
		before := s.facts.at
		_, err := s.Check(t.Context(), "return 1")
		must(t, err)
		return s.facts.at != before
	}
	if !asked() {
		t.Error("not asked at first")
	}
	if c.add(maxFactsAge / 2); asked() {
		t.Error("asked again at once")
	}
	if c.add(maxFactsAge); !asked() {
		t.Error("not asked again")
	}
}

func TestArguments(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2]int{
		"return KEYS[2] .. ARGV[3]":     {2, 3},
		"return {KEYS[1], KEYS[1001]}":  {-1, 0},
		"return KEYS[1] .. ARGV[#ARGV]": {1, -1},
		"return":                        {0, 0},
	} {
		if keys, values := Arguments(text); keys != want[0] || values != want[1] {
			t.Errorf("%q: %d, %d, want %v", text, keys, values, want)
		}
	}
}
