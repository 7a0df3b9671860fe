#!/bin/bash
# Gives Kibana's own user its password, and the platform a user who may do with its indices what it likes, and
# nothing else. Runs at each start, with the passwords of .env: a changed one takes effect.
set -euo pipefail

put() {  # path; the body comes on standard input, the password on no command line
  curl --silent --show-error --fail-with-body --retry 5 --retry-connrefused --output /dev/null \
    --config <(printf 'user = "elastic:%s"\n' "$ELASTIC_PASSWORD") \
    --header 'Content-Type: application/json' --request PUT --data-binary @- "$ELASTICSEARCH_URL/_security/$1"
  echo "elasticsearch: $1 is set"
}

put user/kibana_system/_password <<JSON
{"password": "$KIBANA_PASSWORD"}
JSON
put role/ferris <<JSON
{
  "cluster": ["monitor", "manage_index_templates"],
  "indices": [{"names": ["ferris-*"], "privileges": ["all"]}]
}
JSON
put user/ferris <<JSON
{"password": "$FERRIS_ELASTICSEARCH_PASSWORD", "roles": ["ferris"]}
JSON
