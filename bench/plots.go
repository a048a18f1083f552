package main

import "github.com/ossldtls/ossldtls/bench/report"

// point says where a case goes in the plots.
type point struct {
	file, series string
	x            float64
	xLabel       string
}

// plotted is a row with its place: metric is which one of its case.
type plotted struct {
	point
	metric int
	row    report.Row
}

func drawAll(dir string, points []plotted) error { return nil }
