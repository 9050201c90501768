package check

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// facts are some of those of Redis 7.0.
var facts = Facts{
	Globals: set("KEYS ARGV redis cjson string table math assert error pairs ipairs next pcall xpcall select tonumber tostring type " +
		"unpack rawget rawset setmetatable getmetatable load loadstring coroutine _G _VERSION __redis__err__handler"),
	Libs: map[string]map[string]bool{
		"redis":     set("call pcall error_reply status_reply sha1hex log LOG_WARNING LOG_NOTICE setresp"),
		"cjson":     set("encode decode null"),
		"string":    set("sub upper lower len format find match gmatch gsub rep byte char"),
		"table":     set("insert remove concat sort getn"),
		"math":      set("floor ceil max min random huge"),
		"coroutine": set("create resume yield wrap"),
	},
	Commands: map[string]Command{
		"get": {Arity: 2, FirstKey: 1, LastKey: 1, Step: 1}, "set": {Arity: -3, FirstKey: 1, LastKey: 1, Step: 1},
		"del": {Arity: -2, FirstKey: 1, LastKey: -1, Step: 1}, "mset": {Arity: -3, FirstKey: 1, LastKey: -1, Step: 2},
		"hset": {Arity: -4, FirstKey: 1, LastKey: 1, Step: 1}, "hget": {Arity: 3, FirstKey: 1, LastKey: 1, Step: 1},
		"incr": {Arity: 2, FirstKey: 1, LastKey: 1, Step: 1}, "incrby": {Arity: 3, FirstKey: 1, LastKey: 1, Step: 1},
		"expire": {Arity: -3, FirstKey: 1, LastKey: 1, Step: 1}, "pexpire": {Arity: -3, FirstKey: 1, LastKey: 1, Step: 1},
		"pttl": {Arity: 2, FirstKey: 1, LastKey: 1, Step: 1}, "smembers": {Arity: 2, FirstKey: 1, LastKey: 1, Step: 1},
		"zadd": {Arity: -4, FirstKey: 1, LastKey: 1, Step: 1}, "zcard": {Arity: 2, FirstKey: 1, LastKey: 1, Step: 1},
		"zremrangebyscore": {Arity: 4, FirstKey: 1, LastKey: 1, Step: 1}, "time": {Arity: 1}, "publish": {Arity: 3},
		"config": {Arity: -2}, "config|get": {Arity: -3, NoScript: true}, "config|set": {Arity: -4, NoScript: true},
		"object": {Arity: -2}, "object|encoding": {Arity: 3, FirstKey: 2, LastKey: 2, Step: 1},
		"subscribe": {Arity: -2, NoScript: true}, "eval": {Arity: -3, NoScript: true},
	},
}

func set(words string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(words) {
		m[w] = true
	}
	return m
}

