#!/bin/bash
for i in $(seq 1 90); do echo "us: block $i, errors: 0"; sleep 1; done
