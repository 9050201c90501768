package check

import (
	"errors"
	"strings"

	"github.com/yuin/gopher-lua/ast"
	"github.com/yuin/gopher-lua/parse"
)

// place is where something is in the text. A column counts bytes from 1; 0 = not known.
type place struct{ line, column int }

// word is a token that the syntax tree has as well. The tree knows lines only; but as it has its names, texts and numbers in the
// order of the text, who walks through it in that order meets the words one after the other.
type word struct {
	text string
	at   place
}

// maxNesting is how deeply brackets and blocks may be nested. Lua itself gives up at 200; the parser would go on until there is
// no memory left.
const maxNesting = 1000

// scan returns the words of a text up to the first that is no token. deep is the line in which it is nested too deeply, 0 = none.
func scan(text string) (words []word, deep int) {
	sc := parse.NewScanner(strings.NewReader(text), "")
	var lexer parse.Lexer
	nested := nesting{levels: []int{0}}
	for {
		tok, err := sc.Scan(&lexer)
		if err != nil || tok.Type == parse.EOF {
			return words, 0
		}
		switch tok.Type {
		case parse.TIdent, parse.TString, parse.TNumber, parse.TNil, parse.TTrue, parse.TFalse, parse.TWhile, parse.TRepeat, parse.TGoto:
			words = append(words, word{tok.Str, place{tok.Pos.Line, tok.Pos.Column}})
		}
		if nested.add(tok.Type) > maxNesting {
			return nil, tok.Pos.Line
		}
	}
}

// nesting counts how many things are begun and not ended at a token.
type nesting struct {
	levels []int // of the text, and each bracket or block: operators that wait for what is to their right
	sum    int   // of the levels and what is in them
	last   int   // type of the token before
}

func (n *nesting) add(token int) int {
	last := n.last
	n.last = token
	switch token {
	case '(', '{', '[', parse.TFunction, parse.TDo, parse.TThen, parse.TRepeat:
		n.levels = append(n.levels, 0)
		n.sum++
	case ')', '}', ']', parse.TEnd, parse.TUntil, parse.TElseIf:
		if top := len(n.levels) - 1; top > 0 {
			n.sum -= 1 + n.levels[top]
			n.levels = n.levels[:top]
		}
	case parse.T2Comma, '^', '#', parse.TNot:
		n.wait()
	case '-':
		switch last {
		case parse.TIdent, parse.TString, parse.TNumber, parse.TNil, parse.TTrue, parse.TFalse, parse.T3Comma, ')', ']', '}', parse.TEnd:
		default:
			n.wait() // it is no difference
		}
	case parse.TIdent, parse.TString, parse.TNumber, parse.TNil, parse.TTrue, parse.TFalse, parse.T3Comma, '.', ':', '+', '*', '/', '%':
	default: // ends the expression, or binds less
		top := len(n.levels) - 1
		n.sum -= n.levels[top]
		n.levels[top] = 0
	}
	return n.sum
}

func (n *nesting) wait() {
	n.levels[len(n.levels)-1]++
	n.sum++
}

// tokenAt returns the token that ends at a place, or the first thereafter, and where it begins.
func tokenAt(text string, end ast.Position) (place, string) {
	sc := parse.NewScanner(strings.NewReader(text), "")
	var lexer parse.Lexer
	for {
		tok, err := sc.Scan(&lexer)
		beyond := sc.Pos.Line > end.Line || sc.Pos.Line == end.Line && sc.Pos.Column >= end.Column
		at := place{tok.Pos.Line, tok.Pos.Column}
		var bad *parse.Error
		if errors.As(err, &bad) {
			return at, bad.Token
		}
		if err != nil || tok.Type == parse.EOF || beyond {
			return at, tok.Str
		}
	}
}
