. ../missing.sh
. ../openapi-generator.sh
need python3
generate python --additional-properties packageName=orchflow
python3 -m pip install --quiet --target packages --requirement client/requirements.txt || skip 'pip gives no packages'
PYTHONPATH="packages:client" python3 flow.py
