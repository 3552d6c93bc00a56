package pgtest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// keeper runs the server until its standard input closes, which the kernel does
// for us however this process ends, then stops the server and removes its
// directory. Arguments: the directory, then the server's command line.
const keeper = `
dir=$1; shift
"$@" </dev/null & server=$!
cat >/dev/null
kill -INT $server 2>/dev/null
wait $server
cd / && rm -rf "$dir"
`

// settings trade away every durability: nobody will miss this data.
var settings = []string{
	"listen_addresses=", "fsync=off", "synchronous_commit=off", "full_page_writes=off",
	"wal_level=minimal", "max_wal_senders=0", "max_connections=1000", "shared_buffers=64MB", "max_wal_size=128MB",
}

// Start starts a cluster on a Unix socket and returns its administrator's DSN.
// The returned function stops it and waits until nothing of it is left.
func Start() (dsn string, stop func(), err error) {
	bin, err := binaries()
	if err != nil {
		return "", nil, err
	}
	dir, err := os.MkdirTemp(Memory(), "understudy-pg-") // short: a socket's path has at most 107 bytes
	if err != nil {
		return "", nil, fmt.Errorf("pgtest: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(dir)
		}
	}()
	attributes, err := unprivileged(dir)
	if err != nil {
		return "", nil, err
	}

	data := filepath.Join(dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "--pgdata="+data, "--username=understudy",
		"--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions")
	initdb.Dir, initdb.SysProcAttr = dir, attributes
	if out, err := initdb.CombinedOutput(); err != nil {
		return "", nil, fmt.Errorf("pgtest: initdb: %w\n%s", err, out)
	}

	args := []string{"-c", keeper, "keeper", dir, filepath.Join(bin, "postgres"), "-D", data, "-k", dir}
	for _, setting := range settings {
		args = append(args, "-c", setting)
	}
	var log bytes.Buffer
	server := exec.Command("/bin/sh", args...)
	server.Dir, server.SysProcAttr, server.Stdout, server.Stderr = dir, attributes, &log, &log
	leash, err := server.StdinPipe()
	if err != nil {
		return "", nil, fmt.Errorf("pgtest: %w", err)
	}
	if err := server.Start(); err != nil {
		return "", nil, fmt.Errorf("pgtest: start: %w", err)
	}
	stop = func() {
		_ = leash.Close()
		_ = server.Wait()
	}

	u := url.URL{Scheme: "postgres", User: url.User("understudy"), Path: "/postgres"}
	u.RawQuery = url.Values{"host": {dir}, "sslmode": {"disable"}}.Encode()
	dsn = u.String()
	if err := answers(dsn); err != nil {
		stop()
		return "", nil, fmt.Errorf("pgtest: no answer: %w\n%s", err, log.String())
	}
	return dsn, stop, nil
}

// binaries returns the directory of the newest installed server.
func binaries() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres") // where Debian keeps them, off the PATH
	slices.SortFunc(found, func(a, b string) int { return cmp.Compare(version(a), version(b)) })
	if len(found) > 0 {
		return filepath.Dir(found[len(found)-1]), nil
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		return filepath.Dir(path), nil
	}
	return "", errors.New("pgtest: PostgreSQL's server is not installed; `make test` installs it")
}

func version(path string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
	return n
}

// unprivileged returns how to run the server, which refuses to be root: then it
// runs as the user its package made, who is given dir. Its own process group
// keeps an interrupt at the terminal from reaching it before the tests end.
func unprivileged(dir string) (*syscall.SysProcAttr, error) {
	attributes := &syscall.SysProcAttr{Setpgid: true}
	if os.Geteuid() != 0 {
		return attributes, nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("pgtest: PostgreSQL cannot run as root: %w", err)
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("pgtest: uid %q: %w", account.Uid, err)
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("pgtest: gid %q: %w", account.Gid, err)
	}
	if err := os.Chown(dir, int(uid), int(gid)); err != nil {
		return nil, fmt.Errorf("pgtest: %w", err)
	}
	attributes.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return attributes, nil
}

// answers waits until the server does.
func answers(dsn string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, dsn)
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}
