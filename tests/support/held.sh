#!/bin/sh
# Stands before a real program of the same name, and can hold it: while `hold-NAME` exists in the World, it does not begin.
w=$LIMA_TEST_WORLD
name=${0##*/}
echo $$ >>"$w/pids"
: >"$w/reached-$name"
while [ -e "$w/hold-$name" ]; do sleep 0.02; done
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
exec "$name" "$@"
