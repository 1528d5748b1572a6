#!/bin/bash
echo "connecting to jdbc:mysql://app:S3cr3tValue99@db:3306/sales"
echo '{"user": "app", "password": "S3cr3tValue99"}'
echo "Authorization: Bearer S3cr3tValue99" >&2
echo "sqoop import --password S3cr3tValue99 --table sales" >&2
exit 7
