"""What Sigstore's own client for Python thinks of a bundle: sigstore_check.py BUNDLE ROOT IDENTITY ISSUER

Prints the statement that was signed, when all of it holds.
"""

import sys
from pathlib import Path

from sigstore.models import Bundle, TrustedRoot
from sigstore.verify import Verifier, policy

bundle, root, identity, issuer = sys.argv[1:]
verifier = Verifier(trusted_root=TrustedRoot.from_file(root))
kind, payload = verifier.verify_dsse(
    Bundle.from_json(Path(bundle).read_text()), policy.Identity(identity=identity, issuer=issuer)
)
assert kind == "application/vnd.in-toto+json", kind
print(payload.decode())
