#!/bin/sh
# Runs the specs of the mod in a Luanti server, or says why it does not.
# Usage: run.sh LUA BUSTED
set -eu

for name in luantiserver minetestserver; do
  LUANTI_SERVER=$(PATH="$PATH:/usr/games:/usr/local/games" command -v "$name") && break
done
if [ -z "$LUANTI_SERVER" ]; then
  echo "skipped: the mod for Luanti: there is no command 'luantiserver' or 'minetestserver'"
  exit 0
fi
export LUANTI_SERVER
exec "$1" "$2" --run=luanti
