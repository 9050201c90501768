// Command bench measures what this product promises about speed and memory: each figure beside that of the plain
// thing that it is compared with, both in one run, in turns, as the median of several rounds. Ratios are
// what counts; the machine is printed with them.
//
//	go run ./e2e/bench -bin bin/webadmin [-rows 1000000] [-only translate,import,…]
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
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
	flag.Parse()
	b := &bench{bin: *bin, rows: *rows}
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

// parts are what there is to measure, in their order: import fills the store that the later ones read.
var parts = []struct {
	name string
	run  func(*bench) error
}{
	{"idle", (*bench).idle},
	{"page", (*bench).page},
	{"translate", (*bench).translate},
	{"batch", (*bench).batch},
	{"lua", (*bench).lua},
	{"redis", (*bench).redisPart},
	{"pipeline", (*bench).pipelines},
	{"commander", (*bench).commander},
	{"broker", (*bench).broker},
	{"stats", (*bench).stats},
	{"import", (*bench).importing},
	{"lists", (*bench).lists},
	{"search", (*bench).search},
}

func names() (all []string) {
	for _, p := range parts {
		all = append(all, p.name)
	}
	return all
}

func (b *bench) run(only []string) error {
	fmt.Printf("%s, %d CPUs, %s/%s\n", runtime.Version(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH)
	for _, p := range parts {
		if len(only) > 0 && !slices.Contains(only, p.name) {
			continue
		}
		if err := p.run(b); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}

// atMost prints a figure and whether it keeps its bound.
func (b *bench) atMost(what string, have, bound float64, sides string) {
	b.verdict(what, have, "≤", bound, have <= bound, sides)
}

func (b *bench) atLeast(what string, have, bound float64, sides string) {
	b.verdict(what, have, "≥", bound, have >= bound, sides)
}

func (b *bench) verdict(what string, have float64, sign string, bound float64, ok bool, sides string) {
	word := "ok    "
	if !ok {
		word = "MISSED"
		b.missed++
	}
	fmt.Printf("%s  %-46s %8.3g  %s %-6.3g  %s\n", word, what, have, sign, bound, sides)
}

func median(xs []float64) float64 {
	xs = slices.Sorted(slices.Values(xs))
	return xs[len(xs)/2]
}
