package impersonation

import (
	"fmt"
	"regexp"
	"sync"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/env"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// zoned are CEL's functions of a timestamp in a time zone, which has a name or is an
// offset such as +02:00. They stand in for the library's own, which read the zone from
// its file each time: that costs more than the rest of a policy.
var zoned = []struct {
	name, replaces string
	of             func(time.Time) int
}{
	{"getFullYear", overloads.TimestampToYearWithTz, time.Time.Year},
	{"getMonth", overloads.TimestampToMonthWithTz, func(t time.Time) int { return int(t.Month()) - 1 }},
	{"getDayOfYear", overloads.TimestampToDayOfYearWithTz, func(t time.Time) int { return t.YearDay() - 1 }},
	{"getDayOfMonth", overloads.TimestampToDayOfMonthZeroBasedWithTz, func(t time.Time) int { return t.Day() - 1 }},
	{"getDate", overloads.TimestampToDayOfMonthOneBasedWithTz, time.Time.Day},
	{"getDayOfWeek", overloads.TimestampToDayOfWeekWithTz, func(t time.Time) int { return int(t.Weekday()) }},
	{"getHours", overloads.TimestampToHoursWithTz, time.Time.Hour},
	{"getMinutes", overloads.TimestampToMinutesWithTz, time.Time.Minute},
	{"getSeconds", overloads.TimestampToSecondsWithTz, time.Time.Second},
	{"getMilliseconds", overloads.TimestampToMillisecondsWithTz, func(t time.Time) int { return t.Nanosecond() / int(time.Millisecond) }},
}

// library is CEL's own, with zoned, and with a check of the zones that are written out.
func library() []cel.EnvOption {
	known, subset := &zones{}, env.NewLibrarySubset()
	var options []cel.EnvOption
	for _, f := range zoned {
		subset.AddExcludedFunctions(&env.Function{Name: f.name, Overloads: []*env.Overload{{ID: f.replaces}}})
		in := func(at, name ref.Val) ref.Val {
			zone, err := known.named(string(name.(types.String)))
			if err != nil {
				return types.NewErrFromString(err.Error())
			}
			return types.Int(f.of(at.(types.Timestamp).In(zone)))
		}
		options = append(options, cel.Function(f.name, cel.MemberOverload(
			"understudy_"+f.replaces, []*cel.Type{cel.TimestampType, cel.StringType}, cel.IntType, cel.BinaryBinding(in))))
	}
	return append([]cel.EnvOption{cel.StdLib(cel.StdLibSubset(subset)), cel.ASTValidators(known)}, options...)
}

// zones remembers time zones by name.
type zones struct{ by sync.Map }

// named returns a time zone.
func (z *zones) named(name string) (*time.Location, error) {
	if known, ok := z.by.Load(name); ok {
		return known.(*time.Location), nil
	}
	zone, err := zoneNamed(name)
	if err == nil {
		z.by.Store(name, zone) // there are only so many
	}
	return zone, err
}

var zoneOffset = regexp.MustCompile(`^[+-]?([01][0-9]|2[0-3]):[0-5][0-9]$`)

func zoneNamed(name string) (*time.Location, error) {
	if zoneOffset.MatchString(name) {
		if name[0] != '-' && name[0] != '+' {
			name = "+" + name
		}
		at, err := time.Parse("-07:00", name)
		return at.Location(), err
	}
	zone, err := time.LoadLocation(name)
	if err != nil || name == "" || name == "Local" { // what the machine is set to is for no rule to ask
		return nil, fmt.Errorf("%q is no time zone", name)
	}
	return zone, nil
}

// Name implements cel.ASTValidator.
func (z *zones) Name() string { return "understudy.zones" }

// Validate refuses what is written out and is no time zone. It implements cel.ASTValidator.
func (z *zones) Validate(_ *cel.Env, _ cel.ValidatorConfig, a *ast.AST, issues *cel.Issues) {
	root := ast.NavigateAST(a)
	for _, f := range zoned {
		for _, call := range ast.MatchDescendants(root, ast.FunctionMatcher(f.name)) {
			for _, arg := range call.AsCall().Args() {
				if arg.Kind() != ast.LiteralKind {
					continue
				}
				name, ok := arg.AsLiteral().Value().(string)
				if _, err := z.named(name); ok && err != nil {
					issues.ReportErrorAtID(arg.ID(), "%s", err.Error())
				}
			}
		}
	}
}
