#!/bin/bash
python3 prices.py 2026-11-23 2026-11-24 2026-11-25 2>&1 | tee prices.out
exit ${PIPESTATUS[0]}