// good are programs that people wrote, in which nothing is wrong.
var good = map[string]string{
	"empty":   "",
	"comment": "-- nothing\n--[[ at\nall ]]",
	"unlock":  "if redis.call('get', KEYS[1]) == ARGV[1] then\n  return redis.call('del', KEYS[1])\nend\nreturn 0",
	"limit": `local key, now, window, limit = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
redis.call('ZREMRANGEBYSCORE', key, 0, now - window)
if redis.call('ZCARD', key) >= limit then
  return {0, redis.call('PTTL', key)}
end
redis.call('ZADD', key, now, ARGV[4])
redis.call('PEXPIRE', key, window)
return {1, 0}`,
	"all keys": `local n = 0
for _, key in ipairs(KEYS) do n = n + redis.call('DEL', key) end
for i = 1, #KEYS do redis.call('INCR', KEYS[i]) end
for i = 2, #KEYS do
  local key = KEYS[i]
  redis.call('SET', key, i)
end
return n + redis.call('DEL', unpack(KEYS))`,
	"functions": `local function fact(n)
  if n < 2 then return 1 end
  return n * fact(n - 1)
end
local even, odd
function even(n) if n == 0 then return true end return odd(n - 1) end
odd = function(n) if n == 0 then return false end return even(n - 1) end
local account = {sum = 0}
function account:add(n) self.sum = self.sum + n return self end
function account.new(...) return {select('#', ...), ...} end
return {fact(5), even(4) and 1 or 0, account:add(2).sum, account.new(1)[1]}`,
	"json":          "local ok, doc = pcall(cjson.decode, ARGV[1])\nif not ok then return redis.error_reply('ERR ' .. doc) end\ndoc.at = nil\nreturn cjson.encode(doc) .. tostring(cjson.null)",
	"aliases":       "local call, r, keys = redis.call, redis, KEYS\nreturn {call('GET', keys[1]), r.pcall('GET', keys[2])}",
	"repeat":        "local i = 0\nrepeat\n  i = i + 1\n  local done = i > 3\nuntil done\nreturn i",
	"leaving loops": "while true do\n  if redis.call('INCR', KEYS[1]) > 3 then break end\nend\nlocal function f() while true do return 1 end end\nrepeat error('x') until false\nreturn f()",
	"shadow":        "local redis, cjson = redis, cjson\nlocal n = ARGV[1]\nlocal n = tonumber(n)\nlocal function f(x) local x = x or 1 return x end\nfor i = 1, 2 do n = n + f(i) end\nfor i = 1, 2 do n = n + i end\nif n then local n = 2 return n end\nreturn cjson.encode(redis.call('TIME'))",
	"unused names":  "local _, second = unpack(ARGV)\nlocal _unused = 1\nfor i, v in ipairs(ARGV) do redis.log(redis.LOG_NOTICE, v) end\nreturn second",
	"shebang":       "#!lua flags=no-writes,allow-stale\nreturn redis.call('GET', KEYS[1])",
	"shebang, CRLF": "#!lua flags=no-writes\r\nreturn 1\r\n",
	"container":     "return redis.call('OBJECT', 'ENCODING', KEYS[1])",
	"channel":       "return redis.call('PUBLISH', 'news', ARGV[1])",
	"open call":     "local args = {}\nfor i = 1, #ARGV do args[i] = ARGV[i] end\nreturn redis.call('HSET', KEYS[1], unpack(args))",
	"method":        "local key = KEYS[1]\nreturn (('x'):rep(3) .. key:sub(1, 2)):upper()",
	"parameter":     "local function get(key) return redis.call('GET', key) end\nreturn get(KEYS[1])",
	"semicolons":    "local a = 1; local t = {a = a, ['b c'] = 2; 3,}; return t",
	"long strings":  "local s = [==[\nwhile ]] true do\n]==]\nreturn #s .. \"a\\\nb\\z\"",
	"in _G":         "return _G.tostring(_G['string'].len(ARGV[1]))",
	"command name":  "return redis.call(ARGV[1], KEYS[1])",
	"table keys":    "local key = KEYS[1]\nlocal t = {key = key, get = 1}\nreturn t.key",
	"either key":    "local key\nif ARGV[1] then key = KEYS[1] else key = KEYS[2] end\nreturn redis.call('GET', key)",
	"elseif":        "local a = ARGV[1]\nif a == '1' then return 1 elseif a == '2' then return 2 else return a end",
	"caught error":  "local r = redis.pcall('GET', KEYS[1])\nif r.err then return {err = r.err} end\nreturn {ok = 'OK'}",
	"pcall":         "return {pcall(redis.call, 'GET', KEYS[1])}",
}

