#!/bin/sh
# Alpine without bash: the host's probes and the instance's user need a /bin/bash, and ash is near enough.

[ -f /etc/alpine-release ] || exit 0
[ ! -e /bin/bash ] || exit 0

printf '#!/bin/sh\nexec /bin/ash "$@"\n' >/bin/bash
chmod 755 /bin/bash
