package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/ossldtls/ossldtls/bench/report"
)

// What a page has around the table of a run.
const (
	tableBegin = "<!-- table: written by the bench -->\n"
	tableEnd   = "<!-- end of the table -->\n"
)

// updatePage puts the table of a run into a page.
func updatePage(path string, result report.Report) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var table strings.Builder
	fmt.Fprintf(&table, "`%s`, commit %s, %s: %s. %.0f s.\n\n", result.Env.Command, result.Env.Commit, result.Env.Date, headline(result.Env), result.Env.Seconds)
	if err := result.Markdown(&table); err != nil {
		return err
	}
	page, err := between(string(text), table.String())
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, []byte(page), 0o644)
}

// between replaces what is between the two marks.
func between(page, table string) (string, error) {
	before, rest, ok := strings.Cut(page, tableBegin)
	if !ok {
		return "", fmt.Errorf("no line %q", strings.TrimSpace(tableBegin))
	}
	_, after, ok := strings.Cut(rest, tableEnd)
	if !ok {
		return "", fmt.Errorf("no line %q", strings.TrimSpace(tableEnd))
	}
	return before + tableBegin + "\n" + table + "\n" + tableEnd + after, nil
}
