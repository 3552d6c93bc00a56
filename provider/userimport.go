package provider

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/understudy-id/understudy/storage"
)

// ImportOptions say how the users of a file are added. Zero: all of them, or none.
type ImportOptions struct {
	DryRun       bool // look at everything, change nothing
	SkipBad      bool // add the others where some cannot be added
	SkipExisting bool // leave users who exist as they are; otherwise they cannot be added

	// Operator says that somebody imports who has the database in their hands. Anybody
	// else is the cause of the import, and can only give roles all of whose permissions
	// they hold everywhere. Whether they may import at all is the caller's to ask.
	Operator bool
}

// ImportReport says what an import did, or would do.
type ImportReport struct {
	DryRun   bool
	Users    int           // in the file
	Created  int           // or, in a dry run, to be created
	Existing int           // left as they are
	Problems []UserProblem // in the order of the file
}

// Bad is how many users of the file cannot be added.
func (r *ImportReport) Bad() int {
	bad := map[userPlace]bool{}
	for _, p := range r.Problems {
		bad[p.place()] = true
	}
	return len(bad)
}

// importBatch is how many users one Write adds: sign-ins wait for it on SQLite.
const importBatch = 250

// importRetries is how often a batch is looked at again because somebody else added
// one of its users in the meantime.
const importRetries = 10

// ImportUsers adds the users of a file. All are looked at before the first is added.
// Each Write adds some of them with their events, so that one that is interrupted can
// be run again with SkipExisting. What an import did until an error is in its report.
func (d *Directory) ImportUsers(
	ctx context.Context, f *UserFile, o ImportOptions, by storage.Cause, now time.Time,
) (*ImportReport, error) {
	report := &ImportReport{DryRun: o.DryRun, Users: f.users, Problems: slices.Clone(f.problems)}
	i := userImport{d.store, o, by, now, report}
	good, err := i.look(ctx, f.rows)
	switch {
	case err != nil, i.stopped():
	case o.DryRun:
		report.Created = len(good)
	default:
		err = i.add(ctx, good)
	}
	slices.SortStableFunc(report.Problems, func(a, b UserProblem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Object, b.Object))
	})
	return report, err
}

// userImport is one import that runs.
type userImport struct {
	store *storage.Store
	ImportOptions
	by     storage.Cause
	now    time.Time
	report *ImportReport
}

// stopped reports whether something is wrong and nobody is to be added therefore.
func (i *userImport) stopped() bool { return len(i.report.Problems) > 0 && !i.SkipBad }

// note puts what became of a batch into the report.
func (i *userImport) note(v verdict) {
	i.report.Existing += v.existing
	i.report.Problems = append(i.report.Problems, v.problems...)
}

// look returns the rows that can be added as the database is now.
func (i *userImport) look(ctx context.Context, rows []*userRow) (good []*userRow, err error) {
	for batch := range slices.Chunk(rows, importBatch) {
		v, err := i.judge(ctx, i.store.Queries, batch)
		if err != nil {
			return nil, err
		}
		i.note(v)
		for _, n := range v.good {
			good = append(good, n.row)
		}
	}
	return good, nil
}

// add adds users until one of them cannot be, because somebody else was quicker.
func (i *userImport) add(ctx context.Context, rows []*userRow) error {
	var took time.Duration
	for batch := range slices.Chunk(rows, importBatch) {
		i.makeWay(ctx, took)
		begun := time.Now()
		v, err := i.write(ctx, batch)
		if err != nil {
			return err
		}
		i.note(v)
		if i.stopped() {
			return nil
		}
		i.report.Created += len(v.good)
		took = time.Since(begun)
	}
	return nil
}

// makeWay gives those who sign in as long as the import took: another process waits
// for SQLite's one writer by asking for it now and then.
func (i *userImport) makeWay(ctx context.Context, took time.Duration) {
	if i.store.Dialect() != storage.SQLite {
		return
	}
	select {
	case <-time.After(took):
	case <-ctx.Done():
	}
}

