#!/usr/bin/env bash
# Builds onepull's image as an OCI image layout, of programs that are built already: without a daemon and
# without root. The same programs, commit and Debian packages give the same bytes (docs/adr/0024).
set -euo pipefail

usage="usage: deploy/image/build.sh PROGRAMS OUT
  PROGRAMS  the folder with onepull-agent and onepull-controller
  OUT       gets layout/ (the image) and sbom.cdx.json (what is in it)
  In the environment, where the commit is not to be asked of git: SOURCE_DATE_EPOCH, REVISION. SOURCE is
  the address of the source code, for the image's label."
programs=${1:?$usage}
out=${2:?$usage}
here=$(cd "$(dirname "$0")" && pwd)

export LC_ALL=C
umask 022
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root

fail() {
  echo "deploy/image/build.sh: $1" >&2
  exit 1
}

# The Debian package that has a file, by the name the loader knows it by, which may go through /lib -> /usr/lib.
package_of() {
  { dpkg-query --search "$1" || dpkg-query --search "/usr$1"; } 2>/dev/null | head -n 1 | cut -d : -f 1
}

# Copies a file of a package to where it is here; refuses one that is not as the package has it.
take_file() {
  local package altered
  package=$(package_of "$1") || fail "no package has $1, which the programs need"
  altered=$(dpkg --verify "$package" | awk '{ print $NF }' || true)
  if grep --quiet --line-regexp --fixed-strings --regexp="$1" --regexp="/usr$1" <<<"$altered"; then
    fail "$1 is not as the package $package has it; install that again"
  fi
  install -D "$1" "$root$1"
  chmod --reference="$1" "$root$1"
  take_notice "$package"
}

# What a package's licence asks for, and what scanners look for in an image without a package manager.
take_notice() {
  install -D --mode=644 "/usr/share/doc/$1/copyright" "$root/usr/share/doc/$1/copyright"
  mkdir -p "$root/var/lib/dpkg/status.d"
  dpkg-query --status "$1" >"$root/var/lib/dpkg/status.d/$1"
}

# The programs, without symbols.
for name in onepull-agent onepull-controller; do
  mkdir -p "$root/usr/bin"
  strip --strip-all -o "$root/usr/bin/$name" "$programs/$name"
  chmod 755 "$root/usr/bin/$name"
done
install -D --mode=644 "$here/../../LICENSE" "$root/usr/share/doc/onepull/LICENSE"

# What they are linked with, the loader included.
libraries=$(env -i ldd "$root"/usr/bin/* |
  awk '/not found/ { print $1 } / => \// { print $3 } $1 ~ "^/.*[^:]$" { print $1 }' | sort -u)
for library in $libraries; do take_file "$library"; done

# The authorities of Debian's package; the bundle of this machine may have others.
mkdir -p "$root/etc/ssl/certs"
dpkg-query --listfiles ca-certificates | grep '^/usr/share/ca-certificates/.*\.crt$' | sort |
  xargs awk 1 >"$root/etc/ssl/certs/ca-certificates.crt"
take_notice ca-certificates
install -D --mode=644 --target-directory="$root/etc" "$here"/etc/*
take_file /usr/lib/os-release
ln --symbolic ../usr/lib/os-release "$root/etc/os-release"

# One layer, in which nothing is left of who builds it, where and when.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$here" log -1 --format=%ct)}
tar --create --file="$work/layer.tar" --directory="$root" --format=ustar --sort=name \
  --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner .

version=$("$programs/onepull-agent" --version | cut -d ' ' -f 2)
revision=${REVISION:-$(git -C "$here" describe --always --abbrev=40 --exclude='*' --dirty)}
created=$(date --utc --date="@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
labels=(title=onepull description="One registry pull warms the whole cluster." licenses=Apache-2.0
  "version=$version" "revision=$revision" ${SOURCE:+"source=$SOURCE"})
described=()
for label in "${labels[@]}"; do
  described+=(--config.label "org.opencontainers.image.$label" --manifest.annotation "org.opencontainers.image.$label")
done
image=$work/layout:$version
umoci init --layout "$work/layout"
umoci new --image "$image"
umoci raw add-layer --image "$image" --history.created "$created" --history.created_by deploy/image/build.sh \
  "$work/layer.tar"
umoci config --image "$image" --no-history --created "$created" --os linux \
  --architecture "$(dpkg --print-architecture)" --config.user 65532:65532 --config.workingdir / \
  --config.env PATH=/usr/bin --config.cmd /usr/bin/onepull-agent --config.cmd --help "${described[@]}"
umoci gc --layout "$work/layout"

digest=$(jq --raw-output '.manifests[0].digest' "$work/layout/index.json")
"$here/sbom.sh" "$root" "$version" "$digest" >"$work/sbom.cdx.json"
chmod --recursive a+rX "$work/layout"
mkdir -p "$out"
rm -rf "${out:?}/layout"
mv "$work/layout" "$work/sbom.cdx.json" "$out"
cat <<REPORT
image         $out/layout:$version
digest        $digest
compressed    $(numfmt --to=iec-i --format=%.1f "$(du --bytes --summarize "$out/layout/blobs/sha256" | cut -f 1)")B
uncompressed  $(numfmt --to=iec-i --format=%.1f "$(stat --format=%s "$work/layer.tar")")B
REPORT
