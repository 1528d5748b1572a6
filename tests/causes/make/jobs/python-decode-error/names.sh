#!/bin/bash
printf 'id;name\n1;Meier\n2;M\xfcller\n' > names.csv
echo "names.csv: $(wc -c < names.csv) bytes, encoding assumed: utf-8"
python3 names.py
