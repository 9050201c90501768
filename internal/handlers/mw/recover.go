package mw

import (
	"fmt"
	"net/http"
	"runtime/debug"

	"github.com/labstack/echo/v4"
)

// PanicError is a panic of a handler, turned into an error so that the one error handler answers it and
// the one log line names it.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Recover turns a panic into a PanicError.
func Recover(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			switch v := recover(); v {
			case nil:
			case http.ErrAbortHandler: // the handler's way to cut the connection
				panic(v)
			default:
				err = &PanicError{Value: v, Stack: debug.Stack()}
			}
		}()
		return next(c)
	}
}
