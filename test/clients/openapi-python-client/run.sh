. ../missing.sh
need python3
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || skip 'python3 is older than 3.11'
python3 -m pip install --quiet --target packages --requirement requirements.txt || skip 'pip gives no packages'
export PATH="$PWD/packages/bin:$PATH" PYTHONPATH="$PWD/packages"
openapi-python-client generate --path openapi.json --meta none --output-path orchflow --fail-on-warning
python3 flow.py
