"""What Kubernetes would accept: the facts of KubeRay's resources and of pods, as a JSON Schema.

KubeRay's own are in ``kuberay_types.yaml``, those of pods in ``pod_types.yaml``, which is made by

    python -m tests.submission.facts --pods        # in an environment with PyPI's kubernetes
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import jsonschema
import yaml

HERE = Path(__file__).parent
SCALARS = ("string", "integer", "number", "boolean")
QUANTITY = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$"
QUANTITIES = {"limits", "requests", "sizeLimit", "divisor", "overhead"}
"""Fields that the Kubernetes client takes for strings, and Kubernetes for quantities."""


def refusals(manifest: Any, kind: str) -> list[str]:
    """What is wrong with a manifest of a kind such as ``RayJob``: where, and what."""
    validator = jsonschema.Draft202012Validator({"$ref": f"#/$defs/{kind}", "$defs": _definitions()})
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(manifest)]


def _types() -> dict[str, dict[str, str]]:
    types: dict[str, dict[str, str]] = {}
    for name in ("pod_types.yaml", "kuberay_types.yaml"):
        types |= yaml.safe_load((HERE / name).read_text(encoding="utf-8"))
    return types


def _definitions() -> dict[str, Any]:
    return {
        name: {
            "type": "object",
            "additionalProperties": False,
            "required": [field for field, kind in fields.items() if kind.endswith("!")],
            "properties": {field: _schema(kind.rstrip("!")) for field, kind in fields.items()},
        }
        for name, fields in _types().items()
    }


def _schema(kind: str) -> dict[str, Any]:
    if kind == "any":
        return {}
    if kind in SCALARS:
        return {"type": kind}
    if kind == "quantity":
        return {"anyOf": [{"type": "integer"}, {"type": "string", "pattern": QUANTITY}]}
    if kind.startswith("["):
        return {"type": "array", "items": _schema(kind[1:-1])}
    if kind.startswith("{"):
        return {"type": "object", "additionalProperties": _schema(kind[1:-1])}
    if kind.startswith(">="):
        return {"type": "integer", "minimum": int(kind[2:])}
    if "|" in kind or "/" in kind or kind in {"RayCluster", "RayJob"}:
        return {"enum": kind.split("|")}
    return {"$ref": f"#/$defs/{kind}"}


def differences(published: dict[str, Any]) -> list[str]:
    """Where the facts and a CRD that KubeRay has published differ: fields, their types, and what is required."""
    kind = published["spec"]["names"]["kind"]
    schema = next(one["schema"] for one in published["spec"]["versions"] if one["name"] == "v1")["openAPIV3Schema"]
    found: list[str] = []
    _compare(schema["properties"]["spec"], f"{kind}Spec", f"{kind}.spec", found)
    return found


def _compare(schema: dict[str, Any], kind: str, where: str, found: list[str]) -> None:
    fields, theirs = _types()[kind], schema.get("properties", {})
    found += [f"{where}.{name} is not in the CRD" for name in sorted(fields.keys() - theirs.keys())]
    found += [f"{where}.{name} is not in the facts" for name in sorted(theirs.keys() - fields.keys())]
    for name in sorted(fields.keys() & theirs.keys()):
        ours, their, here = fields[name], theirs[name], f"{where}.{name}"
        if ours.endswith("!") and name not in schema.get("required", ()):
            found.append(f"{here} is not required by the CRD")
        bare = _schema(ours.rstrip("!"))
        wanted = bare.get("type", "object" if "$ref" in bare else "string" if "enum" in bare else their.get("type"))
        if their.get("type") != wanted:
            found.append(f"{here} is {their.get('type')} in the CRD, {wanted} in the facts")
        if bare.get("enum") and their.get("enum", bare["enum"]) != bare["enum"]:
            found.append(f"{here} is one of {their['enum']} in the CRD")
        inner, deep = (bare["items"], their.get("items", {})) if bare.get("type") == "array" else (bare, their)
        if "$ref" in inner:
            _compare(deep, inner["$ref"].rpartition("/")[2], here, found)


def pods() -> dict[str, dict[str, str]]:
    """The types that a pod's template is made of, from the classes of the Kubernetes client."""
    from kubernetes import client

    def named(kind: str) -> str:
        if inner := re.fullmatch(r"List\[(.*)\]", kind):
            return f"[{named(inner[1])}]"
        if inner := re.fullmatch(r"Dict\[str, (.*)\]", kind):
            return f"{{{named(inner[1])}}}"
        plain = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
        if kind in plain or not hasattr(client, kind):
            return plain.get(kind, "any")
        queue.append(kind)
        return re.sub(r"^(Core)?V1", "", kind)

    types: dict[str, dict[str, str]] = {}
    queue = ["V1PodTemplateSpec"]
    while queue:
        kind = queue.pop()
        name = re.sub(r"^(Core)?V1", "", kind)
        if name in types or name == "ObjectMeta":
            continue
        model = getattr(client, kind)
        required = {
            field.serialization_alias or key for key, field in model.model_fields.items() if field.is_required()
        }
        types[name] = {}
        for attribute, key in sorted(model.attribute_map.items(), key=lambda item: item[1]):
            said = named(model.openapi_types[attribute])
            if key in QUANTITIES:
                said = said.replace("string", "quantity")
            types[name][key] = said + ("!" if key in required else "")
    return dict(sorted(types.items()))


def main() -> None:
    if sys.argv[1:] == ["--pods"]:
        from importlib import metadata

        made_of = f"PyPI's kubernetes {metadata.version('kubernetes')}"
        head = f"# The types of a pod's template: made by tests.submission.facts of {made_of}."
        (HERE / "pod_types.yaml").write_text(f"{head}\n{yaml.safe_dump(pods(), width=118, sort_keys=False)}")
        return
    for name in sys.argv[1:]:
        print(
            *differences(yaml.safe_load(Path(name).read_text(encoding="utf-8"))) or [f"{name}: no difference"], sep="\n"
        )


if __name__ == "__main__":
    main()
