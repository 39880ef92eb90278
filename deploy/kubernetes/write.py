"""`python -m deploy.kubernetes.write [FOLDER]`: writes the kustomize base, its overlays, and what a Prometheus needs.

One file a program, each object whole, so that what is applied can be read without a tool. A test keeps them current.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from io import StringIO
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

from deploy.kubernetes.objects import Object, definitions_claim, deny_all, job_of, namespace, objects_of
from deploy.kubernetes.programs import HOUSE_DOCUMENTS, PROGRAMS, TASKS
from deploy.kubernetes.scraping import pod_monitor, prometheus_rules, scrape_configs
from shared.bus.topology import ENVIRONMENTS, Environment, house_account

HERE: Final = Path(__file__).parent
OPERATOR: Final = "components/prometheus-operator"
HEAD: Final = "# Written by `make documents` from deploy/kubernetes/programs.py; do not edit.\n"


def documents() -> dict[str, str]:
    """The text of every file, by its path under deploy/kubernetes."""
    files: dict[str, list[Object]] = {"namespace.yaml": [namespace(), deny_all(), definitions_claim()]}
    files |= {f"{program.name}.yaml": list(objects_of(program)) for program in PROGRAMS}
    files["tasks.yaml"] = [one for task in TASKS for one in job_of(task)]
    found = {f"base/{name}": _text(objects) for name, objects in files.items()}
    found["base/kustomization.yaml"] = _text([_base(sorted(files))])
    for environment in ENVIRONMENTS:
        found[f"overlays/{environment}/kustomization.yaml"] = _text([_overlay(environment)])
    watched: dict[str, list[Object]] = {"pods.yaml": [pod_monitor()], "rules.yaml": list(prometheus_rules())}
    found |= {f"{OPERATOR}/{name}": _text(objects) for name, objects in watched.items()}
    found[f"{OPERATOR}/kustomization.yaml"] = _text([_component(sorted(watched))])
    found["prometheus/scrape.yml"] = _text([scrape_configs()])
    return found


def _base(files: Iterable[str]) -> Object:
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": "aether",
        "resources": list(files),
        "configMapGenerator": [
            {"name": "environment", "literals": ["AETHER_ENVIRONMENT=staging"]},
            {"name": "house", "literals": [f"{name}={text}" for name, text in HOUSE_DOCUMENTS.items()]},
        ],
    }


def _component(files: Iterable[str]) -> Object:
    return {"apiVersion": "kustomize.config.k8s.io/v1alpha1", "kind": "Component", "resources": list(files)}


def _overlay(environment: Environment) -> Object:
    account = house_account(environment)
    scaled = [program.name for program in PROGRAMS if program.scaling is not None]
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": f"aether-{environment}",
        "resources": ["../../base"],
        "configMapGenerator": [
            {"name": "environment", "behavior": "replace", "literals": [f"AETHER_ENVIRONMENT={environment}"]}
        ],
        "images": [
            {"name": f"aether/{name}", "newTag": "0.1.0"} for name in (*(program.name for program in PROGRAMS), "tools")
        ],
        "patches": [
            {
                "target": {"kind": "ScaledObject", "name": name},
                "patch": f"- op: replace\n  path: /spec/triggers/0/metadata/account\n  value: {account}\n",
            }
            for name in scaled
        ],
    }


def _text(objects: Iterable[Mapping[str, Any]]) -> str:
    yaml = YAML()
    yaml.explicit_start = True
    yaml.width = 160
    yaml.indent(mapping=2, sequence=4, offset=2)
    out = StringIO()
    yaml.dump_all(list(objects), out)
    return HEAD + out.getvalue()


def main() -> None:
    """Write every file."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    for name, text in documents().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