func TestGood(t *testing.T) {
	t.Parallel()
	for name, text := range good {
		if got := Check(text, facts); len(got) > 0 {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestBad: each row is a program, and its problems as line:column rule: message, where the message is as far as it matters.
func TestBad(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"return kyes":                                                                     {"1:8 undefined-global: there is no kyes"},
		"local total = 1\nreturn totla + total":                                           {"2:8 undefined-global: there is no totla; did you mean total?"},
		"return Keys[1] .. tonumbr(1)":                                                    {"1:8 undefined-global: there is no Keys; did you mean KEYS?", "1:19 undefined-global: there is no tonumbr; did you mean tonumber?"},
		"print('x')":                                                                      {"1:1 undefined-global: there is no print; redis.log"},
		"do local x = 1 x = x end\nreturn x":                                              {"2:8 undefined-global: there is no x"},
		"for i = 1, 2 do local s = i redis.log(s) end return i":                           {"1:53 undefined-global: there is no i"},
		"local f = function(n) return f(n) end return f":                                  {"1:30 undefined-global: there is no f"},
		"local a = a\nreturn a":                                                           {"1:11 undefined-global: there is no a"},
		"local t = {} function t.f() return self end return t":                            {"1:36 undefined-global: there is no self"},
		"repeat local d = true until d\nreturn d":                                         {"2:8 undefined-global: there is no d"},
		"local ä = 1":                                                                     {"1:7 parse: syntax error near"},
		"local s = 'äöü' .. s2 return s":                                                  {"1:20 undefined-global: there is no s2"},
		"x = 1\nreturn x":                                                                 {"1:1 assigned-global: Redis refuses to set globals: declare it, local x"},
		"local a\na, b = 1, 2\nreturn a":                                                  {"2:4 assigned-global: Redis refuses to set globals: declare it, local b"},
		"function f() return 1 end\nreturn f()":                                           {"1:10 assigned-global: Redis refuses to set globals: declare it, local f"},
		"function string.trim(s) return s end":                                            {"1:10 assigned-global: Redis refuses to set members of its libraries: keep string.trim in a local"},
		"return redis.cal('GET', KEYS[1])":                                                {"1:14 unknown-member: there is no redis.cal; did you mean redis.call?"},
		"return table.unpack(ARGV)":                                                       {"1:14 unknown-member: there is no table.unpack; did you mean unpack?"},
		"local r = redis\nreturn r.foo":                                                   {"2:10 unknown-member: there is no redis.foo"},
		"return redis.call('GETT', KEYS[1])":                                              {`1:19 unknown-command: the server has no command "GETT"; did you mean GET?`},
		"return redis.call('CONFIG GET', 'x')":                                            {`1:19 unknown-command: the server has no command "CONFIG GET"; each word is an argument of its own: CONFIG, GET`},
		"return redis.call('object', 'encodin', KEYS[1])":                                 {`1:29 unknown-command: OBJECT has no subcommand "encodin"; did you mean ENCODING?`},
		"redis.call('config|get', 'x')":                                                   {`1:12 unknown-command`},
		"local c = redis.call\nreturn c('Subscribe', 'x')":                                {"2:10 noscript-command: Redis refuses to run SUBSCRIBE for a program"},
		"return redis.pcall('CONFIG', 'GET', 'x')":                                        {"1:20 noscript-command: Redis refuses to run CONFIG GET for a program"},
		"redis.call()":                                                                    {"1:1 missing-arguments: redis.call needs the name of a command"},
		"return redis.call('SET', KEYS[1])":                                               {"1:19 missing-arguments: SET takes at least 2 arguments, and gets 1"},
		"return redis.call(\n  'OBJECT',\n  'ENCODING')":                                  {"2:3 missing-arguments: OBJECT ENCODING takes exactly 1 argument, and gets 0"},
		"return redis.call('GET', KEYS[1], (unpack(ARGV)))":                               {"1:36 extra-arguments: GET takes exactly 1 argument, and gets 2"},
		"return pcall(redis.call, 'GET')":                                                 {"1:26 missing-arguments: GET takes exactly 1 argument"},
		"return redis.call('SET', KEYS[1], true)":                                         {"1:35 bad-argument: the arguments of redis.call are texts and numbers"},
		"return redis:call('GET', KEYS[1])":                                               {"1:8 bad-argument: redis:call passes redis itself"},
		"return KEYS[0] or ARGV[1.5]":                                                     {"1:8 missing-keys: KEYS[0] is always nil: the first is KEYS[1]", "1:19 missing-keys: ARGV[1.5]"},
		"return redis.call('GET', 'user:' .. KEYS[1])":                                    {"1:26 dynamic-key: this key is not one of KEYS: nobody sees"},
		"local k = ARGV[1]\nreturn redis.call('GET', k)":                                  {"2:26 dynamic-key"},
		"redis.call('MSET', KEYS[1], 'v', 'other', 'v')":                                  {"1:34 dynamic-key"},
		"redis.call('DEL', KEYS[1], 'a', unpack(KEYS))":                                   {"1:28 dynamic-key"},
		"for _, m in ipairs(redis.call('SMEMBERS', KEYS[1])) do redis.call('DEL', m) end": {"1:74 dynamic-key"},
		"goto done\n::done::":                                                             {"1:1 goto", "2:3 goto"},
		"return _G.redis.call('SET', 'k', 'v')":                                           {"1:8 hidden-redis: a dry run does not see"},
		"return loadstring(ARGV[1])()":                                                    {"1:8 hidden-redis"},
		"return rawget(_G, 'redis')":                                                      {"1:15 hidden-redis"},
		"return getfenv":                                                                  {"1:8 undefined-global"},
		"local x = 1":                                                                     {"1:7 unused-local: nobody reads x"},
		"local x\nx = 1":                                                                  {"1:7 unused-local: x is set, but nobody reads it"},
		"local a, b = 1, 2\nreturn a":                                                     {"1:10 unused-local: nobody reads b"},
		"local function f() end":                                                          {"1:16 unused-local: nobody reads f"},
		"local x = 1\nlocal x = 2\nreturn x":                                              {"1:7 unused-local", "2:7 shadowed-local: x hides the one of line 1"},
		"local function f(x) local x = 1 return x end return f":                           {"1:27 shadowed-local"},
		"for i = 1, 2 do\n  for i = 1, 2 do redis.log(i) end\nend":                        {"2:7 shadowed-local: i hides that of the loop in line 1"},
		"error({code = 5})":                                                               {"1:1 error-table"},
		"if ARGV[1] then error({err = 'ERR no'}) end error('text')":                       nil,
		"while true do\n  redis.call('TIME')\nend":                                        {"1:1 endless-loop"},
		"repeat for i = 1, 2 do break end until false":                                    {"1:1 endless-loop"},
		"local f\nwhile 1 do f = function() return 1 end f() end":                         {"2:1 endless-loop"},
		"break":                  {"1:0 parse: break is not in a loop"},
		"if true then":           {"1:0 parse: the text ends before"},
		"if x\nreturn 1 end":     {`2:1 parse: syntax error near "return"`},
		"local s = 'a\nreturn s": {"1:11 parse: unterminated string"},
		"return 1 +* 2":          {`1:11 parse: syntax error near "*"`},
		"return 1 ~ 2":           {`1:10 parse: invalid '~' token near`},
		"#!lua flags=no-writes,alow-oom\nreturn kyes": {"1:23 shebang: there is no flag \"alow-oom\"; did you mean allow-oom?", "2:8 undefined-global"},
		"#!lua name=lib\nreturn 1":                    {"1:7 shebang: name= is for libraries"},
		"#!js\nreturn 1":                              {"1:1 shebang: a program for Redis begins with #!lua"},
		"#!lua flags=a, no-writes":                    {"1:13 shebang: there is no flag \"a\"; there are", "1:15 shebang: there is no flag \"\"", "1:16 shebang: Redis takes flags= here"},
		"\r\nlocal a\rreturn a + b\n\n":               {"3:12 undefined-global: there is no b"},
	} {
		got := Check(text, facts)
		ok := len(got) == len(want)
		for i := 0; ok && i < len(want); i++ {
			ok = strings.HasPrefix(fmt.Sprintf("%d:%d %s: %s", got[i].Line, got[i].Column, got[i].Rule, got[i].Message), want[i])
		}
		if !ok {
			t.Errorf("%q:\n got %v\nwant %q", text, got, want)
		}
	}
}

// TestCluster: what is a matter of style elsewhere fails there.
func TestCluster(t *testing.T) {
	t.Parallel()
	f := facts
	f.Cluster = true
	got := Check("return redis.call('GET', 'a')", f)
	if len(got) != 1 || !strings.Contains(got[0].Message, "the cluster refuses it") {
		t.Error(got)
	}
}

// TestNoFacts: without a server, only what holds for each is said.
func TestNoFacts(t *testing.T) {
	t.Parallel()
	got := Check("x = redis.foo(bar)\nredis.call('NONE', 'k')\nredis.call()", Facts{})
	want := []Problem{
		{1, 1, "assigned-global", "Redis refuses to set globals: declare it, local x"},
		{3, 1, "missing-arguments", "redis.call needs the name of a command"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestArguments(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2]int{
		"":                                     {0, 0},
		"return KEYS[2] .. ARGV[3] .. KEYS[1]": {2, 3},
		"if #KEYS ~= 1 then return 0 end return KEYS[1] .. #ARGV": {1, 0},
		"for i = 1, #KEYS do redis.call('DEL', KEYS[i]) end":      {-1, 0},
		"return {KEYS[1], unpack(ARGV, 2)}":                       {1, -1},
		"local k = KEYS return k[1]":                              {-1, 0},
		"local KEYS = {1} return KEYS[5]":                         {0, 0},
		"return KEYS[0] or KEYS[0x2] or ARGV[1e1]":                {2, 10},
		"return KEYS[1] +":                                        {-1, -1},
		"#!lua\nreturn KEYS[1]":                                   {1, 0},
	} {
		if keys, values := Arguments(text); keys != want[0] || values != want[1] {
			t.Errorf("%q: %d, %d, want %v", text, keys, values, want)
		}
	}
}

// TestBounded: no text takes long, or much memory, or has more than so many problems.
func TestBounded(t *testing.T) {
	const size = 256 << 10
	fill := func(s string) string { return strings.Repeat(s, size/len(s)) }
	for name, text := range map[string]string{
		"parentheses":  "return " + fill("("),
		"closed":       "return " + strings.Repeat("(", size/2) + "1" + strings.Repeat(")", size/2),
		"tables":       "return " + fill("{"),
		"blocks":       fill("do "),
		"functions":    fill("function f() "),
		"ifs":          fill("if a then "),
		"elseifs":      "if a then " + fill("elseif a then ") + " end",
		"minus":        "return " + fill("- ") + "1",
		"not":          "return " + fill("not ") + "1",
		"concat":       "return " + fill("a..") + "a",
		"power":        "return " + fill("2^") + "2",
		"sum":          "return " + fill("a+") + "a",
		"members":      "return a" + fill(".b"),
		"calls":        "return a" + fill("()"),
		"or":           "return " + fill("a or ") + "a",
		"globals":      fill("abcdef=abcdeg "),
		"undefined":    fill("f(redi, KEYSS, ARGVV) "),
		"locals":       "do " + fill("local abcde=abcdf ") + " end",
		"many names":   names(size),
		"bad commands": fill("redis.call('GETX') "),
		"text":         "return [[" + fill("a\n") + "]]",
		"newlines":     fill("\n") + "x=1",
		"good":         fill("local n = redis.call('GET', KEYS[1])\nif n then redis.call('SET', KEYS[2], n + 1) end\n"),
		"flags":        "#!lua flags=" + fill("x,"),
	} {
		start := time.Now()
		got := Check(text, facts)
		took := time.Since(start)
		if len(got) > MaxProblems {
			t.Errorf("%s: %d problems", name, len(got))
		}
		if took > 2*time.Second { // a fifth of a second, on a machine that does nothing else
			t.Errorf("%s: %s", name, took)
		}
		t.Logf("%-14s %6s %3d problems, the first %v", name, took.Round(time.Millisecond), len(got), got[:min(1, len(got))])
	}
}

// names is a text of many different names that aren't there.
func names(size int) string {
	var b strings.Builder
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, "local name%d = nome%d\n", i, i)
	}
	return b.String()
}

func FuzzCheck(f *testing.F) {
	for _, text := range good {
		f.Add(text)
	}
	f.Add("#!lua flags=x\nlocal t = {a=1,['b']=2,3} function t.a.b:c(x, ...) goto a ::a:: return -x^2 end")
	f.Fuzz(func(t *testing.T, text string) {
		for _, p := range Check(text, facts) {
			if p.Line < 0 || p.Column < 0 || p.Line > 1+strings.Count(text, "\n")+strings.Count(text, "\r") || p.Rule == "" || p.Message == "" {
				t.Errorf("%q: %+v", text, p)
			}
		}
		// Who walks in the order of the text meets all words of it.
		if w, failed := read(text, facts); failed == nil && w.next != len(w.words) {
			t.Errorf("%q: %d of %d words", text, w.next, len(w.words))
		}
		keys, values := Arguments(text)
		if keys < -1 || values < -1 {
			t.Errorf("%q: %d, %d", text, keys, values)
		}
	})
}

func TestDistance(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"", "abc", 3}, {"abc", "acb", 1}, {"kitten", "sitting", 3}, {"ca", "abc", 3}, {"abcdef", "abcdef", 0}, {"ab", "ba", 1}} {
		if got := Distance(c.a, c.b, 9); got != c.want {
			t.Errorf("from %q to %q it takes %d, want %d", c.a, c.b, got, c.want)
		}
		if got := Distance(c.b, c.a, 9); got != c.want {
			t.Errorf("from %q to %q it takes %d, want %d", c.b, c.a, got, c.want)
		}
	}
}
