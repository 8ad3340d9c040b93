#!/bin/sh
# A folder of the user's for sockets of the host, such as the one of its ssh agent.

mkdir -p /run/host-services
chmod 700 /run/host-services
chown "$LIMA_CIDATA_USER" /run/host-services
