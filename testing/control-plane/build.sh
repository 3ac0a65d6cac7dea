#!/bin/sh
# Builds bin/tenure-control-plane, or the file named as the first argument.
# The one place that knows the build's flags. TENURE_GO_JOBS bounds the
# compilers that run at once (default: as many as there are cores).
set -eu
case "${1:-}" in
'') out=bin/tenure-control-plane ;;
/*) out=$1 ;;
*) out=$PWD/$1 ;;
esac
cd "$(dirname "$0")"

# Without these, the server and kubectl call themselves v0.0.0-master.
kube=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
minor=${kube#v1.}
minor=${minor%%.*}
version=k8s.io/component-base/version
stamp="-X $version.gitVersion=$kube -X $version.gitMajor=1 -X $version.gitMinor=$minor -X $version.gitTreeState=clean"

CGO_ENABLED=0 GOWORK=off go build ${TENURE_GO_JOBS:+-p "$TENURE_GO_JOBS"} \
	-mod=readonly -buildvcs=false -trimpath -ldflags "-s -w $stamp" -o "$out" .
