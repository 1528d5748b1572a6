#!/bin/bash
wc -l lookup.csv
