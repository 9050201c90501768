// Command bench measures what this product promises about speed and memory: each figure beside that of the plain
// thing that it is compared with, both in one run, in turns, as the median of several rounds. Ratios are
// what counts; the report holds the machine with them.
//
//	go run ./e2e/bench -bin bin/webadmin [-rows 1000000] [-only translate,import,…] [-report docs/benchmarks.md]
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

func main() {
	if len(os.Args) > 2 && os.Args[1] == "bare" { // the other side of translate: a process of its own
		if err := serveBare(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	bin := flag.String("bin", "bin/webadmin", "the binary to measure")
	rows := flag.Int("rows", 1_000_000, "translations of the large store")
	only := flag.String("only", "", "measure these alone: "+strings.Join(names(), ","))
	file := flag.String("report", "", "write what was measured to this file; the sections of parts that were not stay as they are")
	flag.Parse()
	b := &bench{bin: *bin, rows: *rows, report: *file}
	if err := b.run(strings.FieldsFunc(*only, func(r rune) bool { return r == ',' })); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		b.close()
		os.Exit(1)
	}
	b.close()
	if b.missed > 0 {
		fmt.Printf("%d missed\n", b.missed)
		os.Exit(1)
	}
}

// part is one measurement, and one section of the report.
type part struct {
	name   string
	system string // the heading under which it stands in the report
	title  string
	how    string // what it is measured beside, in a sentence
	run    func(*bench) error
}

// parts are what there is to measure, in their order: import fills the store that the later ones read.
var parts = []part{
	{"idle", "The process", "Idle", "A process that nobody uses, three seconds after its start.", (*bench).idle},
	{"page", "The process", "First load of a page",
		"All bytes of bodies and headers that a browser with an empty cache fetches: the page, its style sheet and its scripts, compressed as a browser " +
			"asks for.", (*bench).page},
	{"translate", "Dictionaries", "One translation", "Beside it: a bare echo handler that does one HGET; 16 connections each, in turns.",
		(*bench).translate},
	{"batch", "Dictionaries", "A hundred translations a request", "Beside it: a Go program that pipelines HMGET of a hundred.", (*bench).batch},
	{"lua", "Lua programs", "Runs, and replies of any size", "Beside it: a bare echo handler that does one EVALSHA; 16 connections each, in turns.",
		(*bench).lua},
	{"redis", "Redis", "Keys and values",
		"Beside it: the raw commands that a page of keys needs (SCAN, then TYPE, PTTL and MEMORY USAGE in a pipeline), " +
			"and the same page of a small store.", (*bench).redisPart},
	{"pipeline", "Redis", "Pipelines", "Beside it: the same thousand SETs in a raw pipeline.", (*bench).pipelines},
	{"commander", "Redis", "Against redis-commander", "Beside it: " + commanderVersion + " on the same server with the same million keys.",
		(*bench).commander},
	{"broker", "Broker", "Invocations and messages",
		"Beside it: XADD alone, asynq, a loop of XREADGROUP and PUBLISH on the same server; pages with a million waiting beside those with a thousand.",
		(*bench).broker},
	{"stats", "Statistics", "Recording and reading",
		"Beside it: decoding the same bytes with encoding/json, and the reads alone that a page of trends needs.", (*bench).stats},
	{"import", "Dictionaries", "Import", "Beside it: a Go pipeline that writes the same rows as two HSETs each.", (*bench).importing},
	{"lists", "Dictionaries", "Pages of lists", "Pages of the large store beside the same pages of one with a thousand translations.", (*bench).lists},
	{"search", "Dictionaries", "Search", "Beside it: a full HSCAN of the same rows.", (*bench).search},
}

func names() (all []string) {
	for _, p := range parts {
		all = append(all, p.name)
	}
	return all
}

// run measures the parts, and writes the section of each as soon as it is there. It returns the errors of those that could not be measured.
func (b *bench) run(only []string) error {
	var r *report
	var err, failed error
	if b.report != "" {
		if r, err = openReport(b.report, b.bin); err != nil {
			return err
		}
	}
	for _, p := range parts {
		if len(only) > 0 && !slices.Contains(only, p.name) {
			continue
		}
		load := loadAverage()
		b.figures = nil
		if err := p.run(b); err != nil { // the others are worth having all the same
			fmt.Printf("FAILED  %s: %v\n", p.name, err)
			failed = errors.Join(failed, fmt.Errorf("%s: %w", p.name, err))
			continue
		}
		if r == nil {
			continue
		}
		if err := r.put(p, time.Now(), load, b.figures); err != nil {
			return err
		}
	}
	return failed
}

// figure is one thing that was measured, and what was promised of it.
type figure struct {
	what  string
	have  float64
	sign  string // "≤" or "≥"
	bound float64
	sides
}

func (f figure) holds() bool {
	if f.sign == "≤" {
		return f.have <= f.bound
	}
	return f.have >= f.bound
}

// sides are what a ratio is made of, as people read them; of a figure that is no ratio, its unit and what else there is to say.
type sides struct{ ours, other, unit, note string }

func pair(format string, ours, other float64) sides {
	return sides{ours: fmt.Sprintf(format, ours), other: fmt.Sprintf(format, other)}
}

func single(unit, note string) sides { return sides{unit: unit, note: note} }

// atMost notes a figure and whether it keeps its bound.
func (b *bench) atMost(what string, have, bound float64, s sides) {
	b.note(figure{what, have, "≤", bound, s})
}

func (b *bench) atLeast(what string, have, bound float64, s sides) {
	b.note(figure{what, have, "≥", bound, s})
}

func (b *bench) note(f figure) {
	word := "ok    "
	if !f.holds() {
		word = "MISSED"
		b.missed++
	}
	b.figures = append(b.figures, f)
	more := f.note
	if f.ours != "" {
		more = f.ours + " and " + f.other
	}
	fmt.Printf("%s  %-60s %8.3g %-3s  %s %-6.3g  %s\n", word, f.what, f.have, f.unit, f.sign, f.bound, more)
}

func median(xs []float64) float64 {
	xs = slices.Sorted(slices.Values(xs))
	return xs[len(xs)/2]
}
