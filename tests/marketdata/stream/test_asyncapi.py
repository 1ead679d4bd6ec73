"""The AsyncAPI document against what really goes over the wire, and the guide's program."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from django.conf import settings
from django.db import transaction
from django.test import Client as DjangoClient

from marketdata.stream import protocol
from mockmarket import asyncapi
from mockmarket.core import bus, clock, tokens
from tests.support import stream
from tests.support.stream import Publisher, WebServer, join

web = stream.web
GUIDE = Path(settings.BASE_DIR) / "docs" / "api" / "stream.md"


def validator(name: str) -> jsonschema.Draft202012Validator:
    document = asyncapi.document()
    return jsonschema.Draft202012Validator(
        {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    )


def check(frame: dict[str, Any]) -> str:
    """Hold a frame against its message's schema; returns the message's name."""
    messages = asyncapi.document()["components"]["messages"]
    (name,) = [key for key, message in messages.items() if message["name"] == frame["type"]]
    schema = asyncapi.document()["components"]["schemas"][name]
    validator(name).validate(frame)
    assert set(frame) <= set(schema["properties"]), f"undocumented fields in {frame}"
    return str(name)


class TestDocument:
    def test_is_served_and_complete(self, client: DjangoClient) -> None:
        document = client.get("/api/asyncapi.json").json()
        assert document["asyncapi"] == "3.0.0"
        heard = document["operations"]["hear"]["messages"]
        assert len(heard) == len(protocol.SERVER_FRAMES) + len(asyncapi.EVENTS)
        names = {message["name"] for message in document["components"]["messages"].values()}
        assert set(protocol.ACTIONS) <= names

    def test_every_reference_leads_somewhere(self) -> None:
        document = asyncapi.document()

        def walk(node: object) -> None:
            if isinstance(node, dict):
                if isinstance(reference := node.get("$ref"), str):
                    found: Any = document
                    for part in reference.removeprefix("#/").split("/"):
                        found = found[part]
                for inner in node.values():
                    walk(inner)
            elif isinstance(node, list):
                for inner in node:
                    walk(inner)

        walk(document)

    def test_wrong_frames_fail(self) -> None:
        """The control: the check would notice."""
        with pytest.raises(jsonschema.ValidationError):
            check({"type": "pong", "id": 1})
        with pytest.raises(AssertionError):
            check({"type": "pong", "id": 1, "server_time": "now", "more": 1})


@pytest.mark.django_db(transaction=True)
class TestFrames:
    def test_every_frame_of_the_server_is_as_documented(self, web: WebServer) -> None:
        keys = stream.instruments(12)
        publisher = Publisher()
        publisher.tick(dict.fromkeys([*keys, "NSE_INDEX|Nifty 50"], 100.0), high=101.0)
        alice = stream.user()
        with join(web, alice) as client:
            client.wait("status")
            publisher.status("closed" if client.seen[-1]["status"] == "live" else "live")
            client.send("subscribe", instruments=[keys[0], "unknown"])
            client.price(keys[0], 100.0)  # a hub that has just begun may have no board before
            client.send("unsubscribe", instruments=[keys[0]])
            client.send("ping", id="x")
            client.send("depth", instrument=keys[1])
            client.send("topics", topics=["t"])
            client.send("fly")
            client.wait("depth_update")
            client.wait("error")
            client.send("options", updates="single")
            client.send("set", instruments=keys[:2])
            client.wait("options_confirmed")
            client.wait("subscription_confirmed")
            publisher.tick({keys[0]: 102.0, "NSE_INDEX|Nifty 50": 104.0})
            client.wait("price_update")
            for key in keys[:9]:  # past 10 changes, short of 20 messages in a second
                client.send("subscribe", instruments=[key])
            client.wait("subscription_deferred")
            with transaction.atomic():
                bus.publish(user_id=alice.pk, type="trade", payload={}, at=clock.now())
            client.wait("trade")
            client.send("resume", epoch="another", seq=0)
            client.wait("resync")
            client.drain()
        frames = [frame for frame in client.seen if frame["type"] != "trade"]
        shown = {check(frame) for frame in frames}
        assert shown == {struct.__name__ for struct in protocol.SERVER_FRAMES}

    def test_the_guides_program_runs(self, web: WebServer, tmp_path: Path) -> None:
        (source,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
        assert len([line for line in source.splitlines() if line.strip()]) <= 20
        program = tmp_path / "client.py"
        program.write_text(source)
        (key,) = stream.instruments(1)
        publisher = Publisher()
        publisher.tick({key: 123.45})
        alice = stream.user()
        _, token = tokens.create_token(
            user=alice, name="guide", scope="READ", expires_at=None, at=clock.now()
        )
        process = subprocess.Popen(
            [sys.executable, str(program), key],
            env={"MARKET_URL": web.url, "MARKET_TOKEN": token, "PATH": ""},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        try:
            # Without a price first, where the hub has just begun and has no board yet.
            while (line := process.stdout.readline()).split() != [key, "123.45", "23.45"]:
                assert line, "the program ended"
            with transaction.atomic():
                bus.publish(user_id=alice.pk, type="trade", payload={"n": 1}, at=clock.now())
            while not (line := process.stdout.readline()).startswith("1 trade"):
                assert line, "the program ended"
        finally:
            process.kill()
            process.wait()
