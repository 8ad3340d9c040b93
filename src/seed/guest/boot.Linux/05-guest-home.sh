#!/bin/sh
# The user's home is found under the name that older instances gave it, and under the newer one.

case $LIMA_CIDATA_HOME in
*.guest) other=${LIMA_CIDATA_HOME%.guest}.linux ;;
*.linux) other=${LIMA_CIDATA_HOME%.linux}.guest ;;
*) exit 0 ;;
esac
if ! [ -e "$other" ] && ! [ -L "$other" ]; then
    ln -s "${LIMA_CIDATA_HOME##*/}" "$other"
fi
