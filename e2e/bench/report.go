package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"time"
	"unicode/utf8"
)

// report is a file in Markdown with a section for each part. A part that is measured replaces its section; the others stay.
type report struct {
	file     string
	product  string // the version of the binary that is measured
	facts    string // machine and versions, which all sections share
	sections map[string]string
}

const (
	reportTitle = "# Benchmarks"
	reportIntro = `What this product promises about speed and memory, and what of it holds. ` + "`make bench`" +
		` measures all of it and writes this file;
` + "`go run ./e2e/bench -only PART -report docs/benchmarks.md`" + ` measures one part anew.

Both sides of a ratio run on the same machine against the same Redis (one server, no persistence), in turns, and each figure is the median of its
rounds; a ratio is the median of the ratios of the rounds, so that it need not be that of the two medians beside it. The client shares the machine.
Ratios are what is promised. The figures beside them are those of this machine.`
)

// marker precedes a section, so that it is found again.
var marker = regexp.MustCompile(`(?m)^<!-- part: (\S+) -->\n`)

// openReport reads what is there of an earlier run. Sections of another machine, Go or Redis are not mixed with new ones: they are forgotten.
func openReport(file, bin string) (*report, error) {
	out, err := exec.Command(bin, "version").Output()
	if err != nil {
		return nil, fmt.Errorf("%s version: %w", bin, err)
	}
	facts, err := machine()
	if err != nil {
		return nil, err
	}
	r := &report{file: file, product: versionOf(string(out)), facts: facts, sections: map[string]string{}}
	text, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if strings.Contains(string(text), facts) {
		r.sections = sectionsOf(string(text))
	}
	return r, nil
}

// versionOf is the version and commit date in what "webadmin version" prints.
func versionOf(line string) string {
	words := strings.Fields(line)
	return strings.Join(words[min(1, len(words)):max(len(words)-2, min(1, len(words)))], " ")
}

func sectionsOf(text string) map[string]string {
	all := map[string]string{}
	at := marker.FindAllStringSubmatchIndex(text, -1)
	for i, m := range at {
		end := len(text)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		body, _, _ := strings.Cut(text[m[1]:end], "\n## ") // what follows is the heading of the next system
		all[text[m[2]:m[3]]] = strings.TrimSpace(body)
	}
	return all
}

// put writes the section of a part, and with it the file.
func (r *report) put(p part, at time.Time, load string, figures []figure) error {
	var s strings.Builder
	fmt.Fprintf(&s, "### %s\n\n%s\n\n%s, version %s, load before it %s.\n\n", p.title, p.how, at.UTC().Format("2006-01-02 15:04 UTC"), r.product, load)
	rows := [][]string{{"what", "ours", "other side", "ratio", "promised", "holds"}}
	var notes []string
	for _, f := range figures {
		rows = append(rows, f.row())
		if f.note != "" {
			notes = append(notes, "- "+f.what+": "+f.note)
		}
	}
	s.WriteString(table(rows))
	if len(notes) > 0 {
		s.WriteString("\n" + strings.Join(notes, "\n") + "\n")
	}
	r.sections[p.name] = strings.TrimSpace(s.String())
	return os.WriteFile(r.file, []byte(r.String()), 0o644)
}

func (f figure) row() []string {
	number := func(x float64) string { return strings.TrimSpace(fmt.Sprintf("%.3g", x)) }
	ours, other, ratio := f.ours, f.other, number(f.have)
	if ours == "" {
		ours, other, ratio = strings.TrimSpace(number(f.have)+" "+f.unit), "–", "–"
	}
	holds := "yes"
	if !f.holds() {
		holds = "**no**"
	}
	return []string{f.what, ours, other, ratio, strings.TrimSpace(f.sign + " " + number(f.bound) + " " + f.unit), holds}
}

// table makes a table that can be read as text too.
func table(rows [][]string) string {
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	var s strings.Builder
	line := func(row []string, fill string) {
		for i, cell := range row {
			s.WriteString("| " + cell + strings.Repeat(fill, width[i]-utf8.RuneCountInString(cell)) + " ")
		}
		s.WriteString("|\n")
	}
	line(rows[0], " ")
	line(make([]string, len(rows[0])), "-")
	for _, row := range rows[1:] {
		line(row, " ")
	}
	return s.String()
}

func (r *report) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s\n\n%s\n\n%s", reportTitle, reportIntro, r.facts)
	var systems []string
	under := map[string][]part{}
	for _, p := range parts {
		if r.sections[p.name] == "" {
			continue
		}
		if under[p.system] == nil {
			systems = append(systems, p.system)
		}
		under[p.system] = append(under[p.system], p)
	}
	for _, system := range systems {
		fmt.Fprintf(&s, "\n## %s\n", system)
		for _, p := range under[system] {
			fmt.Fprintf(&s, "\n<!-- part: %s -->\n%s\n", p.name, r.sections[p.name])
		}
	}
	return s.String()
}

// machine says what it all runs on.
func machine() (string, error) {
	cpu, err := field("/proc/cpuinfo", "model name")
	if err != nil {
		return "", err
	}
	total, err := field("/proc/meminfo", "MemTotal")
	if err != nil {
		return "", err
	}
	var kib float64
	if _, err := fmt.Sscan(total, &kib); err != nil {
		return "", fmt.Errorf("MemTotal: %w", err)
	}
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "", err
	}
	server, err := exec.Command("redis-server", "--version").Output()
	if err != nil {
		return "", err
	}
	_, version, _ := strings.Cut(string(server), "v=")
	version, _, _ = strings.Cut(version, " ")
	return table([][]string{
		{"machine", ""},
		{"processor", fmt.Sprintf("%s, %d cores", cpu, runtime.NumCPU())},
		{"memory", fmt.Sprintf("%.1f GiB", kib/(1<<20))},
		{"system", fmt.Sprintf("%s %s, %s", runtime.GOOS, bytes.TrimSpace(kernel), runtime.GOARCH)},
		{"Go", strings.TrimPrefix(runtime.Version(), "go")},
		{"Redis", version},
	}), nil
}

// field is the first value of a name in a file of "name: value".
func field(file, name string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value), nil
		}
	}
	return "", fmt.Errorf("%s has no %s", file, name)
}

// loadAverage is that of the last minute: what else the machine had to do.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	one, _, _ := strings.Cut(string(text), " ")
	return one
}
