"""Sets Lake Formation of an emulated account so that new tables are open to all, as accounts often are.

    python3 open_tables.py http://127.0.0.1:5000 123456789012
"""

from __future__ import annotations

import json
import sys
import urllib.request


def main(endpoint: str, account: str) -> None:
    """Makes the one call."""
    everybody = {"Principal": {"DataLakePrincipalIdentifier": "IAM_ALLOWED_PRINCIPALS"}, "Permissions": ["ALL"]}
    settings = {"CatalogId": account, "DataLakeSettings": {"CreateTableDefaultPermissions": [everybody]}}
    scope = "test/20260101/eu-central-1/lakeformation/aws4_request"
    call = urllib.request.Request(
        f"{endpoint}/PutDataLakeSettings",
        data=json.dumps(settings).encode(),
        headers={
            "Content-Type": "application/json",
            # Emulators read the service from here and check nothing else.
            "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
        },
    )
    with urllib.request.urlopen(call, timeout=30) as answer:
        answer.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
