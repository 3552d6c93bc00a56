package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

func schemaFinding(err error) finding {
	advice := "See that the database is one of Understudy's."
	if errors.Is(err, storage.ErrSchema) {
		advice = "Make a backup, then run understudy migrate up with the program that serves."
	}
	return finding{"schema", bad, err.Error(), advice}
}

// checkDatabaseFile looks at who may read a SQLite database and its log.
func checkDatabaseFile(path string) finding {
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		info, err := os.Stat(name)
		if errors.Is(err, fs.ErrNotExist) && name != path {
			continue
		}
		if err != nil {
			return finding{"database file", bad, err.Error(), "See that the file is there."}
		}
		if mode := info.Mode().Perm(); mode&0o077 != 0 {
			status := warn
			if mode&0o007 != 0 {
				status = bad
			}
			return finding{"database file", status, fmt.Sprintf("%s can be read by others than its owner (mode %04o)", name, mode), "chmod 0600 " + name}
		}
	}
	return finding{"database file", good, path + " is its owner's alone", ""}
}

// volume is where a file is kept.
type volume struct {
	network     string // the kind of file system, where it is one over a network
	user        bool   // the file system is a program's (FUSE), of which nothing is known
	free, total uint64 // bytes
}

// errNoVolume says that this system does not tell.
var errNoVolume = errors.New("not known on this system")

// Below these a database has no room to grow.
const (
	freeWarn = 1 << 30
	freeBad  = 100 << 20
)

// checkDatabaseDirectory looks at what a SQLite database is kept on: its locks do
// not work over a network, and a full disk stops everything but reading.
func checkDatabaseDirectory(directory string, look func(string) (volume, error)) finding {
	const move = "Move the database to a local disk, or use PostgreSQL."
	v, err := look(directory)
	switch {
	case errors.Is(err, errNoVolume):
		return finding{"disk", good, err.Error(), ""}
	case err != nil:
		return finding{"disk", bad, err.Error(), "See that the directory is there."}
	case v.network != "":
		return finding{"disk", bad, fmt.Sprintf("%s is on %s, a file system over a network: SQLite loses data there", directory, v.network), move}
	case v.free < freeBad:
		return finding{"disk", bad, fmt.Sprintf("%s has %d MiB left", directory, v.free>>20), "Make room."}
	case v.free < freeWarn:
		return finding{"disk", warn, fmt.Sprintf("%s has %d MiB left", directory, v.free>>20), "Make room."}
	case v.user:
		return finding{"disk", warn, directory + " is on a FUSE file system, which may be one over a network", move}
	}
	return finding{"disk", good, fmt.Sprintf("%s is local and has %d GiB of %d GiB left", directory, v.free>>30, v.total>>30), ""}
}

// checkKeys: without keys that can be opened nothing can be signed.
func (e *examination) checkKeys(ctx context.Context) []finding {
	ring, err := newKeyring(e.config, e.store)
	if err != nil {
		return []finding{{"keys", bad, err.Error(), ""}}
	}
	rows, err := e.store.SigningKeys(ctx)
	if err != nil {
		return []finding{{"keys", bad, err.Error(), "See that the database runs."}}
	}
	switch err := ring.Load(ctx, e.now); {
	case errors.Is(err, provider.ErrNoKeys):
		return []finding{{"keys", bad, err.Error(), "Start the server, which makes them."}}
	case errors.Is(err, provider.ErrSecret):
		return []finding{{"keys", bad, err.Error(), "Set secrets.system to the value that the keys were made with, or list that under secrets.previous."}}
	case err != nil:
		return []finding{{"keys", bad, err.Error(), "See that the database runs, and restore it where it was damaged."}}
	}
	e.keys = ring
	previous, _ := ring.Sealed(rows)
	webhooks, err := e.store.Webhooks(ctx)
	if err != nil {
		return []finding{{"keys", bad, err.Error(), "See that the database runs."}}
	}
	previous = append(previous, ring.SealedWebhooks(webhooks)...)
	return []finding{
		keyAges(provider.KeyStatuses(rows, longestUse(e.config), e.now), e.config.Keys.RotationInterval, e.now),
		encryption(len(previous), len(e.config.Secrets.Previous)),
	}
}

