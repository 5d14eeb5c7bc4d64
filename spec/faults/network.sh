#!/bin/sh
# Runs the specs that need a network of their own, in network namespaces, or says why it does not.
# Usage: network.sh LUA BUSTED
set -eu

skip() {
  echo "skipped: lossy network: $1"
  exit 0
}

[ "$(uname)" = Linux ] || skip "network namespaces are Linux's"
[ "$(id -u)" -eq 0 ] || skip "not root"
for tool in ip unshare nsenter python3; do
  command -v "$tool" >/dev/null 2>&1 || skip "there is no command '$tool'"
done
[ -c /dev/net/tun ] || skip "there is no /dev/net/tun"
reason=$(unshare -n ip link set lo up 2>&1) || skip "no network namespace can be made: $reason"
reason=$(unshare -n ip tuntap add dev near0 mode tun 2>&1) || skip "no TUN device can be made: $reason"

exec unshare -n sh -c 'ip link set lo up && exec "$1" "$2" --run=network' network.sh "$1" "$2"
