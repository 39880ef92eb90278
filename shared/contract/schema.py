"""The JSON Schema of connector definitions, for editors: `python -m shared.contract.schema`.

It is made from the model and says nothing that the model does not; names that mean nothing are found only by loading.
"""

from __future__ import annotations

import json
import sys

from shared.contract.model import ConnectorDefinition


def schema_text() -> str:
    """The schema as it stands in `docs/schemas/connector.schema.json`."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **ConnectorDefinition.model_json_schema(by_alias=True),
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(schema_text())
