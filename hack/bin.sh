#!/usr/bin/env bash
# Prints the path of a tool or server, building it first when the cache has no copy of this version.
#
#   hack/bin.sh controller-gen | golangci-lint | crd-ref-docs | govulncheck | kustomize    development tools
#   hack/bin.sh kube-apiserver | etcd | versitygw | prometheus | registry                  real parts for tests and the demo
#   hack/bin.sh kubectl | kube-controller-manager | kube-state-metrics | argocd | helm3 | helm4 | promtool   real parts for the tests of operating it
#   hack/bin.sh assets                                                                     folder with kube-apiserver and etcd
#
# The cache is outside the work tree and keyed by version, so that a fresh clone reuses it:
# $WINDLASS_CACHE, else $XDG_CACHE_HOME/windlass, else ~/.cache/windlass.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${WINDLASS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/windlass}

# name -> go module folder, module, package
case "${1:-}" in
  controller-gen) dir=tools module=sigs.k8s.io/controller-tools pkg=$module/cmd/controller-gen ;;
  golangci-lint)  dir=tools module=sigs.k8s.io/kube-api-linter pkg=$module/cmd/golangci-lint-kube-api-linter ;;
  crd-ref-docs)   dir=tools module=github.com/elastic/crd-ref-docs pkg=$module ;;
  govulncheck)    dir=tools module=golang.org/x/vuln pkg=$module/cmd/govulncheck ;;
  kustomize)      dir=tools module=sigs.k8s.io/kustomize/kustomize/v5 pkg=$module ;;
  versitygw)      dir=tools module=github.com/versity/versitygw pkg=$module/cmd/versitygw ;;
  prometheus)     dir=tools module=github.com/prometheus/prometheus pkg=$module/cmd/prometheus ;;
  promtool)       dir=tools module=github.com/prometheus/prometheus pkg=$module/cmd/promtool ;;
  registry)       dir=tools module=github.com/distribution/distribution/v3 pkg=$module/cmd/registry ;;
  kube-apiserver) dir=controlplane module=k8s.io/kubernetes pkg=$module/cmd/kube-apiserver ;;
  kube-controller-manager) dir=controlplane module=k8s.io/kubernetes pkg=$module/cmd/kube-controller-manager ;;
  kubectl)        dir=controlplane module=k8s.io/kubernetes pkg=$module/cmd/kubectl ;;
  kube-state-metrics) dir=kubestate module=k8s.io/kube-state-metrics/v2 pkg=$module ;;
  argocd)         dir=argocd module=github.com/argoproj/argo-cd/v3 pkg=$module/cmd ;;
  helm3)          dir=helm module=helm.sh/helm/v3 pkg=$module/cmd/helm ;;
  helm4)          dir=helm module=helm.sh/helm/v4 pkg=$module/cmd/helm ;;
  etcd)           dir=controlplane module=go.etcd.io/etcd/server/v3 pkg=$module ;;
  assets)
    if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then echo "$KUBEBUILDER_ASSETS"; exit 0; fi
    api=$("$0" kube-apiserver) etcd=$("$0" etcd)
    out=$cache/assets/$(basename "$(dirname "$api")")_$(basename "$(dirname "$etcd")")
    mkdir -p "$out"
    ln -sfn "$api" "$out/kube-apiserver"; ln -sfn "$etcd" "$out/etcd"
    echo "$out"; exit 0 ;;
  *) sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac

cd "$here/$dir"
version=$(go list -m -f '{{.Version}}' "$module")
bin=$cache/bin/$1-$version/$1 ldflags='-s -w'
if [ "$module" = k8s.io/kubernetes ]; then # else it says v0.0.0-master, which Helm and Argo CD take for an old one
  bin=$cache/bin/$1-$version-stamped/$1 minor=${version#v1.} at=k8s.io/component-base/version
  ldflags="$ldflags -X $at.gitVersion=$version -X $at.gitMajor=1 -X $at.gitMinor=${minor%%.*}"
fi
if [ ! -x "$bin" ]; then
  mkdir -p "$(dirname "$bin")"
  exec 9>"$bin.lock"; if command -v flock >/dev/null; then flock 9; fi # without it, two builds at once waste time, no more
  if [ ! -x "$bin" ]; then
    echo "building $1 $version (once; kept in $cache)" >&2
    start=$SECONDS
    CGO_ENABLED=0 go build -trimpath -ldflags="$ldflags" -o "$bin.tmp.$$" "$pkg"
    mv "$bin.tmp.$$" "$bin"
    echo "built $1 in $((SECONDS - start)) s" >&2
  fi
fi
echo "$bin"
