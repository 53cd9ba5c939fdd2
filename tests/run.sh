#!/usr/bin/env bash
# Runs every check from nothing: makes an environment of its own, installs what the tests need (the browser where
# it can), then ruff, mypy and pytest. Further arguments go to pytest: `bash tests/run.sh -k ddpm`.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
cache=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/generative-playground
env=${PLAYGROUND_TEST_ENV:-$cache/test-env}
export DEBIAN_FRONTEND=noninteractive PIP_DISABLE_PIP_VERSION_CHECK=1

apt() { # as root only: installs Debian packages, quietly
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
  apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@" >/dev/null
} </dev/null

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  { echo "tests/run.sh: Python 3.11 or later is needed; set PYTHON=..." >&2; exit 2; }
"$python" -c 'import ensurepip, venv' 2>/dev/null || apt python3-venv ||
  { echo "tests/run.sh: Python's venv module is missing; install python3-venv." >&2; exit 2; }

# The environment is made again whenever the requirements or Python change; a half-made one is never used.
stamp=$( ("$python" --version; cat requirements.txt tests/requirements.txt) | sha256sum | cut -d' ' -f1)
mkdir -p "$cache" "$(dirname "$env")"
exec 9>"$env.lock"
command -v flock >/dev/null && flock 9
if [ "$(cat "$env/stamp" 2>/dev/null)" != "$stamp" ]; then
  echo "== installing into $env"
  rm -rf "$env"
  "$python" -m venv "$env"
  "$env/bin/pip" install --quiet -r requirements.txt -r tests/requirements.txt
  echo "$stamp" >"$env/stamp"
fi
exec 9>&-
export PATH="$env/bin:$PATH"

if ! command -v chromium chromium-browser google-chrome >/dev/null; then
  echo "== installing a browser"
  apt chromium fonts-noto-cjk || timeout 600 python -m playwright install chromium >/dev/null 2>&1 ||
    echo "No browser could be installed: the browser tests skip themselves."
fi

echo "== ruff"
ruff check .
ruff format --check .
echo "== mypy"
mypy --config-file .mypy.ini
echo "== pytest"
# Two workers of one thread each: on small tensors that is faster than one worker of two threads.
OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 HF_HUB_OFFLINE=1 PLAYGROUND_DEVICE=cpu \
  python -m pytest -c tests/pytest.ini --rootdir . -n 2 --dist loadfile -q tests "$@" </dev/null
