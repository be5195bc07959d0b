#!/bin/sh
# Makes ./secrets for compose.yaml: random, one file each. Does nothing where the folder is already.
set -eu

if [ -e secrets ]; then
    echo "./secrets is there already; nothing is changed" >&2
    exit 0
fi

random() {
    od -An -N32 -tx1 /dev/urandom | tr -d ' \n'
}

# The folder keeps other users of this machine out. The files themselves must be readable by the users of the containers.
umask 077
mkdir secrets.partial
cd secrets.partial
owner=$(random)
application=$(random)
redis=$(random)
random > account_password
random > jwt_secret
random > platform_jwt_secret
random > postgres_password
cat > logins.sql <<SQL
CREATE ROLE novagate_owner LOGIN CREATEROLE PASSWORD '$owner';
CREATE ROLE novagate_app LOGIN NOINHERIT PASSWORD '$application';
SQL
printf 'postgres://novagate_owner:%s@postgres:5432/novagate' "$owner" > migrate_database_url
printf 'postgres://novagate_app:%s@postgres:5432/novagate' "$application" > database_url
printf 'redis://:%s@redis:6379' "$redis" > redis_url
printf 'requirepass %s\nsave ""\nappendonly no\ndir /data\n' "$redis" > redis.conf
chmod 0644 ./*
cd ..
mv secrets.partial secrets
echo "made ./secrets; the account of the first tenant is owner@example.com with the password in secrets/account_password"
