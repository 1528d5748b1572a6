#!/bin/bash
mkdir -p tools && echo 'echo text' > tools/pdf2txt && chmod 644 tools/pdf2txt
python3 -u convert.py
