#!/bin/bash
echo "waiting for the window of publication"
sleep 15
date > stamp.txt
hdfs dfs -put -f stamp.txt /user/guest/publish-stamp/stamp.txt
