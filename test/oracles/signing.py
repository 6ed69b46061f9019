"""OpenSSF Model Signing's own implementation as the judge: `signing.py sign|verify <folder> <signature> <key>`."""

import sys

from model_signing import hashing, signing, verifying

what, folder, signature, key = sys.argv[1:]
if what == "sign":
    signing.Config().use_elliptic_key_signer(private_key=key).set_hashing_config(
        hashing.Config().set_ignored_paths(paths=[signature], ignore_git_paths=True)
    ).sign(folder, signature)
    print("signed")
else:
    try:
        verifying.Config().use_elliptic_key_verifier(public_key=key).verify(folder, signature)
    except Exception as error:  # whatever it throws is a refusal
        print(f"refused: {type(error).__name__}: {error}")
    else:
        print("verified")