// overdue is how late a rotation may be before somebody should look: a server does
// it within the hour.
const overdue = 2 * time.Hour

// keyAges says how old the keys are that sign tokens, and what comes next.
func keyAges(keys []provider.KeyStatus, interval time.Duration, now time.Time) finding {
	var ages []string
	var soonest time.Time
	next := map[string]storage.SigningKey{}
	for _, k := range keys {
		if k.State == provider.KeyNext {
			next[k.Alg] = k.SigningKey
		}
	}
	for _, k := range keys {
		if k.State != provider.KeySigning || k.Alg == "EdDSA" { // the checkpoint key stays
			continue
		}
		age := ageOf(now.Sub(k.ActivatesAt.Time()))
		if age != "new" {
			age += " old"
		}
		ages = append(ages, k.Alg+" "+age)
		coming, published := next[k.Alg]
		at := provider.RotatesAt(k.SigningKey, interval)
		switch {
		case published && coming.ActivatesAt.Time().Sub(now) > 48*time.Hour:
			return finding{
				"keys", warn, fmt.Sprintf("the next %s key signs only from %s on: the clock was wrong when it was made", k.Alg, moment(coming.ActivatesAt)),
				"Set the clock. understudy key rotate --emergency makes another, at a price: see docs/operations.md.",
			}
		case published || interval == 0:
		case now.Sub(at) > overdue:
			return finding{
				"keys", warn, fmt.Sprintf("the next %s key should have been published at %s", k.Alg, at.Format(time.RFC3339)),
				"See that a server runs, and what it logs about keys. understudy key rotate does it by hand.",
			}
		case soonest.IsZero() || at.Before(soonest):
			soonest = at
		}
	}
	detail := strings.Join(ages, ", ")
	switch {
	case len(next) > 0:
		detail += "; the next is published"
	case interval == 0:
		detail += "; rotation is left to understudy key rotate"
	default:
		detail += "; the next is published at " + soonest.Format(time.RFC3339)
	}
	return finding{"keys", good, detail, ""}
}

// encryption says whether earlier secrets are still needed.
func encryption(waiting, given int) finding {
	switch {
	case waiting > 0:
		return finding{
			"encryption", warn, fmt.Sprintf("%d keys are encrypted with secrets.previous", waiting),
			"Start the server with this configuration: it encrypts them with secrets.system.",
		}
	case given > 0:
		return finding{
			"encryption", warn, "no key needs secrets.previous any more",
			"Remove it, when every server has this secrets.system.",
		}
	}
	return finding{"encryption", good, "all keys are encrypted with secrets.system", ""}
}

func (e *examination) checkAdministrators(ctx context.Context) ([]finding, error) {
	have, err := e.store.Progress(ctx)
	if err != nil {
		return nil, err
	}
	if have.Administrators == 0 {
		return []finding{{"administrators", warn, "there is none who can sign in", "Run understudy setup-link, and open the link."}}, nil
	}
	return []finding{{"administrators", good, fmt.Sprint(have.Administrators), ""}}, nil
}

func (e *examination) checkImpersonation(ctx context.Context) ([]finding, error) {
	on, err := e.store.ImpersonationEnabled(ctx)
	if err != nil {
		return nil, err
	}
	have, err := e.store.Progress(ctx)
	if err != nil {
		return nil, err
	}
	f := finding{"impersonation", good, "is off", ""}
	switch allowed := fmt.Sprintf("%d of %d applications allow it", have.ClientsOptedIn, have.Clients); {
	case on && have.ClientsOptedIn == 0:
		f = finding{"impersonation", warn, "is on, and no application allows it", "understudy client update CLIENT --allow-impersonation, or understudy impersonation disable"}
	case on:
		f.Detail = "is on; " + allowed
	}
	return []finding{f}, nil
}

