package main

import "syscall"

// Magic numbers of statfs(2) for file systems over a network.
var networkFilesystems = map[uint32]string{
	0x6969: "NFS", 0x517b: "SMB", 0xff534d42: "CIFS", 0xfe534d42: "SMB2", 0x01021997: "9P", 0x00c36400: "Ceph",
	0x5346414f: "AFS", 0x0bd00bd0: "Lustre", 0x01161970: "GFS2", 0x7461636f: "OCFS2",
}

const fuseFilesystem = 0x65735546

// filesystem says what a directory is on.
func filesystem(directory string) (volume, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(directory, &s); err != nil {
		return volume{}, err
	}
	block := uint64(s.Bsize) //nolint:gosec // a size
	kind := uint32(s.Type)   //nolint:gosec // as statfs(2) writes them
	return volume{network: networkFilesystems[kind], user: kind == fuseFilesystem, free: s.Bavail * block, total: s.Blocks * block}, nil
}
