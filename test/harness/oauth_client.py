"""A client of OAuth as Authlib makes one, and the browser of somebody who lets it: URL, CLIENT_ID, CLIENT_SECRET, API_KEY."""

import json
import os
import sys

import requests
from authlib.common.security import generate_token
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session

url, client_id, client_secret, api_key = sys.argv[1:]
server = requests.get(f"{url}/.well-known/oauth-authorization-server").json()
redirect_uri = "https://app.example.com/callback"
client = OAuth2Session(
    client_id,
    client_secret or None,
    scope="runs:read agents:read",
    redirect_uri=redirect_uri,
    token_endpoint=server["token_endpoint"],
    token_endpoint_auth_method="client_secret_basic" if client_secret else "none",
    code_challenge_method="S256",
)

verifier = generate_token(48)
address, state = client.create_authorization_url(server["authorization_endpoint"], code_verifier=verifier)
browser = requests.Session()
page = browser.get(address)
assert "Let “Acme Inbox” act for you?" in page.text, page.text
answer = browser.post(page.url, data={"api_key": api_key, "decision": "allow"}, allow_redirects=False)
answer = browser.get(answer.headers["location"], allow_redirects=False)
token = client.fetch_token(authorization_response=answer.headers["location"], state=state, code_verifier=verifier)
assert token["scope"] == "runs:read agents:read", token
runs = client.get(f"{url}/api/v1/runs").status_code
forbidden = client.get(f"{url}/api/v1/providers").status_code

# It refreshes by itself what has expired.
client.token = {**token, "expires_at": 1}
refreshed = client.get(f"{url}/v1/api-keys").status_code
assert client.token["access_token"] != token["access_token"]
assert client.token["refresh_token"] != token["refresh_token"]

client.revoke_token(server["revocation_endpoint"], token=client.token["refresh_token"], token_type_hint="refresh_token")
try:
    client.refresh_token(server["token_endpoint"], refresh_token=client.token["refresh_token"])
    error = None
except OAuthError as refused:
    error = refused.error
print(json.dumps({"runs": runs, "forbidden": forbidden, "refreshed": refreshed, "error": error}))
os._exit(0)