func (e *examination) checkClients(ctx context.Context) ([]finding, error) {
	clients, err := e.store.Clients(ctx)
	if err != nil {
		return nil, err
	}
	var found []finding
	for _, c := range clients {
		for _, w := range weaknesses(&c) {
			found = append(found, finding{"application " + c.ID, warn, w.detail, w.advice})
		}
	}
	if len(found) == 0 {
		found = []finding{{"applications", good, fmt.Sprintf("%d, none with a weak setting", len(clients)), ""}}
	}
	return found, nil
}

type weakness struct{ detail, advice string }

// weaknesses are settings of an active client that are allowed and not advisable.
func weaknesses(c *storage.Client) []weakness {
	if c.Status == storage.ClientDisabled {
		return nil
	}
	var found []weakness
	if slices.Contains(c.GrantTypes, "authorization_code") && !c.RequirePKCE {
		found = append(found, weakness{
			"need not send a PKCE challenge (RFC 9700 section 2.1.1)", "When it sends one: understudy client update " + c.ID + " --no-require-pkce=false",
		})
	}
	for _, t := range c.ResponseTypes {
		if parts := strings.Fields(t); slices.Contains(parts, "token") || slices.Contains(parts, "id_token") {
			found = append(found, weakness{
				fmt.Sprintf("may use the response type %q, which puts tokens into addresses (RFC 9700 section 2.1.2)", t), "Use code where the application can.",
			})
		}
	}
	for _, uri := range c.RedirectURIs {
		if u, err := url.Parse(uri); err == nil && u.Scheme == "http" && !onLoopback(u.Hostname()) {
			found = append(found, weakness{"is answered over http at " + uri, "Register an https redirect URI."})
		}
	}
	if c.Delivery == "callback" {
		found = append(found, weakness{
			"takes answers that it did not ask for (delivery callback), which is open to login CSRF", "understudy client update " + c.ID + " --delivery initiate_login",
		})
	}
	return found
}

func onLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// signedWithin is how long events may wait for a checkpoint while a server runs.
const signedWithin = 10 * time.Minute

func (e *examination) checkRecord(ctx context.Context) ([]finding, error) {
	if e.keys == nil { // checkpoints cannot be verified, and the keys were reported
		return []finding{}, nil
	}
	auditor := provider.NewAuditor(e.store, e.keys, e.config.Issuer)
	if e.full {
		v, checkpoints, err := auditor.Verify(ctx)
		return []finding{wholeRecord(v, checkpoints, err)}, nil
	}
	latest, size, err := auditor.Latest(ctx)
	if errors.Is(err, provider.ErrRewritten) {
		return []finding{notWhole(err)}, nil
	}
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return nil, err
	}
	if latest == nil {
		latest = &storage.Checkpoint{}
	}
	unsigned, err := e.store.Events(ctx, storage.EventFilter{From: latest.Size, Limit: 1})
	if err != nil {
		return nil, err
	}
	waiting, err := e.store.PendingEvents(ctx, 1)
	if err != nil {
		return nil, err
	}
	return []finding{recordFinding(latest, size, append(unsigned, waiting...), e.now)}, nil
}

func notWhole(err error) finding {
	return finding{"record", bad, err.Error(), "Keep the database as it is. Run understudy audit verify --against a checkpoint kept elsewhere."}
}

// wholeRecord judges a record that was read from end to end.
func wholeRecord(v storage.Verification, checkpoints int, err error) finding {
	if err := errors.Join(err, v.Err()); err != nil {
		return notWhole(err)
	}
	return finding{"record", good, fmt.Sprintf("all %d events are whole, compared with %d checkpoints", v.Size, checkpoints), ""}
}

