package lua

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"webadmin/internal/kvdb"
)

// debugPrologue returns the redis that a program in the debugger gets: that of everybody, if the server itself refuses what is not
// undone with the fork; else one that refuses it. Outside of a debugger it returns nil.
const debugPrologue = `local mark=...
local R=redis
if not R.breakpoint() then return end
if R.sha1hex(table.concat(KEYS,' ')..' '..table.concat(ARGV,' ',1,#ARGV-1)..' ')~=table.remove(ARGV) then
  error('the server has garbled the arguments of the program')
end
local pcall,error,type,tostring,pairs,upper,match=pcall,error,type,tostring,pairs,string.upper,string.match
local ok,may=pcall(R.acl_check_cmd,'FLUSHALL')
if ok and may==false then return R end
local own={}
for k,v in pairs(R) do own[k]=v end
local function guarded(...)
  local name=upper(tostring((...)))
  if name=='FLUSHALL' or name=='MIGRATE' or name=='CLUSTER' then
    return {err='ERR '..name..' is not run in the debugger: what it does is not undone'}
  end
  return R.pcall(...)
end
own.pcall=guarded
own.call=function(...)
  local r=guarded(...)
  if type(r)=='table' and type(r.err)=='string' then
    for level=2,9 do -- the error will not say the line
      local _,at=pcall(error,'',level)
      local line=match(tostring(at),'^user_script:(%d+):')
      if line then R.debug(mark..' '..line) break end
    end
    error(r,0)
  end
  return r
end
return own`

// guardedError is what an error of the guard has at its end.
var guardedError = regexp.MustCompile(` ?script: [0-9a-f]{40}, on =?webadmin:\d+\.\s*$`)

// notUndone are commands whose effects would outlive the fork.
var notUndone = regexp.MustCompile(`(?i)\b(flushall|migrate|cluster)\b`)

// fork has a server of its own begin the program, before its first line.
func (d *Debug) fork(ctx context.Context) (*forked, error) {
	if reaches(d.src.Text) != "" {
		if err := d.s.checkReach(ctx, d.call); err != nil {
			return nil, err
		}
	}
	mark := "mark_" + rand.Text()
	d.mark = mark
	prologue := "do local " + mark + " end " + unpad + "local redis=loadstring(table.remove(ARGV),'=webadmin')('" + mark + "') if not redis then return end "
	command := "EVAL"
	if d.call.ReadOnly {
		command = "EVAL_RO"
	}
	args := append([]string{command, onFirstLine(prologue, d.src.Text), strconv.Itoa(len(d.call.Keys))}, d.call.Keys...)
	args = pad(append(append(args, d.call.Values...), sumOf(d.call, ""), debugPrologue))
	f, err := d.s.fork(ctx, d.call.Keys, mark, args)
	if err != nil || !f.stop.Ended {
		return f, err
	}
	f.close()
	if isVerdict(f.stop.Reply.Text) {
		var syntax *SyntaxError
		if err := d.s.verdictOnly(ctx, d.src.Text); errors.As(err, &syntax) {
			return nil, syntax
		}
	}
	return nil, &noForkError{fmt.Sprintf("The server did not start: it replied %.200q.", f.stop.Reply.Text)}
}

// start runs the program up to its first line. On an error nothing is left.
func (d *Debug) start(ctx context.Context, breakpoints []int) (err error) {
	f, err := d.fork(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.close()
		}
	}()
	d.mu.Lock()
	d.f = f
	closed := d.state.Ended
	d.mu.Unlock()
	if closed {
		return kvdb.NotDone("lua: debug", "This program is shutting down. Try again when it is back.")
	}
	limited, cancel := context.WithTimeout(ctx, debugStep)
	defer cancel()
	if err := f.Maxlen(limited, debugMaxlen); err != nil {
		return err
	}
	stop := f.stop
	d.skip = true
	if d.emptyFirstLine() {
		if stop, err = f.Step(limited); err != nil {
			return err
		}
		d.skip = false
	}
	stop.Reason = "start"
	if !stop.Ended {
		if err := d.setBreakpoints(limited, breakpoints); err != nil {
			return err
		}
	}
	if err := d.stopped(limited, stop); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.state.Ended {
		d.touch()
	}
	return nil
}

// emptyFirstLine says whether the line on which the prologue stands has no code of the program.
func (d *Debug) emptyFirstLine() bool {
	text := strings.TrimPrefix(strings.TrimPrefix(d.src.Text, shebangForm.FindString(d.src.Text)), "\n")
	if shebangForm.FindString(d.src.Text) == "" {
		text = d.src.Text
	}
	line, _, _ := strings.Cut(text, "\n")
	line = strings.TrimSpace(line)
	return line == "" || strings.HasPrefix(line, "--") && !strings.HasPrefix(line, "--[")
}

// checkReach returns a noForkError if a program that gets at the redis of everybody could do what is not undone.
func (s *Store) checkReach(ctx context.Context, c Call) error {
	const text = "if not redis.acl_check_cmd or redis.acl_check_cmd('FLUSHALL') then return 1 end return 0"
	result, err := s.db.Eval(ctx, kvdb.Eval{Text: text, Keys: c.Keys, AdHoc: true})
	if err != nil {
		return err
	}
	if result.Reply.Kind != kvdb.KindInteger || result.Reply.Text != "0" {
		return &noForkError{"The program can reach commands such as FLUSHALL in ways that the debugger can't guard (_G, loadstring …), " +
			"and the Redis user may run them: what they do to the files of the server would stay."}
	}
	return nil
}
