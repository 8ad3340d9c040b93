#!/usr/bin/env bash
# Runs the cases recorded from the real limactl against ours and compares the failures with the committed list.
#
#   usage: tests/compat.sh [LIMACTL [CASES_DIR]]     CASES_DIR has cli/run and yaml/run
#          UPDATE=1 tests/compat.sh … writes the list anew
#
# A case that fails and is not on the list is red; so is one that is on the list and passes. Where the folder is not there, one line says so.
set -euo pipefail
binary=${1:-${CARGO_TARGET_DIR:-target}/ci/limactl} cases=${2:-../shared/compat}
here=$(cd "$(dirname "$0")" && pwd)
list=$here/compat-expected-failures

[ -x "$cases/cli/run" ] || { echo "compat: skipped: no recorded cases in $cases"; exit 0; }
if ! python3 -c "import yaml" 2>/dev/null; then
  echo "compat: python3 with PyYAML is missing (Debian: python3-yaml)" >&2
  exit 1
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# The cases run as an ordinary user, who must be able to reach the binary.
chmod 755 "$work"
install -m 755 "$binary" "$work/limactl"
# A copy, because a checkout may be read-only and cases change copies of their inputs, with the modes that those have.
cp -R "$cases" "$work/cases"
chmod -R u+rwX,go+rX "$work/cases"
cases=$work/cases
as=()
[ "$(id -u)" -ne 0 ] || as=(--user nobody)

"$cases/cli/run" "${as[@]}" "$work/limactl" >"$work/cli.log" 2>&1 || true
python3 "$cases/yaml/run" "$work/limactl" "${as[@]}" -j "$(nproc)" -v >"$work/yaml.log" 2>&1 || true
for log in cli yaml; do
  # A runner that did not come to its last line has tried nothing.
  tail -n 1 "$work/$log.log" | grep -Eq '^[0-9]+ passed, [0-9]+ failed' || {
    echo "compat: the $log runner failed:" >&2
    tail -n 20 "$work/$log.log" >&2
    exit 1
  }
  echo "compat $log: $(tail -n 1 "$work/$log.log")"
done

{
  sed -n 's/^FAIL \([^ :]*\):.*/cli \1/p' "$work/cli.log"
  sed -n 's/^    \([a-z-]*\/[^ :]*\): .*/yaml \1/p' "$work/yaml.log"
} | LC_ALL=C sort -u >"$work/failed"

if [ -n "${UPDATE:-}" ]; then
  { sed -n '/^#/p' "$list" 2>/dev/null || true; cat "$work/failed"; } >"$work/list"
  cp "$work/list" "$list"
  echo "compat: wrote $(wc -l <"$work/failed") expected failures"
  exit 0
fi
grep -v '^#' "$list" | LC_ALL=C sort -u >"$work/expected"
new=$(LC_ALL=C comm -23 "$work/failed" "$work/expected")
gone=$(LC_ALL=C comm -13 "$work/failed" "$work/expected")
status=0
if [ -n "$new" ]; then
  status=1
  echo "compat: fail, and are not expected to:" >&2
  printf '%s\n' "$new" | sed 's/^/  /' >&2
  while read -r suite name; do
    [ "$suite" = cli ] && grep -F "FAIL $name:" "$work/cli.log" >&2
    [ "$suite" = yaml ] && grep -F "    $name: " "$work/yaml.log" >&2
  done <<<"$new" || true
fi
if [ -n "$gone" ]; then
  status=1
  echo "compat: pass, and are on the list of expected failures (tests/compat-expected-failures):" >&2
  printf '%s\n' "$gone" | sed 's/^/  /' >&2
fi
[ "$status" -ne 0 ] || echo "compat: as expected, $(wc -l <"$work/failed") deliberate differences"
exit "$status"
