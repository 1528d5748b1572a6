#!/bin/bash
set -e -o pipefail
echo "split: regions EMEA APAC AMER"
head -n 1 orders.csv | tr ';' '\n'
echo "split: done"
