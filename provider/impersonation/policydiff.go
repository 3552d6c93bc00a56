package impersonation

import (
	"slices"
	"strings"
)

// DiffLine is a line of one version or of both.
type DiffLine struct {
	Op   byte // '+', '-' or ' '
	Text string
}

// DiffPolicies compares two versions line by line.
func DiffPolicies(before, after string) []DiffLine {
	a, b := linesOf(before), linesOf(after)
	var same []DiffLine
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		same = append(same, DiffLine{' ', a[0]})
		a, b = a[1:], b[1:]
	}
	var tail []DiffLine
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		tail = append(tail, DiffLine{' ', a[len(a)-1]})
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	slices.Reverse(tail)
	return slices.Concat(same, changed(a, b), tail)
}

// maxDiff bounds what a comparison of two changed parts costs; beyond it they are shown
// one after the other.
const maxDiff = 1 << 22

// changed is the shortest way from a to b by their longest common subsequence.
func changed(a, b []string) []DiffLine {
	var lines []DiffLine
	if len(a)*len(b) > maxDiff {
		for _, l := range a {
			lines = append(lines, DiffLine{'-', l})
		}
		for _, l := range b {
			lines = append(lines, DiffLine{'+', l})
		}
		return lines
	}
	width := len(b) + 1
	common := make([]int32, (len(a)+1)*width) // of what follows from here
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i*width+j] = common[(i+1)*width+j+1] + 1
			} else {
				common[i*width+j] = max(common[(i+1)*width+j], common[i*width+j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			lines = append(lines, DiffLine{' ', a[i]})
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[(i+1)*width+j] >= common[i*width+j+1]:
			lines = append(lines, DiffLine{'-', a[i]})
			i++
		default:
			lines = append(lines, DiffLine{'+', b[j]})
			j++
		}
	}
	return lines
}

func linesOf(text string) []string {
	text = strings.TrimSuffix(text, "\n")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}
