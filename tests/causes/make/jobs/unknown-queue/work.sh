#!/bin/bash
echo "working"
