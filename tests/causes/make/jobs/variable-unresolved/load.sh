#!/bin/bash
echo "loading $1"
