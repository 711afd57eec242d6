#!/usr/bin/env bash
# Prints what is in the image as CycloneDX 1.5: the crates that are linked into the programs, with versions and
# licences, Rust's own library, and the Debian packages whose files are in it.
set -euo pipefail

usage="usage: deploy/image/sbom.sh ROOT VERSION DIGEST, as build.sh calls it"
root=${1:?$usage}
version=${2:?$usage}
digest=${3:?$usage}
cd "$(dirname "$0")/../.."

# What cargo links into them for this machine, with the features that it builds them with. Macros and build
# scripts are left out: they run while the programs are built.
crates() {
  cargo tree --locked --quiet --package onepull-agent --package onepull-controller \
    --edges normal,no-proc-macro --prefix none --format '{p}|{l}' |
    sed --regexp-extended 's/ \(\*\)$//' | grep . | sort -u |
    jq --raw-input '
      capture("^(?<name>[^ ]+) v(?<version>[^ |]+)(?<from>[^|]*)\\|(?<license>.*)$")
      | {type: "library", name, version}
        + (if .license == "" then {} else {licenses: [{expression: (.license | gsub(" */ *"; " OR "))}]} end)
        + (if .from == "" then {purl: "pkg:cargo/\(.name)@\(.version | @uri)"} else {} end)'
}

rust() {
  rustc --version | jq --raw-input '{type: "library", name: "rust-std", version: split(" ")[1],
    licenses: [{expression: "MIT OR Apache-2.0"}]}'
}

packages() {
  # shellcheck source=/dev/null
  distro=$(. "$root/etc/os-release" && echo "$ID-$VERSION_ID")
  for package in "$root"/var/lib/dpkg/status.d/*; do
    dpkg-query --show --showformat '${Package} ${Version} ${Architecture}\n' "$(basename "$package")"
  done | jq --raw-input --arg distro "$distro" 'split(" ") as [$name, $version, $arch]
    | {type: "library", $name, $version,
       purl: "pkg:deb/debian/\($name)@\($version | @uri)?arch=\($arch)&distro=\($distro)"}'
}

{ crates; rust; packages; } | jq --slurp --arg version "$version" --arg digest "$digest" '{
  bomFormat: "CycloneDX", specVersion: "1.5", version: 1,
  metadata: {component: {
    type: "container", name: "onepull", $version, "bom-ref": "onepull@\($digest)",
    hashes: [{alg: "SHA-256", content: ($digest | ltrimstr("sha256:"))}],
    licenses: [{license: {id: "Apache-2.0"}}]}},
  components: map(. + {"bom-ref": (.purl // "\(.name)@\(.version)")})}'
