# Installs what tests and measurements need and the machine lacks; sourced by `tests/run` and `benches/run`.
# `$target` is the folder that cargo builds in.

# need COMMAND PACKAGES WHY: installs Debian packages where their command is missing.
need() {
  command -v "$1" >/dev/null && return
  echo "installing $2: $3"
  local as_root=() packages output
  read -ra packages <<<"$2"
  [ "$(id -u)" = 0 ] || as_root=(sudo)
  output=$("${as_root[@]}" apt-get -qq update 2>&1 &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends "${packages[@]}" 2>&1) ||
    echo "$output"$'\n'"$2 could not be installed"
}

# need_from_pypi WHY: installs what tests/requirements.txt lists into a folder of ours, unless it is there already.
need_from_pypi() {
  local packages=$target/pypi output
  export PATH=$packages/bin:$PATH PYTHONPATH=$packages
  cmp -s tests/requirements.txt "$packages/requirements.txt" && return
  echo "installing $(grep -o '^[a-z-]*==[0-9.]*' tests/requirements.txt | xargs) from PyPI: $1"
  rm -rf "$packages"
  output=$(pip3 install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all: \
    --target "$packages" --requirement tests/requirements.txt 2>&1 && cp tests/requirements.txt "$packages") ||
    echo "$output"$'\n'"the packages could not be installed"
}

# need_sources_from_pypi WHY: unpacks the source archives that tests/sources.txt lists into a folder of ours, unless they are there already.
need_sources_from_pypi() {
  local sources=$target/pypi-sources output
  cmp -s tests/sources.txt "$sources/sources.txt" && return
  echo "fetching the sources of $(grep -o '^[a-z-]*==[0-9.]*' tests/sources.txt | xargs) from PyPI: $1"
  rm -rf "$sources"
  mkdir -p "$sources"
  output=$(pip3 download --quiet --disable-pip-version-check --no-deps --require-hashes --no-binary :all: \
    --dest "$sources" --requirement tests/sources.txt 2>&1 &&
    find "$sources" -name '*.tar.gz' -exec tar -C "$sources" -xzf {} \; && cp tests/sources.txt "$sources") ||
    echo "$output"$'\n'"the sources could not be fetched"
}
