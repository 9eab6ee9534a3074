"""Checks identity tokens as a cloud would, with PyJWT: against the keys that their issuer publishes.

Reads from standard input a JSON list of objects with `token` and `audience`; the issuer is the first argument. Says on standard
error what does not hold, and ends with 1.
"""

import json
import sys

import jwt

issuer = sys.argv[1]
keys = jwt.PyJWKClient(f"{issuer}/.well-known/jwks")
sent = json.load(sys.stdin)
ids = set()
for one in sent:
    key = keys.get_signing_key_from_jwt(one["token"])
    claims = jwt.decode(one["token"], key, algorithms=["RS256"], audience=one["audience"], issuer=issuer)
    ids.add(claims["jti"])
    if not claims["sub"].startswith("repo:octo/images"):
        sys.exit(f"a token for {claims['sub']}")
if len(ids) != len(sent):
    sys.exit("a token was sent twice: a renewal has to ask for a new one")
print(len(sent))
