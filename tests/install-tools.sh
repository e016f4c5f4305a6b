#!/usr/bin/env bash
# Installs what the tests need besides Python: real servers and real clients to test against.
# Debian packages are installed where we are root; otherwise the remedy is printed and the tests
# that need a missing tool are skipped with their reason (in CI a skip is a failure).
set -euo pipefail
cd "$(dirname "$0")/.."

declare -A package_of=(
  [mosquitto]=mosquitto
  [openssl]=openssl
  [cc]="gcc libc6-dev"
  [strace]=strace
  [node]=nodejs
  [npm]=npm
)

missing=()
for tool in "${!package_of[@]}"; do
  # Unquoted: one tool may need several packages.
  PATH="$PATH:/usr/sbin" command -v "$tool" >/dev/null || missing+=(${package_of[$tool]})
done
[ -f /usr/include/openssl/ssl.h ] || missing+=(libssl-dev) # the benchmarks' load generator

if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing Debian packages: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q >/dev/null
    # A broker that starts itself on 1883 is not wanted: the tests start their own.
    apt-get install -y -q --no-install-recommends -o Dpkg::Options::=--force-confold \
      "${missing[@]}" >/dev/null
  else
    echo "missing for some tests: ${missing[*]}; as root: apt-get install ${missing[*]}" >&2
  fi
fi

if command -v npm >/dev/null; then
  stamp=tests/interop/node/node_modules/.installed
  if [ ! -f "$stamp" ] || [ tests/interop/node/package-lock.json -nt "$stamp" ]; then
    echo "installing the Azure SDKs for Node"
    (cd tests/interop/node && npm ci --no-audit --no-fund --silent --ignore-scripts 2>/dev/null)
    touch "$stamp"
  fi
fi
