"""The OpenAPI document: complete, stored, and never broken by accident."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from drf_spectacular.generators import SchemaGenerator
from jsonschema import Draft202012Validator

from tests.contracts.openapi import breaking_changes, resolved

STORED = Path(settings.BASE_DIR) / "docs" / "api" / "openapi.json"
REFRESH = f"python manage.py spectacular --format openapi-json --file {STORED.name}"


@pytest.fixture(scope="module")
def generated() -> dict[str, Any]:
    schema = SchemaGenerator().get_schema(request=None, public=True)
    document: dict[str, Any] = json.loads(json.dumps(schema, default=str))
    return document


def test_generates_without_a_warning(tmp_path: Path) -> None:
    call_command("spectacular", validate=True, fail_on_warn=True, file=str(tmp_path / "schema.yml"))


def test_breaks_no_program_written_against_the_stored_one(generated: dict[str, Any]) -> None:
    assert breaking_changes(old=json.loads(STORED.read_text()), new=generated) == []


def test_stored_one_is_current(generated: dict[str, Any]) -> None:
    assert json.loads(STORED.read_text()) == generated, f"in docs/api: {REFRESH}"


def test_every_operation_says_what_it_is(generated: dict[str, Any]) -> None:
    for path, operations in generated["paths"].items():
        for method, operation in operations.items():
            where = f"{method} {path}"
            assert operation.get("summary"), where
            assert operation.get("description"), where
            statuses = set(operation["responses"])
            assert statuses & {"200", "201", "204"}, where
            assert {"400", "429"} <= statuses or path == "/api/schema/", where


class TestBreakingChanges:
    """Controls: what a program would trip over is seen, and an addition is not."""

    def changed(self, generated: dict[str, Any], *edits: tuple[list[str], Any]) -> list[str]:
        new = copy.deepcopy(generated)
        for path, value in edits:
            node = new
            for part in path[:-1]:
                node = node[part]
            if value is None:
                del node[path[-1]]
            else:
                node[path[-1]] = value
        return breaking_changes(old=generated, new=new)

    def test_an_address_that_goes(self, generated: dict[str, Any]) -> None:
        assert self.changed(generated, (["paths", "/api/v1/indices/"], None)) == [
            "GET /api/v1/indices/ is gone"
        ]

    def test_a_field_that_goes(self, generated: dict[str, Any]) -> None:
        where = ["components", "schemas", "OrderOutput", "properties", "status"]
        assert any("status is gone" in found for found in self.changed(generated, (where, None)))

    def test_a_field_that_becomes_required(self, generated: dict[str, Any]) -> None:
        where = ["components", "schemas", "OrderInput", "required"]
        found = self.changed(generated, (where, ["instrument_key", "side", "quantity", "price"]))
        assert any("price is now required" in change for change in found)

    def test_a_value_that_is_no_longer_taken(self, generated: dict[str, Any]) -> None:
        schemas = generated["components"]["schemas"]
        name = next(name for name in schemas if name.startswith("ApiTokenInput"))
        assert "scope" in schemas[name]["properties"]
        where = ["components", "schemas", "ApiTokenInput", "properties", "scope"]
        found = self.changed(generated, (where, {"type": "string", "enum": ["READ"]}))
        assert any("no longer takes TRADE" in change for change in found)

    def test_an_input_of_another_type(self, generated: dict[str, Any]) -> None:
        where = ["components", "schemas", "ApiTokenInput", "properties", "name"]
        found = self.changed(generated, (where, {"type": "integer"}))
        assert any("name was string, is integer" in change for change in found)

    def test_an_addition_is_none(self, generated: dict[str, Any]) -> None:
        where = ["components", "schemas", "OrderOutput", "properties", "colour"]
        assert self.changed(generated, (where, {"type": "string"})) == []


def test_every_body_has_an_example_that_fits_its_schema(generated: dict[str, Any]) -> None:
    wrong = []
    for path, operations in generated["paths"].items():
        for method, operation in operations.items():
            parts = [operation.get("requestBody", {}), *operation["responses"].values()]
            for part in (resolved(part, generated) for part in parts):
                for kind, content in part.get("content", {}).items():
                    if kind != "application/json" or path == "/api/schema/":
                        continue
                    shown = [row["value"] for row in content.get("examples", {}).values()]
                    shown += [content["example"]] if "example" in content else []
                    validator = Draft202012Validator(
                        {**content["schema"], "components": generated["components"]}
                    )
                    problems = [
                        error.message for one in shown for error in validator.iter_errors(one)
                    ]
                    if problems or not shown:
                        wrong.append((method, path, problems))
    assert wrong == []
