#!/bin/sh
# Says which of the libraries that the C modules are built with are missing, and what the package of each is
# called. Usage: libraries.sh FOLDER LIBRARY...; from the environment CC, FLAGS (where headers are) and
# LIBS (how to link). Compiles in the folder, which is left as it was. A LIBRARY is lua5.4, lua5.3, lua5.1
# or another name of Lua's headers, curl, openssl, zlib or http_parser.
set -u

# What a library is, its header, and its packages: Debian, Fedora, Arch, Homebrew, Alpine. "-": none there.
describe() {
  case $1 in
    lua5.1 | luajit) facts="the headers of Lua 5.1|lua.h|liblua5.1-0-dev|compat-lua-devel|lua51|luajit|lua5.1-dev" ;;
    lua5.3) facts="the headers of Lua 5.3|lua.h|liblua5.3-dev|-|lua53|-|lua5.3-dev" ;;
    lua*) facts="the headers of Lua 5.4|lua.h|liblua5.4-dev|lua-devel|lua54|lua@5.4|lua5.4-dev" ;;
    curl) facts="libcurl|curl/curl.h|libcurl4-openssl-dev|libcurl-devel|curl|curl|curl-dev" ;;
    openssl) facts="OpenSSL|openssl/ssl.h|libssl-dev|openssl-devel|openssl|openssl@3|openssl-dev" ;;
    zlib) facts="zlib|zlib.h|zlib1g-dev|zlib-devel|zlib|zlib|zlib-dev" ;;
    http_parser) facts="http-parser 2.9|http_parser.h|libhttp-parser-dev|http-parser-devel|-|-|http-parser-dev" ;;
    *) echo "libraries.sh: unknown library '$1'" >&2; exit 2 ;;
  esac
}

field() { # the Nth of the facts
  echo "$facts" | cut -d'|' -f"$1"
}

folder=$1
shift
work=$(mktemp -d "$folder/libraries.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT

builds() { # whether a program that includes these headers compiles, and links with the flags
  links=$1
  shift
  for header in "$@"; do echo "#include <$header>"; done >"$work/try.c"
  echo 'int main(void) { return 0; }' >>"$work/try.c"
  # shellcheck disable=SC2086 # these are lists of words
  ${CC:-cc} ${FLAGS:-} -o "$work/try" "$work/try.c" $links >/dev/null 2>"$work/error"
}

links_of() {
  case $1 in
    curl) echo "-lcurl" ;;
    openssl) echo "-lssl -lcrypto" ;;
    zlib) echo "-lz" ;;
    http_parser) echo "-lhttp_parser" ;;
  esac
}

folders=""
for word in ${LIBS:-}; do
  case $word in -L*) folders="$folders $word" ;; esac
done

if ! builds ""; then
  echo "stream-events: the C compiler '${CC:-cc}' does not work:" >&2
  cat "$work/error" >&2
  echo "Install one (Debian: gcc libc6-dev; Fedora: gcc; Arch: base-devel; Alpine: build-base;" >&2
  echo "macOS: xcode-select --install), or name another with CC." >&2
  exit 1
fi

missing=""
debian="" fedora="" arch="" homebrew="" alpine=""
for library in "$@"; do
  describe "$library"
  builds "$folders $(links_of "$library")" "$(field 2)" && continue
  missing="$missing $library"
  echo "stream-events: missing, or not where ${CC:-cc} looks for it: $(field 1) ($(field 2))" >&2
  debian="$debian $(field 3)" fedora="$fedora $(field 4)" arch="$arch $(field 5)"
  homebrew="$homebrew $(field 6)" alpine="$alpine $(field 7)"
done
[ -n "$missing" ] || exit 0

offer() { # a system, how it installs, and the packages, among them "-" for what it has none of
  name=$1 how=$2
  shift 2
  have="" lacks=""
  for package in "$@"; do
    if [ "$package" = - ]; then lacks=" (not all: the rest from its source)"; else have="$have $package"; fi
  done
  [ -n "$have" ] || { how="has no package of it: build it from its source" lacks=""; }
  printf '  %-9s %s%s%s\n' "$name" "$how" "$have" "$lacks" >&2
}

echo "Install what is missing:" >&2
# shellcheck disable=SC2086
{
  offer "Debian:" "apt-get install" $debian
  offer "Fedora:" "dnf install" $fedora
  offer "Arch:" "pacman -S" $arch
  offer "Homebrew:" "brew install" $homebrew
  offer "Alpine:" "apk add" $alpine
}
case $missing in
  *http_parser*) echo "The source of http-parser: https://github.com/nodejs/http-parser" >&2 ;;
esac
echo "What lies elsewhere is found with PKG_CONFIG_PATH, or with CPPFLAGS=-I... and LDFLAGS=-L..., in the" >&2
echo "environment." >&2
exit 1
