#!/bin/bash
mkdir -p bin data
printf '#!/bin/sh\necho converting\n' > bin/convert.sh
chmod 640 bin/convert.sh
echo "[prepare] workspace: $(basename "$PWD")"
echo "[prepare] permission check of data: ok"
./bin/convert.sh data
code=$?
echo "[prepare] convert ended with $code"
exit $code
