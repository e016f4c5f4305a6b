#!/usr/bin/env bash
# Renews the lock files: hashes of every file, for every supported Python and platform, and no
# index address, so that each machine uses its own index.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v uv >/dev/null || { echo "uv is missing: python3 -m pip install uv" >&2; exit 1; }
lock() {
  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
    --no-annotate --no-strip-extras --custom-compile-command "make lock" "$@"
}
lock pyproject.toml --group build -o requirements/runtime.lock
lock pyproject.toml --group build --group test --group lint -c requirements/runtime.lock \
  -o requirements/dev.lock
[ ! -f requirements/bench.in ] || lock requirements/bench.in -o requirements/bench.lock
(cd tests/interop/node && npm install --package-lock-only --omit-lockfile-registry-resolved \
  --no-audit --no-fund --silent)
