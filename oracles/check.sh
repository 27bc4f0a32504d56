#!/usr/bin/env bash
# Makes every fixture again in a temporary folder and compares it with the committed one.
#   oracles/check.sh              all scripts: oracles/make_*.py and oracles/*/make_*.py
#   oracles/check.sh llama ops    the scripts make_llama.py and make_ops.py
# Uses the python3 on PATH when it has the packages of requirements.txt, else an environment of its own in
# .cache/oracles-venv (several GB, made once). Ends with 0 and the reason when neither can be had, with 1 when a
# fixture differs or a script fails.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
root=$PWD
export PYTHONDONTWRITEBYTECODE=1 HF_HUB_OFFLINE=1

skip() {
  echo "oracles are not checked: $1"
  exit 0
}

# has_packages PYTHON: whether it has every pinned package in its pinned version.
has_packages() {
  "$1" - oracles/requirements.txt 2>/dev/null <<'PYTHON'
import sys
from importlib.metadata import version

lines = [line.strip() for line in open(sys.argv[1])]
for line in lines:
    if line and not line.startswith("#"):
        name, pinned = line.split("==")
        assert version(name).split("+")[0] == pinned
PYTHON
}

find_python() {
  python=$(command -v python3) || skip "there is no python3"
  has_packages "$python" && return
  local environment=.cache/oracles-venv
  python=$root/$environment/bin/python
  has_packages "$python" && return
  mkdir -p .cache
  python3 -m venv "$environment" || skip "python3 cannot make a virtual environment (Debian: apt install python3-venv)"
  echo "installing the packages of oracles/requirements.txt into $environment"
  "$python" -m pip install --quiet -r oracles/requirements.txt || skip "the packages of oracles/requirements.txt cannot be installed"
}

find_python

# A script writes to places relative to itself, so a copy of this folder writes into the copy.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
mkdir -p "$copy/oracles"
(cd oracles && find . -name '*.py' -not -path '*/fixtures/*' -exec cp --parents {} "$copy/oracles" \;)

# Without bitsandbytes the scripts that use it keep its part of what was committed.
if ! "$python" -c 'import bitsandbytes' 2>/dev/null; then
  echo "bitsandbytes is not installed: what came from it is not made again"
  mkdir -p "$copy/oracles/fixtures"
  cp oracles/fixtures/formats.safetensors oracles/fixtures/quantized.* "$copy/oracles/fixtures/"
fi

code=0
cd "$copy" || exit 1
for script in oracles/make_*.py oracles/*/make_*.py; do
  name=$(basename "$script" .py)
  [ $# -eq 0 ] || [[ " $* " == *" ${name#make_} "* ]] || continue
  [ -f "$script" ] || continue
  if ! log=$(cd "$(dirname "$script")" && "$python" "$name.py" 2>&1); then
    echo "FAILED  $script"
    echo "$log" | tail -n 20
    code=1
  fi
done
find "$copy" \( -name '*.py' -o -name '__pycache__' \) -prune -exec rm -rf {} +
"$python" "$root/oracles/compare.py" "$copy" "$root" || code=1
exit $code
