#!/bin/bash
echo "bookkeeping of the run"
python3 book.py
