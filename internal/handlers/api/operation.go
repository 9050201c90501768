package api

import (
	"context"
	"net/http"
	"reflect"

	"github.com/labstack/echo/v4"

	"webadmin/internal/handlers/mw"
)

// operation is one call of the API.
type operation struct {
	mw.Route
	about

	input   *inputPlan
	answer  reflect.Type
	handler echo.HandlerFunc
}

// about is what the document says about a call beyond what its types say.
type about struct {
	group     string
	summary   string
	text      string
	status    int               // of success; 0 = 200
	mayCreate bool              // what is new is 201, with the same answer
	answers   map[int]answerDoc // that say more than a plain answer or problem
	accepts   string            // media type of a body that is no JSON
	produces  []string          // media types of an answer that is no JSON
	example   string            // what follows the address in the example, as it is
}

type answerDoc struct {
	text string
	of   []any // values of the types that it may be of; none = no body
}

// call makes an operation of a function from its input to its answer. A nil pointer as the answer is 204.
func call[In, Out any](row mw.Route, a about, do func(ctx context.Context, in *In) (Out, error)) operation {
	return raw[In, Out](row, a, func(c echo.Context, in *In) error {
		out, err := do(c.Request().Context(), in)
		if err != nil {
			return err
		}
		if v := reflect.ValueOf(out); v.Kind() == reflect.Pointer && v.IsNil() {
			return c.NoContent(http.StatusNoContent)
		}
		return answer(c, a.statusOK(), out)
	})
}

// raw makes an operation of a function that reads the body or writes the answer itself.
func raw[In, Out any](row mw.Route, a about, do func(c echo.Context, in *In) error) operation {
	plan := planInput(reflect.TypeFor[In]())
	return operation{
		Route:  row,
		about:  a,
		input:  plan,
		answer: reflect.TypeFor[Out](),
		handler: func(c echo.Context) error {
			in := new(In)
			err := plan.read(c, reflect.ValueOf(in).Elem())
			if err == nil {
				err = do(c, in)
			}
			if err != nil {
				return refuse(c, err)
			}
			return nil
		},
	}
}

func (a about) statusOK() int {
	if a.status == 0 {
		return http.StatusOK
	}
	return a.status
}

// changes says whether the call may change something.
func (o operation) changes() bool {
	_, ok := o.inputHeader("Idempotency-Key")
	return ok
}

func (o operation) inputHeader(name string) (param, bool) {
	for _, p := range o.input.params {
		if p.in == "header" && p.name == name {
			return p, true
		}
	}
	return param{}, false
}
