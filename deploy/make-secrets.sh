#!/bin/sh
# Makes the secrets of docker-compose.yml in deploy/secrets, once: what is there already stays.
set -eu
directory="$(dirname "$0")/secrets"
# The folder keeps strangers out; its files are mounted one by one, for users that this machine does not know.
chmod 700 "$directory"
cd "$directory"
umask 022
make() { [ -s "$1" ] || printf '%s\n' "$2" > "$1"; }
make postgres-password "$(openssl rand -hex 24)"
make database-url "postgres://infrasignal:$(cat postgres-password)@postgres:5432/infrasignal"
make secret-key "$(openssl rand -base64 48)"
make ticket-keys "$(openssl rand -base64 48)"
make nats-auth-password "$(openssl rand -hex 32)"
make nats-notify-password "$(openssl rand -hex 32)"
make nats-passwords.conf "AUTH_SERVICE_PASSWORD: \"$(cat nats-auth-password)\"
NOTIFY_SERVICE_PASSWORD: \"$(cat nats-notify-password)\""
