package api

import (
	"context"
	"errors"
	"reflect"
	"strings"

	"webadmin/internal/broker"
	"webadmin/internal/kvdb"
	"webadmin/internal/lua"
)

// BrokerCaller is who runs a program, without an address, when an invocation does.
const BrokerCaller = "broker"

// IsLuaService tells whether invocations of a service run a Lua program.
func IsLuaService(service string) bool {
	return strings.HasPrefix(service, lua.ServicePrefix) && service != lua.ServicePrefix
}

// planRun is that of a payload: what a run by the API takes.
var planRun = planBody(reflect.TypeFor[RunRequest]())

// LuaHandler runs the programs of services lua:<program>. A payload is what POST /lua/programs/{name}/run takes, null being no
// arguments, and the result what it answers.
func LuaHandler(programs *lua.Store) broker.Handler {
	return func(ctx context.Context, d broker.Delivery) ([]byte, error) {
		var run RunRequest
		if string(d.Payload) != "null" {
			if err := planRun.decode(d.Payload, reflect.ValueOf(&run).Elem()); err != nil {
				return nil, &broker.PermanentError{Err: err}
			}
		}
		call := lua.Call{Name: strings.TrimPrefix(d.Service, lua.ServicePrefix), Keys: texts(run.Keys), Values: texts(run.Values), ReadOnly: run.ReadOnly}
		outcome, err := programs.Run(ctx, lua.Caller{Who: BrokerCaller}, call)
		switch {
		case err == nil && outcome.Failure != nil:
			return nil, outcome.Failure
		case err == nil:
			return runAnswerOf(outcome).appendJSON(nil), nil
		case errors.Is(err, kvdb.ErrLate), errors.Is(err, kvdb.ErrInvalid), errors.Is(err, kvdb.ErrForbidden):
			// A program that may still run must not be run beside itself: people are to decide.
			return nil, &broker.PermanentError{Err: inWords(err)}
		}
		return nil, inWords(err)
	}
}

// inWords is an error as people are told of it.
func inWords(err error) error {
	if text := kvdb.Sentence(err); text != "" {
		return errors.New(text)
	}
	return err
}
