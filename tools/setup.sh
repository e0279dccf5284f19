# Sourced (bash) by ./moe-tune and ./check, which set `root` to the repository: installs what the build needs and builds into
# $root/build/release. Silent when there is nothing to do; one line on stderr per long step; exits with 3 when a step fails.

build=$root/build/release
deps=$root/.deps

# Debian package : the command or header that it brings.
packages=(cmake:cmake ninja-build:ninja g++:g++ libfmt-dev:fmt/core.h nlohmann-json3-dev:nlohmann/json.hpp
  libcli11-dev:CLI/CLI.hpp catch2:catch2/catch.hpp libdlpack-dev:dlpack/dlpack.h libxxhash-dev:xxhash.h
  libboost-context-dev:boost/context/fiber.hpp)

say() { printf 'moe-tune: %s\n' "$*" >&2; }

fail() {
  say "$@"
  exit 3
}

# run_logged NAME COMMAND...: keeps the output in build/NAME.log and shows it only when the command fails.
run_logged() {
  local log=$root/build/$1.log
  shift
  "$@" >"$log" 2>&1 && return
  tail -n 40 "$log" >&2
  fail "failed: $* (full output: $log)"
}

has_header() {
  local folder
  for folder in /usr/include /usr/local/include; do
    [[ -e $folder/$1 ]] && return
  done
  return 1
}

as_root() {
  if [[ $EUID -eq 0 ]]; then "$@"; else sudo "$@"; fi
}

install_packages() {
  command -v apt-get >/dev/null || fail "missing: $*. These are Debian's names; install what your system calls them"
  [[ $EUID -eq 0 ]] || command -v sudo >/dev/null || fail "missing packages; as root run: apt-get install $*"
  say "installing Debian packages: $*"
  run_logged apt-update as_root apt-get update -q
  run_logged apt-install as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
}

install_missing_packages() {
  local entry missing=()
  for entry in "${packages[@]}"; do
    command -v "${entry#*:}" >/dev/null || has_header "${entry#*:}" || missing+=("${entry%%:*}")
  done
  [[ ${#missing[@]} -eq 0 ]] || install_packages "${missing[@]}"
}

# A CUDA toolkit counts when it has both the headers and the library, and is 12.4 or later.
has_cuda_toolkit() {
  local home
  for home in "${CUDA_HOME:-}" "${CUDA_PATH:-}" /usr/local/cuda; do
    [[ -n $home && -e $home/include/cuda.h && -e $home/include/nvrtc.h ]] || continue
    compgen -G "$home/lib64/libnvrtc.so.*" >/dev/null || continue
    awk '/^#define CUDA_VERSION / { found = $3 >= 12040 } END { exit !found }' "$home/include/cuda.h" && return
  done
  return 1
}

# The wheels' names for a CUDA major version. A driver loads what NVRTC of its own major version compiles, so a machine with a
# CUDA 12 driver gets NVRTC 12.
cuda_wheels() {
  if command -v nvidia-smi >/dev/null && nvidia-smi 2>/dev/null | grep -q 'CUDA Version: 12\.'; then
    echo nvidia-cuda-nvrtc-cu12 nvidia-cuda-runtime-cu12
  else
    echo 'nvidia-cuda-nvrtc>=13,<14' 'nvidia-cuda-runtime>=13,<14'
  fi
}

fetch_cuda_wheels() {
  command -v python3 >/dev/null && python3 -m pip --version >/dev/null 2>&1 || install_packages python3 python3-pip
  local wheels
  read -r -a wheels <<<"$(cuda_wheels)"
  say "no CUDA toolkit found: fetching NVRTC and the CUDA headers from PyPI into $deps"
  run_logged pip python3 -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --upgrade \
    --target "$deps" "${wheels[@]}"
}

configure() {
  [[ -e $build/build.ninja ]] && return
  say "configuring $build"
  run_logged configure cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release
}

# Newer sources than the last good build; a folder's own time tells of deleted files.
sources_changed() {
  [[ -e $build/built ]] || return 0
  [[ -n $(find "$root"/CMakeLists.txt "$root"/{cmake,generator,templates,tuning_db,runtime,tools} -newer "$build/built" \
    -print -quit) ]]
}

# setup TARGET: everything up to a fresh build of TARGET. One process at a time: the rest wait and find the work done.
setup() {
  mkdir -p "$root/build"
  exec {lock}>"$root/build/setup.lock"
  flock "$lock"
  if [[ ! -e $root/build/installed || $root/tools/setup.sh -nt $root/build/installed ]]; then
    install_missing_packages
    has_cuda_toolkit || fetch_cuda_wheels
    touch "$root/build/installed"
  fi
  configure
  if [[ $1 != moe-tune ]] || sources_changed; then
    say "building $build (minutes the first time)"
    touch "$build/building"  # dated before the build: what changes meanwhile is newer
    run_logged build ninja -C "$build" "$1"
    mv "$build/building" "$build/built"
  fi
  exec {lock}>&-
  [[ ! -d $deps/nvidia ]] || export MOE_TUNE_DEPS="${MOE_TUNE_DEPS:-$deps}"
}
