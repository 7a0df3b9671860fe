#!/bin/bash
# Loads data views, searches and the dashboard into Kibana; what was loaded before is replaced.
set -euo pipefail
curl --silent --show-error --fail-with-body \
  --config <(printf 'user = "elastic:%s"\n' "$ELASTIC_PASSWORD") \
  --header 'kbn-xsrf: true' --form file=@/ferris/ferris.ndjson "$KIBANA_URL/api/saved_objects/_import?overwrite=true"
echo
