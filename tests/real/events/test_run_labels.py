"""Labels and notes as Go's own templates make them: Helm has the same sprig that Argo Events has."""

from __future__ import annotations

import base64
import json
import random
import subprocess
from pathlib import Path
from typing import Any

import yaml

from pipelines.events.event import Sender
from pipelines.events.run_labels import apply, expression, quoted
from pipelines.events.simulation import go_json, go_template, sensor, webhook
from sensors.payloads import MESSAGE
from tests.unit.cli.test_simulate import DOCUMENT, PAYLOADS
from tests.unit.events.test_run_labels import EVERY

ALPHABETS = (
    "abcXYZ019",
    "aZ0-._/:@{}`\"'\\ \n\r\t",
    "\x00\x01\x1f\x7f\x80\xa0\xad\u061c\u180e\u200b\u2028\u202e\u2066\ufeff\ufffd\uffff",
    "äß\u0130\u0131\u017f\u212a漢字🚀\U000e0001\U0010ffff",
)
BEGINNINGS = ("", "https://h/", "git@h:", "ssh://u@h:22//", "refs/heads/", "refs/tags/", "refs/pull/7/", "/", "-._")
ENDINGS = ("", ".git", ".git/", "/", "-._", "\n", "\nSecond line", "\r\n")


def awkward_texts(number: int) -> list[str]:
    """Return texts, the same each time: cut within a character, or such as a regular expression could misread."""
    chance = random.Random(2026)
    texts = ["", "-", ".git", "x" * 64, "漢" * 99, "/", "refs/heads/", "a" * 62 + "--b"]
    for _ in range(number):
        letters = "".join(chance.sample(ALPHABETS, chance.randint(1, 4)))
        middle = "".join(chance.choices(letters, k=chance.choice((0, 1, 3, 15, 70, 250))))
        texts.append(chance.choice(BEGINNINGS) + middle + chance.choice(ENDINGS))
    return texts


def made_by_go(folder: Path, each: str, texts: list[str]) -> list[dict[str, str]]:
    """Return what an expression for a dictionary, of texts in base64, makes of each text, which is `(b64dec $one)`."""
    (folder / "Chart.yaml").write_text("apiVersion: v2\nname: asked\nversion: 1.0.0\n")
    (folder / "templates").mkdir()
    (folder / "templates/made.yaml").write_text(
        "{{ $made := list }}{{ range $one := .Values.each }}\n"
        f"{{{{ $made = append $made {each} }}}}{{{{ end }}}}\n"
        "{{ dict `apiVersion` `v1` `kind` `ConfigMap` `data` (dict `made` ($made | toJson)) | toJson }}\n"
    )
    words = ["helm", "template", "asked", str(folder), "--values", "-"]
    given = json.dumps({"each": [base64.b64encode(text.encode()).decode() for text in texts]})
    done = subprocess.run(words, input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answered = json.loads(yaml.load(done.stdout, Loader=yaml.CSafeLoader)["data"]["made"])
    return [
        {name: base64.b64decode(text).decode(errors="surrogateescape") for name, text in one.items()}
        for one in answered
    ]


def test_go_makes_the_same_of_every_text(tmp_path: Path) -> None:
    """Each function, asked in one call of Helm."""
    texts = awkward_texts(1500)
    parts = (f'"{name}" ({expression(operations, "(b64dec $one)")} | b64enc)' for name, operations in EVERY.items())
    answered = made_by_go(tmp_path, f"(dict {' '.join(parts)})", texts)
    assert answered == [{name: apply(operations, text) for name, operations in EVERY.items()} for text in texts]


def test_go_finds_the_message_of_a_commit(tmp_path: Path) -> None:
    """Of the last of several, whatever else it says; a commit that is none costs no event."""
    odd = ('say \\"}], "message":"[skip ci]"', '"', "\\", '","', "[skip ci]\n\nskip-checks: true")
    texts = [*awkward_texts(300), *odd]
    each: list[object] = [{"author": {"name": text}, "message": text, "modified": [text], "url": "x"} for text in texts]
    values = [*each, *([{"message": "first", "url": "x"}, commit] for commit in each)]
    values += [None, "x", 7, [], {}, ["x"], {"message": None}, {"message": 1}]
    made = f'(dict "message" ({expression(MESSAGE, "(b64dec $one | mustFromJson | toJson)")} | b64enc))'
    found = [one["message"] for one in made_by_go(tmp_path, made, [json.dumps(value) for value in values])]
    assert found == [apply(MESSAGE, go_json.dumps(value)) for value in values]
    written = [go_json.dumps(text)[1:-1] for text in texts]
    whole = [(one, text) for one, text in zip(found, written * 2, strict=False) if len(text.encode()) < 300]
    assert len(whole) > 300
    assert all(one == text for one, text in whole)


def test_go_makes_the_runs_that_are_simulated(tmp_path: Path) -> None:
    """Each template of each trigger that a saved payload fires, in one call of Helm; and Go reads each pattern."""
    inputs: list[dict[str, Any]] = []
    asked: list[str] = []
    expected: list[str] = []
    for path in sorted(PAYLOADS.glob("*.json")):
        sender = Sender(path.stem.partition("-")[0])
        source, name = webhook.SOURCES[sender]
        data = webhook.event(sender, path.read_bytes(), "push")
        if path.stat().st_size > 500_000:
            continue
        for found in sensor.run(DOCUMENT, source=source, event=name, data=data):
            [trigger] = [t["template"] for t in DOCUMENT["spec"]["triggers"] if t["template"]["name"] == found.trigger]
            for parameter in trigger["k8s"]["parameters"] if found.workflow else ():
                template = parameter["src"]["dataTemplate"]
                expected.append(go_template.render(template, {"Input": data}))
                asked.append(f"{{{{ with index $.Values.inputs {len(inputs)} }}}}{{{{ $made = append $made (")
                asked[-1] += f"{template.removeprefix('{{ ').removesuffix(' }}')}) }}}}{{{{ end }}}}\n"
            inputs.append({"Input": data})
    (tmp_path / "Chart.yaml").write_text("apiVersion: v2\nname: asked\nversion: 1.0.0\n")
    (tmp_path / "templates").mkdir()
    made = "{{ dict `apiVersion` `v1` `kind` `ConfigMap` `data` (dict `made` ($made | toJson)) | toJson }}\n"
    filters = (entry for one in DOCUMENT["spec"]["dependencies"] for entry in one.get("filters", {}).get("data", ()))
    patterns = {quoted(pattern) for entry in filters for pattern in entry["value"]}
    asked += [f"{{{{ $_ := mustRegexMatch {pattern} `x` }}}}\n" for pattern in sorted(patterns)]
    (tmp_path / "templates/made.yaml").write_text("{{ $made := list }}\n" + "".join(asked) + made)
    given = json.dumps({"inputs": inputs}, ensure_ascii=False)
    words = ["helm", "template", "asked", str(tmp_path), "--values", "-"]
    done = subprocess.run(words, input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(yaml.load(done.stdout, Loader=yaml.CSafeLoader)["data"]["made"]) == expected
    assert len(expected) > 150
