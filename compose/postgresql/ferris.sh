#!/bin/sh
# Runs once, when the database is new: an account with no more rights than the platform needs.
set -eu
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname=postgres <<'SQL'
\getenv password FERRIS_POSTGRESQL_PASSWORD
CREATE ROLE ferris LOGIN PASSWORD :'password';
CREATE DATABASE ferris OWNER ferris;
SQL
