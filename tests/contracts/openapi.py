"""What would break a program between two versions of the OpenAPI document."""

from collections.abc import Iterator, Mapping
from typing import Any

METHODS = ("get", "post", "put", "patch", "delete")
Schema = Mapping[str, Any]


def breaking_changes(*, old: Schema, new: Schema) -> list[str]:
    """Everything that a program written against `old` would trip over in `new`."""
    return list(_changes(old, new))


def _changes(old: Schema, new: Schema) -> Iterator[str]:
    for path, operations in old["paths"].items():
        for method in METHODS:
            if method not in operations:
                continue
            where = f"{method.upper()} {path}"
            found = new["paths"].get(path, {}).get(method)
            if found is None:
                yield f"{where} is gone"
                continue
            yield from _operation(where, operations[method], found, old, new)


def _operation(
    where: str, before: Schema, after: Schema, old: Schema, new: Schema
) -> Iterator[str]:
    known = {(p["in"], p["name"]): p for p in before.get("parameters", [])}
    now = {(p["in"], p["name"]): p for p in after.get("parameters", [])}
    for key in known.keys() - now.keys():
        yield f"{where}: parameter {key[1]} is gone"
    for key, parameter in now.items():
        if parameter.get("required") and not known.get(key, {}).get("required"):
            yield f"{where}: parameter {key[1]} is now required"
    yield from _body(where, before, after, old, new)
    for status, response in before.get("responses", {}).items():
        if not status.startswith("2"):
            continue
        if status not in after.get("responses", {}):
            yield f"{where}: {status} is gone"
            continue
        yield from _output(
            f"{where} {status}",
            _content(response),
            _content(after["responses"][status]),
            old,
            new,
            frozenset(),
        )


def _content(part: Schema) -> Schema:
    found: Schema = part.get("content", {}).get("application/json", {}).get("schema", {})
    return found


def _body(where: str, before: Schema, after: Schema, old: Schema, new: Schema) -> Iterator[str]:
    was = resolved(_content(before.get("requestBody", {})), old)
    now = resolved(_content(after.get("requestBody", {})), new)
    for name in was.get("properties", {}).keys() - now.get("properties", {}).keys():
        yield f"{where}: the body's {name} is gone"
    for name in sorted(set(now.get("required", [])) - set(was.get("required", []))):
        yield f"{where}: the body's {name} is now required"
    for name in sorted(was.get("properties", {}).keys() & now.get("properties", {}).keys()):
        one = resolved(_bare(was["properties"][name]), old)
        two = resolved(_bare(now["properties"][name]), new)
        if one.get("type") != two.get("type"):
            yield f"{where}: the body's {name} was {one.get('type')}, is {two.get('type')}"
        if "enum" in two and (gone := set(one.get("enum", [])) - set(two["enum"])):
            yield f"{where}: the body's {name} no longer takes {', '.join(sorted(map(str, gone)))}"


def _bare(schema: Schema) -> Schema:
    """Without the union that drf-spectacular puts around a reference to describe it."""
    union = schema.get("allOf") or schema.get("oneOf") or [schema]
    found: Schema = union[0]
    return found


def _output(
    where: str, before: Schema, after: Schema, old: Schema, new: Schema, seen: frozenset[str]
) -> Iterator[str]:
    name = str(before.get("$ref", ""))
    if name in seen:
        return
    seen = seen | {name} if name else seen
    was, now = resolved(before, old), resolved(after, new)
    if was.get("type") != now.get("type"):
        yield f"{where}: type {was.get('type')} became {now.get('type')}"
        return
    for field, schema in was.get("properties", {}).items():
        if field not in now.get("properties", {}):
            yield f"{where}: {field} is gone"
            continue
        yield from _output(f"{where}.{field}", schema, now["properties"][field], old, new, seen)
    if "items" in was and "items" in now:
        yield from _output(f"{where}[]", was["items"], now["items"], old, new, seen)


def resolved(schema: Schema, document: Schema) -> Schema:
    """What a `$ref` leads to, or the schema itself."""
    reference = schema.get("$ref")
    if not reference:
        return schema
    found: Any = document
    for part in str(reference).removeprefix("#/").split("/"):
        found = found[part]
    resolved: Schema = found
    return resolved