// write adds the users of a batch, once more judged by what the Write sees. Where
// some are bad it adds the others, or none.
func (i *userImport) write(ctx context.Context, batch []*userRow) (v verdict, err error) {
	for range importRetries {
		err = i.store.Write(ctx, func(tx *storage.Tx) (err error) {
			if !i.Operator {
				if err := tx.LockUser(ctx, i.by.By); err != nil { // or they could lose a permission in between
					return err
				}
			}
			if v, err = i.judge(ctx, tx.Queries, batch); err != nil {
				return err
			}
			if len(v.problems) > 0 && !i.SkipBad {
				v.good = nil
			}
			return i.create(ctx, tx, v.good)
		})
		if !errors.Is(err, storage.ErrExists) {
			break
		}
	}
	return v, err
}

// create adds users, what they may do and where they belong, each with its event.
func (i *userImport) create(ctx context.Context, tx *storage.Tx, good []newUser) error {
	var users []storage.User
	var roles []storage.UserRole
	var members []storage.Membership
	var events []storage.Event
	for _, n := range good {
		u := n.row.user
		if u.ID == "" {
			u.ID = storage.NewID("usr")
		}
		if u.PasswordHash != "" {
			u.PasswordChangedAt = storage.At(i.now)
		}
		created := userCreated(&u, i.by)
		created.Data["imported"] = true
		if u.Status == storage.UserDisabled {
			created.Data["disabled"] = true
		}
		users, events = append(users, u), append(events, created)
		for _, role := range n.row.roles {
			roles = append(roles, storage.UserRole{UserID: u.ID, Role: role})
			events = append(events, roleChanged(storage.EventUserRoleGranted, u.ID, role, "", i.by))
		}
		for _, give := range n.members {
			m := storage.Membership{UserID: u.ID, OrganizationID: give.Organization}
			events = append(events, memberAdded(u.ID, m.OrganizationID, i.by))
			if give.Role != "" {
				m.Role = &give.Role
				events = append(events, roleChanged(storage.EventUserRoleGranted, u.ID, give.Role, m.OrganizationID, i.by))
			}
			members = append(members, m)
		}
	}
	if err := tx.CreateUsers(ctx, users, i.now); err != nil {
		return fmt.Errorf("create users: %w", err)
	}
	if err := tx.GrantRoles(ctx, roles, i.now); err != nil {
		return fmt.Errorf("grant roles: %w", err)
	}
	if err := tx.AddMembers(ctx, members, i.now); err != nil {
		return fmt.Errorf("add members: %w", err)
	}
	return tx.RecordAll(ctx, events, storage.Private{}, i.by.Request, i.now)
}

// verdict is what is to become of a batch.
type verdict struct {
	good     []newUser
	existing int
	problems []UserProblem
}

// newUser is a row with its memberships found: the ids of organizations, with roles.
type newUser struct {
	row     *userRow
	members []OrgRole
}

// judge compares a batch with what a database has.
func (i *userImport) judge(ctx context.Context, q storage.Queries, batch []*userRow) (v verdict, err error) {
	c, err := i.census(ctx, q, batch)
	if err != nil {
		return v, err
	}
	for _, row := range batch {
		if i.SkipExisting && c.has(row) {
			v.existing++
			continue
		}
		members, wrong := c.judge(row)
		if len(wrong) == 0 {
			v.good = append(v.good, newUser{row, members})
		}
		for _, e := range wrong {
			v.problems = append(v.problems, problemAt(row.userPlace, e))
		}
	}
	return v, nil
}

// census is what a database has of what a batch of rows names, and what whoever
// imports holds.
type census struct {
	byEmail       map[string]string // ids of users by e-mail key
	ids           map[string]string // who has an id: a user or a client
	organizations map[string]string // ids by id and by name
	roles         map[string]storage.Role
	operator      bool
	importer      storage.Standing
}

