package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience is how long a test waits for what has to come.
const patience = 2 * time.Minute

// startDemo runs the demo until the test ends.
func startDemo(t *testing.T) *demo {
	t.Helper()
	d, err := newDemo(t.Context(), "127.0.0.1:0", "127.0.0.1:0", nil, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.run(ctx, func(context.Context) error { return nil }, true) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return d
}

// startChromium starts a browser without a window, which knows nothing yet and
// ends with the test.
func startChromium(t *testing.T) context.Context {
	t.Helper()
	var program string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			program = path
			break
		}
	}
	if program == "" {
		t.Fatal("there is no Chromium: `make test` installs it, by .ci/install-test-tools")
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WSURLReadTimeout(patience),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("lang", "en"), chromedp.Env("LANGUAGE=en"), // which it asks pages in
	)
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start %s: %v", program, err)
	}
	return ctx
}

// tab is somebody at a browser. Whatever does not come within patience fails the
// test.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu         sync.Mutex
	complaints []string
}

// newTab opens a tab that shares no cookies with others.
func newTab(t *testing.T, chromium context.Context) *tab {
	t.Helper()
	b := &tab{t: t}
	var cancel context.CancelFunc
	b.ctx, cancel = chromedp.NewContext(chromium, chromedp.WithNewBrowserContext(), chromedp.WithListener(b.listen))
	t.Cleanup(cancel)
	// Not with a time limit: the tab lives as long as the context of its first command.
	if _, err := chromedp.Call(b.ctx, audits.Enable, cdp.Empty{}); err != nil {
		t.Fatal(err)
	}
	b.look(light, 1280)
	return b
}

// listen keeps what the browser complains about: violations of the content
// security policy above all.
func (b *tab) listen(event any) {
	var complaint string
	switch e := event.(type) {
	case *log.EventEntryAdded:
		complaint = fmt.Sprintf("%s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL)
	case *audits.EventIssueAdded:
		if e.Issue.Details.ContentSecurityPolicyIssueDetails == nil {
			return
		}
		details, _ := json.Marshal(e.Issue.Details)
		complaint = fmt.Sprintf("%s: %s", e.Issue.Code, details)
	case *runtime.EventExceptionThrown:
		complaint = "exception: " + e.ExceptionDetails.Text
	case *runtime.EventConsoleAPICalled:
		complaint = "console: " + string(e.Type)
	default:
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.complaints = append(b.complaints, complaint)
}

func (b *tab) heard() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.complaints)
}

func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.t.Fatalf("%v\n%s", err, b.where())
	}
}

// call sends one command of the DevTools protocol.
func call[P, R any](b *tab, command cdp.Command[P, R], parameters P) R {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	result, err := chromedp.Call(ctx, command, parameters)
	if err != nil {
		b.t.Fatalf("%v\n%s", err, b.where())
	}
	return result
}

// value evaluates JavaScript, which works with scripts switched off too: that
// holds for the page's own.
func value[T any](b *tab, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%v\n%s", err, b.where())
	}
	return v
}

// where says what the tab shows.
func (b *tab) where() string {
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	shown, err := chromedp.Run(ctx, chromedp.Evaluate[string](`location.href + "\n" + document.body.innerText`))
	if err != nil {
		return err.Error()
	}
	return "the browser is at " + shown
}

// until waits for a page on which an expression is true.
func (b *tab) until(expression string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	for {
		// An error is a page on its way out.
		holds, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`document.readyState == "complete" && !!(`+expression+`)`))
		if err == nil && holds {
			return
		}
		select {
		case <-ctx.Done():
			b.t.Fatalf("never came: %s (%v)\n%s", expression, err, b.where())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// see waits for a page that has an element.
func (b *tab) see(selector string) {
	b.t.Helper()
	b.until("document.querySelector(" + quoted(selector) + ")")
}

// read waits for an element with exactly that text.
func (b *tab) read(selector, text string) {
	b.t.Helper()
	b.until("document.querySelector(" + quoted(selector) + ")?.innerText.trim() == " + quoted(text))
}

func quoted(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// open goes to an address and waits for an element there.
func (b *tab) open(url, selector string) {
	b.t.Helper()
	b.do(chromedp.Navigate(url))
	b.see(selector)
}

func (b *tab) click(selector string) {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.CSS(selector)))
}

// write types into a field in place of what it holds.
func (b *tab) write(selector, text string) {
	b.t.Helper()
	value[string](b, "document.querySelector("+quoted(selector)+").value = ''")
	b.do(chromedp.SendKeys(chromedp.CSS(selector), text))
}

const (
	light = "light"
	dark  = "dark"
)

// look sets how the tab shows pages.
func (b *tab) look(scheme string, width int64) {
	b.t.Helper()
	call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: 800, DeviceScaleFactor: 1})
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme},
	}})
	// A colour on its way from one scheme to the other is neither.
	value[bool](b, `document.getAnimations().forEach(a => a.finish()), true`)
}

// picture draws a part of the page, each pixel scale times.
func (b *tab) picture(clip page.Viewport) []byte {
	b.t.Helper()
	yes := true
	return call(b, page.CaptureScreenshot, page.CaptureScreenshotParams{
		Format: page.CaptureScreenshotFormatPng, Clip: &clip, CaptureBeyondViewport: &yes, FromSurface: &yes,
	}).Data
}
