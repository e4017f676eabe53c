# shellcheck shell=sh
# go_environment DIR CACHE
go_environment() {
	export HOME=/tmp GOFLAGS='-modcacherw -buildvcs=false' GOMODCACHE="$1/.gomod" GOCACHE="$2/go-build" GOTOOLCHAIN=local
	export CGO_ENABLED="${CGO_ENABLED:-0}" GOPATH=/tmp/go
}
