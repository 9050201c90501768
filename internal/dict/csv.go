package dict

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
)

const csvHeader = "system1,key1,value1,system2,key2,value2"

func (rd *reading) readCSV(r io.Reader) error {
	rr := &recordReader{r: r}
	c := csv.NewReader(rr)
	c.ReuseRecord = true
	c.FieldsPerRecord = -1
	header, err := c.Read()
	if err != nil {
		return csvTrouble(err, 1)
	}
	if strings.Join(header, ",") != csvHeader {
		return badHeader(header)
	}
	line := int64(1) // that the last row ended in
	for {
		rr.start = rr.offset
		f, err := c.Read()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			var parse *csv.ParseError
			if errors.As(err, &parse) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, errLongRecord) {
				rd.count()
				rd.reject(int64(parse.StartLine), csvReason(parse), nil)
				line = int64(parse.Line)
				continue
			}
			return fileTroubleAt(csvTrouble(err, line+1), line+1)
		}
		at, _ := c.FieldPos(0)
		start := int64(at)
		line = start
		for _, text := range f {
			line += int64(strings.Count(text, "\n"))
		}
		if len(f) != len(translationFields) {
			rd.count()
			rd.reject(start, fmt.Sprintf("has %d columns; %d are expected", len(f), len(translationFields)), f)
			continue
		}
		rd.translation(start, f)
	}
}

func badHeader(header []string) error {
	have := strings.Join(header, ",")
	message := fmt.Sprintf("The first line must be %s; it is %s.", csvHeader, quoteShort(have))
	switch {
	case strings.Contains(have, ";") || strings.Contains(have, "\t"):
		message += " Its columns seem to be separated by another sign: save the file with commas."
	case strings.EqualFold(strings.ReplaceAll(have, " ", ""), csvHeader):
		message += " Write it in lower case and without blanks."
	}
	return &FileError{Line: 1, Message: message}
}

func csvReason(e *csv.ParseError) string {
	switch {
	case errors.Is(e, csv.ErrBareQuote):
		return fmt.Sprintf("has a quote in the middle of a field (column %d); put the field in quotes and double those in it", e.Column)
	case errors.Is(e, csv.ErrQuote):
		if e.Line != e.StartLine {
			return fmt.Sprintf("has a quoted field that ends wrongly in line %d, column %d; double the quotes in it, or close it", e.Line, e.Column)
		}
		return fmt.Sprintf("has text behind a closing quote (column %d); double the quotes in a field", e.Column)
	}
	return e.Err.Error()
}

func csvTrouble(err error, line int64) error {
	if errors.Is(err, io.EOF) {
		return &FileError{Message: "The file is empty."}
	}
	var parse *csv.ParseError
	if errors.As(err, &parse) {
		return &FileError{Line: int64(parse.StartLine), Message: "The line " + csvReason(parse) + "."}
	}
	return fileTroubleAt(err, line)
}

// fileTroubleAt adds the line to trouble that doesn't know it.
func fileTroubleAt(err error, line int64) error {
	var file *FileError
	switch {
	case errors.As(err, &file):
		return err
	case errors.Is(err, errLongRecord):
		return &FileError{Line: line, Message: fmt.Sprintf("A row holds more than %d MiB; a closing quote may be missing.", maxRecord>>20)}
	case errors.Is(err, io.ErrUnexpectedEOF):
		return &FileError{Line: line, Message: "The file ends in the middle; it seems to have been cut off."}
	}
	return err
}
