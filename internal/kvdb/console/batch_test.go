package console

import (
	"errors"
	"strings"
	"testing"
)

func TestBatchReader(t *testing.T) {
	t.Parallel()
	r := &reader{rest: "SET a 'x y'\r\n\n3 PING\nGET a"}
	var got []string
	for {
		commands, args, err := r.take(2)
		if err != nil {
			t.Fatal(err)
		}
		if len(commands) == 0 {
			break
		}
		for i, c := range commands {
			got = append(got, strings.Repeat("\n", c.Line)+strings.Join(args[i], "_"))
		}
		got = append(got, "|")
	}
	want := "\nSET_a_x y,\n\n\nPING,|,\n\n\nPING,\n\n\nPING,|,\n\n\n\nGET_a,|"
	if strings.Join(got, ",") != want {
		t.Errorf("%q, want %q", strings.Join(got, ","), want)
	}
	r = &reader{rest: "PING\n\nGET \"a"}
	_, _, err := r.take(10)
	var wrong *SyntaxError
	if !errors.As(err, &wrong) || wrong.Line != 3 {
		t.Errorf("%v", err)
	}
}
