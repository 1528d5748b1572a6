#!/bin/bash
echo "enrich: 4 rows"
exec python3 enrich.py
