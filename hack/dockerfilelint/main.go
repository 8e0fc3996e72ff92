// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// Command dockerfilelint runs the build checks of BuildKit, those of `docker build --check`, on Dockerfiles
// without an engine and without a network: every base image counts as known.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/containerd/platforms"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerui"
	"github.com/opencontainers/go-digest"
)

func main() {
	failed := false
	for _, path := range os.Args[1:] {
		problems, err := check(context.Background(), path)
		if err != nil {
			fmt.Fprintln(os.Stderr, "dockerfilelint:", err)
			os.Exit(2)
		}
		for _, problem := range problems {
			failed = true
			fmt.Println(problem)
		}
	}
	if failed {
		os.Exit(1)
	}
}

// check returns one line for each thing that BuildKit finds wrong in the Dockerfile at path.
func check(ctx context.Context, path string) ([]string, error) {
	dockerfile, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	platform := platforms.MustParse("linux/amd64")
	found, err := dockerfile2llb.DockerfileLint(ctx, dockerfile, dockerfile2llb.ConvertOpt{
		Config:         dockerui.Config{BuildPlatforms: []platforms.Platform{platform}},
		MetaResolver:   anyImage{},
		SourceMap:      &llb.SourceMap{Definition: &llb.Definition{}, Filename: path, Data: dockerfile},
		TargetPlatform: &platform,
	})
	if err != nil {
		return nil, err
	}
	var problems []string
	for _, warning := range found.Warnings {
		line := int32(1)
		if ranges := warning.Location.GetRanges(); len(ranges) > 0 {
			line = ranges[0].Start.Line
		}
		problems = append(problems, fmt.Sprintf("%s:%d: %s (%s)", path, line, warning.Detail, warning.RuleName))
	}
	if found.Error != nil {
		problems = append(problems, fmt.Sprintf("%s: %s", path, found.Error.Message))
	}
	return problems, nil
}

// anyImage stands in for a registry that has every image, each with the usual PATH.
type anyImage struct{}

// ResolveImageConfig implements llb.ImageMetaResolver.
func (anyImage) ResolveImageConfig(_ context.Context, ref string, _ sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	config := []byte(`{"os":"linux","architecture":"amd64","config":{"Env":["PATH=/usr/local/bin:/usr/bin:/bin"]}}`)
	return ref, digest.FromBytes(config), config, nil
}