func (i *userImport) census(ctx context.Context, q storage.Queries, batch []*userRow) (*census, error) {
	ids, emails, names := []string{}, []string{}, []string{}
	for _, row := range batch {
		ids, emails = append(ids, row.user.ID), append(emails, storage.EmailKey(row.user.Email))
		for _, text := range row.organizations {
			name, _, _ := cutRole(text)
			names = append(names, text, name)
		}
	}
	users, err := q.UsersWith(ctx, ids, emails)
	if err != nil {
		return nil, fmt.Errorf("load users: %w", err)
	}
	clients, err := q.ClientsAmong(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("load clients: %w", err)
	}
	organizations, err := q.OrganizationsNamed(ctx, names)
	if err != nil {
		return nil, fmt.Errorf("load organizations: %w", err)
	}
	roles, err := q.Roles(ctx)
	if err != nil {
		return nil, fmt.Errorf("load roles: %w", err)
	}
	c := &census{
		byEmail: map[string]string{}, ids: map[string]string{}, organizations: map[string]string{}, roles: map[string]storage.Role{},
		operator: i.Operator,
	}
	if !i.Operator {
		if c.importer, err = q.Standing(ctx, i.by.By); err != nil {
			return nil, fmt.Errorf("load standing: %w", err)
		}
	}
	for _, u := range users {
		c.byEmail[u.EmailKey], c.ids[u.ID] = u.ID, "a user"
	}
	for _, id := range clients {
		c.ids[id] = "a client"
	}
	for _, o := range organizations {
		c.organizations[o.Name] = o.ID
	}
	for _, o := range organizations { // an id goes before a name
		c.organizations[o.ID] = o.ID
	}
	for _, r := range roles {
		c.roles[r.Name] = r
	}
	return c, nil
}

// has reports whether the user of a row exists: with the address, and with the id
// where the row has one.
func (c *census) has(row *userRow) bool {
	id, taken := c.byEmail[storage.EmailKey(row.user.Email)]
	return taken && (row.user.ID == "" || row.user.ID == id)
}

// judge returns the memberships of a row, and what keeps it from being added.
func (c *census) judge(row *userRow) (members []OrgRole, wrong []FieldError) {
	say := func(field, value, why string) {
		if why != "" {
			wrong = append(wrong, FieldError{field, value, why})
		}
	}
	if id, taken := c.byEmail[storage.EmailKey(row.user.Email)]; taken {
		say("email", row.user.Email, fmt.Sprintf("user %q has it", id))
	}
	if who, taken := c.ids[row.user.ID]; taken && !c.has(row) {
		say("id", row.user.ID, who+" has it")
	}
	for _, role := range row.roles {
		say("roles", role, c.refuse(role))
	}
	for _, text := range row.organizations {
		give, why := c.membership(text)
		if why == "" && slices.ContainsFunc(members, func(m OrgRole) bool { return m.Organization == give.Organization }) {
			why = "the organization is there twice"
		}
		say("organizations", text, why)
		members = append(members, give)
	}
	return members, wrong
}

// membership finds the organization, and the role where there is one.
func (c *census) membership(text string) (give OrgRole, why string) {
	if id, ok := c.organizations[text]; ok { // also with a colon in its name
		return OrgRole{Organization: id}, ""
	}
	name, role, ok := cutRole(text)
	id, known := c.organizations[name]
	switch {
	case !known:
		return give, "there is no organization with this id or name"
	case ok:
		why = c.refuse(role)
	}
	return OrgRole{id, role}, why
}

// refuse says why a role cannot be given by whoever imports, everywhere or within an
// organization; empty where it can.
func (c *census) refuse(role string) string {
	r, known := c.roles[role]
	switch {
	case !known:
		return "there is no such role; there are " + strings.Join(slices.Sorted(maps.Keys(c.roles)), ", ")
	case !c.operator && !mayGive(c.importer, r):
		return "only who holds all its permissions everywhere can give this role"
	}
	return ""
}

// mayGive reports whether somebody may give a role to others: who has no more than
// they have themselves, wherever that is.
func mayGive(giver storage.Standing, r storage.Role) bool {
	return !slices.ContainsFunc(r.Permissions, func(p string) bool { return !giver.May(p, "") })
}

// cutRole cuts ORGANIZATION:ROLE.
func cutRole(text string) (organization, role string, ok bool) {
	if i := strings.LastIndexByte(text, ':'); i >= 0 {
		return text[:i], text[i+1:], true
	}
	return text, "", false
}
