package pgtest

import "syscall"

// Memory is a directory without a disk, for what nobody will miss; empty where there is
// none with room for a test run. A container has often next to none.
func Memory() string {
	const directory, enough = "/dev/shm", 2 << 30
	var s syscall.Statfs_t
	if err := syscall.Statfs(directory, &s); err != nil || s.Bavail*uint64(s.Bsize) < enough {
		return ""
	}
	return directory
}
