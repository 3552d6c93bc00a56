//go:build !linux

package main

func filesystem(string) (volume, error) { return volume{}, errNoVolume }
