#!/bin/sh
# Stands in for the guest's sudo: the guest is this machine, which must stay as it is. Looking is allowed, the rest is refused.
case "$*" in
'-n test '* | '-n cat '*) shift && exec "$@" ;;
*) exit 1 ;;
esac
