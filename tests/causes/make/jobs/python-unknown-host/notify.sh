#!/bin/bash
echo "INFO  4 reports are ready, notifying"
python3 notify.py reports-api.example.invalid