// recordFinding judges a record whose latest checkpoint is sound, empty where there
// is none. unsigned are the first events that it does not cover.
func recordFinding(latest *storage.Checkpoint, size int64, unsigned []storage.Event, now time.Time) finding {
	for _, event := range unsigned {
		if now.Sub(event.Time.Time()) > signedWithin {
			return finding{
				"record", warn, "events have not been signed since " + moment(event.Time),
				"See that a server runs, and what it logs about the audit record. understudy audit checkpoint does it by hand.",
			}
		}
	}
	detail := fmt.Sprintf("%d events", size)
	if latest.Size > 0 {
		detail += "; signed " + moment(latest.CreatedAt)
	}
	return finding{"record", good, detail, ""}
}

// waitsWithin is how long a logout token may be on its way before somebody should look.
const waitsWithin = 5 * time.Minute

func (e *examination) checkLogoutNotices(ctx context.Context) ([]finding, error) {
	failed, waiting, err := e.store.UndeliveredNotices(ctx, e.now.Add(-24*time.Hour), e.now.Add(-waitsWithin))
	if err != nil {
		return nil, err
	}
	var found []finding
	if failed > 0 {
		found = append(found, finding{
			"logout notices", warn, fmt.Sprintf("%d were refused or given up within the last 24 hours", failed),
			"See that the applications accept what they are sent at their back-channel logout URIs, and what the server logs about them.",
		})
	}
	if waiting > 0 {
		found = append(found, finding{
			"logout notices", warn, fmt.Sprintf("%d have waited for more than %d minutes", waiting, int(waitsWithin.Minutes())),
			"See that a server runs, and that the applications answer at their back-channel logout URIs.",
		})
	}
	if found == nil {
		found = []finding{{"logout notices", good, "none were refused or given up within the last 24 hours, and none wait", ""}}
	}
	return found, nil
}

// behindWithin is how long an event may be on its way to a webhook before somebody
// should look.
const behindWithin = time.Hour

// checkWebhooks looks at what events are pushed to.
func (e *examination) checkWebhooks(ctx context.Context) ([]finding, error) {
	webhooks, err := e.store.Webhooks(ctx)
	if err != nil {
		return nil, err
	}
	backlog, err := e.store.Backlog(ctx)
	if err != nil {
		return nil, err
	}
	why := map[storage.DisabledReason]string{
		storage.DisabledGone: "answered that it is gone", storage.DisabledFailing: "failed for days",
	}
	var found []finding
	for _, w := range webhooks {
		switch {
		case why[w.DisabledReason] != "":
			found = append(found, finding{
				"webhook " + w.ID, warn, why[w.DisabledReason] + " and was disabled at " + moment(w.UpdatedAt),
				"Mend what answers there, then: understudy webhook enable " + w.ID + ". It goes on from where it stopped.",
			})
		case w.Active() && w.Failures > 0 && e.now.Sub(w.FailingSince.Time()) > waitsWithin:
			found = append(found, finding{
				"webhook " + w.ID, warn, "has not answered as it should since " + moment(w.FailingSince),
				"See what understudy webhook deliveries " + w.ID + " says.",
			})
		}
	}
	if backlog.Oldest.Set() && e.now.Sub(backlog.Oldest.Time()) > behindWithin {
		found = append(found, finding{
			"webhooks", warn, fmt.Sprintf("%d events wait, the oldest since %s", backlog.Deliveries, moment(backlog.Oldest)),
			"See that a server runs, and that what is to receive them answers.",
		})
	}
	if found == nil {
		found = []finding{{"webhooks", good, fmt.Sprintf("%d, and none is behind", len(webhooks)), ""}}
	}
	return found, nil
}

// checkMails looks at what came of the mails of the last month.
func (e *examination) checkMails(ctx context.Context) ([]finding, error) {
	state, err := e.store.MailState(ctx)
	if err != nil || e.config.Mail.SMTPURL == "" {
		return nil, err
	}
	if state.LastError != "" {
		return []finding{{
			"mails", warn, fmt.Sprintf("%d wait, %d were given up in 30 days; the last error: %s", state.Waiting, state.Failed, state.LastError),
			"Try understudy mail test --to YOUR-ADDRESS.",
		}}, nil
	}
	return []finding{{"mails", good, "none failed in 30 days", ""}}, nil
}
