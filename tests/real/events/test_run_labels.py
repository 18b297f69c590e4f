"""Labels and notes as Go's own templates make them: Helm has the same sprig that Argo Events has."""

from __future__ import annotations

import base64
import json
import random
import subprocess
from pathlib import Path

import yaml

from pipelines.events.run_labels import apply, expression
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


def test_go_makes_the_same_of_every_text(tmp_path: Path) -> None:
    """Each function, asked in one call of Helm."""
    texts = awkward_texts(1500)
    (tmp_path / "Chart.yaml").write_text("apiVersion: v2\nname: asked\nversion: 1.0.0\n")
    (tmp_path / "templates").mkdir()
    made = " ".join(f'"{name}" ({expression(operations, "$text")} | b64enc)' for name, operations in EVERY.items())
    (tmp_path / "templates/made.yaml").write_text(
        "{{ $made := list }}{{ range .Values.texts }}{{ $text := b64dec . }}\n"
        f"{{{{ $made = append $made (dict {made}) }}}}{{{{ end }}}}\n"
        "{{ dict `apiVersion` `v1` `kind` `ConfigMap` `data` (dict `made` ($made | toJson)) | toJson }}\n"
    )
    values = json.dumps({"texts": [base64.b64encode(text.encode()).decode() for text in texts]})
    words = ["helm", "template", "asked", str(tmp_path), "--values", "-"]
    done = subprocess.run(words, input=values, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answered = json.loads(yaml.load(done.stdout, Loader=yaml.CSafeLoader)["data"]["made"])
    expected = [{name: apply(operations, text) for name, operations in EVERY.items()} for text in texts]
    assert [{name: base64.b64decode(text).decode() for name, text in one.items()} for one in answered] == expected
