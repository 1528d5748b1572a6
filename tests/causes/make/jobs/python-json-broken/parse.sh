#!/bin/bash
cat > page-1.json <<'J'
{"items": [{"id": 1, "error": null}, {"id": 2, "error": "Exception: none really"}]}
J
echo '<html><body><h1>Please log in</h1></body></html>' > page-2.json
python3 parse.py page-1.json page-2.json
