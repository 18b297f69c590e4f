"""Values files: which places name an image, and that only those scalars change, in whatever YAML people write."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipelines.environments import image_places
from pipelines.environments.image_places import At, Change, DesiredImage
from pipelines.errors import Refused, ShipwayError

UNDER = "reg.example.org/team/"
WEB = f"{UNDER}web"
OLD, NEW = f"sha256:{'0' * 64}", f"sha256:{'1' * 64}"
WANTED = {WEB: DesiredImage(digest=NEW, tag="git-1", also=frozenset({"git-1", "1.2.0"}))}


def edit(text: str, *at: str) -> str:
    """Return a file's text with the image web at the new digest."""
    return edited(text, *at)[0]


def edited(text: str, *at: str) -> tuple[str, tuple[Change, ...]]:
    """Return the same with what changed; `at` are dotted paths."""
    places = [At(path=image_places.path(item), image=WEB, where="shipway.yaml:1") for item in at]
    data, changes = image_places.read(text.encode(), "values.yaml", under=UNDER, at=places).edited(WANTED)
    return data.decode(), changes


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (f"repository: {WEB}\ntag: v1 # now\ndigest: {OLD}\n", f"repository: {WEB}\ntag: git-1 # now\ndigest: {NEW}\n"),
        (f"image: {{repository: {WEB}, tag: v1}}\n", f"image: {{repository: {WEB}, tag: git-1}}\n"),
        (f"i: {{repository: {WEB}, digest: {OLD}}}\n", f'i: {{repository: {WEB}, digest: "{NEW}"}}\n'),
        (f"- {{digest: '{OLD}', repository: '{WEB}'}}\n", f"- {{digest: '{NEW}', repository: '{WEB}'}}\n"),
        (f"image: {WEB}:v1@{OLD} # now\n", f"image: {WEB}:git-1@{NEW} # now\n"),
        (f'a:\r\n  - "{WEB}:v1"\r\n', f'a:\r\n  - "{WEB}:git-1@{NEW}"\r\n'),
        (f"a:\n- {WEB}@{OLD}\n- other\n", f"a:\n- {WEB}@{NEW}\n- other\n"),
        (
            f"registry: reg.example.org\nrepository: team/web\ndigest: {OLD}\n",
            f"registry: reg.example.org\nrepository: team/web\ndigest: {NEW}\n",
        ),
        (f"x: 1\n---\nrepository: {WEB}\ntag: v1\n", f"x: 1\n---\nrepository: {WEB}\ntag: git-1\n"),
        (f"repository: {WEB}\ntag:   # none\ndigest:\n", f"repository: {WEB}\ntag:   # none\ndigest: {NEW}\n"),
        (f"repository: {WEB}\ntag: ''\ndigest: ''\n", f"repository: {WEB}\ntag: ''\ndigest: '{NEW}'\n"),
        (f"repository: {WEB}\ntag:\n", f"repository: {WEB}\ntag: git-1\n"),
        (f"repository: {WEB}\ntag: &t v1\n", f"repository: {WEB}\ntag: &t git-1\n"),
        (f"repository: {WEB}\ntag: !!str 1.10\n", f"repository: {WEB}\ntag: !!str git-1\n"),
        (f"repository: {WEB}\ntag: v1@{OLD}\n", f"repository: {WEB}\ntag: git-1@{NEW}\n"),
        (f"\ufeffimage: {WEB}:v1\n", f"\ufeffimage: {WEB}:git-1@{NEW}\n"),
        (f"image: {WEB}\ntag: v1\n", f"image: {WEB}\ntag: git-1\n"),
        (f"image: {WEB}\nimageTag: v1\n", f"image: {WEB}\nimageTag: git-1\n"),
        (f"registry: null\nrepository: {WEB}\ntag: v1\n", f"registry: null\nrepository: {WEB}\ntag: git-1\n"),
        (f"registry: ~\nimage: {WEB}:v1\n", f"registry: ~\nimage: {WEB}:git-1@{NEW}\n"),
        (
            "registry: reg.example.org/team/\nname: web\ntag: v1\n",
            "registry: reg.example.org/team/\nname: web\ntag: git-1\n",
        ),
        (f"repository: {WEB}/\ntag: v1\n", f"repository: {WEB}/\ntag: git-1\n"),
        (
            f"d: &d {{repository: {WEB}}}\nw: {{<<: *d, tag: v1}}\n",
            f"d: &d {{repository: {WEB}}}\nw: {{<<: *d, tag: git-1}}\n",
        ),
        (
            "a: &a {registry: reg.example.org}\nb: &b {repository: team/web, tag: x}\nw: {<<: [*a, *b], tag: v1}\n",
            "a: &a {registry: reg.example.org}\nb: &b {repository: team/web, tag: x}\nw: {<<: [*a, *b], tag: git-1}\n",
        ),
        (f"repository: {WEB}\ntag: 7e10 # a number to Helm\n", f"repository: {WEB}\ntag: git-1 # a number to Helm\n"),
    ],
)
def test_every_form_follows_the_image(old: str, new: str) -> None:
    """What names the image gets its tag and digest, in the form of before, and a second time changes nothing."""
    assert edit(old) == new
    assert edited(new) == (new, ())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (f"image: {WEB}:v1@{OLD}\n", f"image: {WEB}@{NEW}\n"),
        (f"image: '{WEB}:v1'\n", f"image: '{WEB}@{NEW}'\n"),
        (f"image: {WEB}@{OLD}\n", f"image: {WEB}@{NEW}\n"),
        (f"repository: {WEB}\ntag: v1@{OLD}\n", f"repository: {WEB}\ntag: v1@{NEW}\n"),
        (f"repository: {WEB}\ntag: v1\ndigest: {OLD}\n", f"repository: {WEB}\ntag: v1\ndigest: {NEW}\n"),
        (f"repository: {WEB}\ntag: 1.10\ndigest:\n", f'repository: {WEB}\ntag: "1.10"\ndigest: {NEW}\n'),
        (f"repository: {WEB}\ntag:\ndigest: {OLD}\n", f"repository: {WEB}\ntag:\ndigest: {NEW}\n"),
        (f"repository: {WEB}\ndigest: {OLD}\n", f"repository: {WEB}\ndigest: {NEW}\n"),
    ],
)
def test_a_digest_that_no_tag_names_is_written(old: str, new: str) -> None:
    """A whole reference needs no tag; beside a digest comes the tag that was beside it before, else the present one."""
    values = image_places.read(old.encode(), "values.yaml", under=UNDER)
    data, [change] = values.edited({WEB: DesiredImage(digest=NEW, tag="")})
    assert (data.decode(), change.tag, change.digest) == (new, "", NEW)
    data, _ = values.edited({WEB: DesiredImage(digest=NEW, tag="", beside="v0")})
    assert data.decode() == re.sub(r"tag: [\w.\"]+", "tag: v0", new)
    assert image_places.read(data, "values.yaml", under=UNDER).edited({WEB: DesiredImage(digest=NEW, tag="")}) == (
        data,
        (),
    )


@pytest.mark.parametrize("tag", ["", " v1", f" '@{OLD}'"])
def test_a_tag_alone_cannot_name_a_digest_that_no_tag_names(tag: str) -> None:
    """Such a place refuses the whole file, and says which it is; a tag that once was true is none."""
    text = f"a: {WEB}:v1@{OLD}\nimage:\n  repository: {WEB}\n  tag:{tag}\n"
    values = image_places.read(text.encode(), "values.yaml", under=UNDER)
    with pytest.raises(Refused) as raised:
        values.edited({WEB: DesiredImage(digest=NEW, tag="", beside="" if "@" in tag else "v0")})
    assert raised.value.what == f"values.yaml:3: no tag is known that names {WEB}@{NEW} any more"
    assert f"tag:{tag}".replace("'", "") in raised.value.seen
    assert "`digest:`" in raised.value.todo


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# only a comment\n",
        f"repository: {WEB}\n",
        f"image: {WEB}\n",
        f"repository: {UNDER}other\ntag: v1\n",
        f"repository: {UNDER}web/more\ntag: v1\n",
        "repository: reg.example.org/teamweb\ntag: v1\n",
        f"repository: {WEB}\ntag: 1.2.0\n",
        f"repository: {WEB}\ntag: anything\ndigest: {NEW}\n",
        f"text: see {WEB}:v1 for more\n",
    ],
)
def test_what_is_no_such_place_stays(text: str) -> None:
    """Other images, names without a tag, prose, and places that name the image already are left alone."""
    assert edited(text) == (text, ())


def test_what_helm_reads_as_no_text_is_written_again() -> None:
    """Though it is the tag that is asked for."""
    values = image_places.read(f"repository: {WEB}\ntag: 7e10\n".encode(), "values.yaml", under=UNDER)
    data, _ = values.edited({WEB: DesiredImage(digest=NEW, tag="7e10", also=frozenset({"7e10"}))})
    assert data.decode() == f'repository: {WEB}\ntag: "7e10"\n'


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (f"image:\n  repository: {WEB}\n", [2]),
        (f"a: {WEB}\nb: {WEB}:v1\n", [1]),
        ("registry: reg.example.org\nrepository: team/web\n", [2]),
        (f"d: &d\n  repository: {WEB}\nw: {{<<: *d, tag: v1}}\n", []),
        (f"d: &d\n  repository: {WEB}\nw: {{<<: *d}}\n", [2]),
        (f"repository: {WEB}\ntag: {{a: b}}\n", [1]),
        (f"text: see {WEB} for more\nother: {UNDER}x\n", []),
        (f'a: 1\nb: "{WEB}:{{{{ .Chart.AppVersion }}}}"\n', [2]),
        (f"{{a: '{WEB}:${{TAG}}', b: 'docker://{WEB}:v1'}}\n", [1]),
        (f"args:\n- --serve\n- --image={WEB}:v1@{OLD}\n- --images={UNDER}x:1,{WEB}:v1\n", [3, 4]),
        (f"extra: |\n  - name: web\n\n    image: {WEB}:v1\n", [4]),
        (f"a: x{WEB}:v1\nb: --image={WEB}-more:v1\nc: {UNDER}more/web:v1\n", []),
    ],
)
def test_an_address_without_a_place_is_told(text: str, lines: list[int]) -> None:
    """By its line: nothing can be written there, and nobody would know."""
    assert [*image_places.read(text.encode(), "values.yaml", under=UNDER).not_written([WEB])] == lines


@pytest.mark.parametrize(
    ("old", "at", "new"),
    [
        ("web: {image: {tag: v1}}\n", "web.image", "web: {image: {tag: git-1}}\n"),
        ("web:\n  version: v1\n", "web.version", "web:\n  version: git-1\n"),
        (f"web:\n  sha: {OLD}\n", "web.sha", f"web:\n  sha: {NEW}\n"),
        ("images:\n- a\n- mirror/web:v1\n", "images.1", f"images:\n- a\n- mirror/web:git-1@{NEW}\n"),
        ("a.b:\n  c: v1\n", r"a\.b.c", "a.b:\n  c: git-1\n"),
        (f"image: {WEB}\n", "image", f"image: {WEB}@{NEW}\n"),
    ],
)
def test_places_that_are_named_follow_too(old: str, at: str, new: str) -> None:
    """A path leads to a mapping, a reference, a digest or a tag, and each keeps its form."""
    assert edit(old, at) == new


@pytest.mark.parametrize(
    ("text", "at", "told"),
    [
        ("a: 1\n", "b.c", "values.yaml has no b.c"),
        ("a: v1\na: v2\n", "a", "values.yaml has a twice"),
        ("a: v1\n---\na: v2\n", "a", "values.yaml has a twice"),
        ("a: [1]\n", "a", "values.yaml:1: a is neither a text nor a mapping"),
        ("a: 1\nb: [\n", "", "values.yaml:3: not YAML"),
        ("a: x\n- y: {\n", "", "values.yaml:2: not YAML"),
        (f"a: &x {{repository: {WEB}, tag: v1}}\nb: *x\n", "", "values.yaml:1: cannot be changed in its place alone"),
        (f"a: &x\n  repository: {WEB}\n  tag: v1\nb:\n  <<: *x\n", "", "values.yaml:3: cannot be changed in its place"),
        (f"t: &t v1\nb:\n  repository: {WEB}\n  tag: *t\n", "", "values.yaml:1: cannot be changed in its place alone"),
        (f"repository: {WEB}\ntag: |\n  v1\n", "", "values.yaml:2: cannot be changed in its place alone"),
    ],
)
def test_what_cannot_be_changed_is_told_once(text: str, at: str, told: str) -> None:
    """Each fault is one message with its place, and nothing is given back."""
    with pytest.raises(ShipwayError) as raised:
        edit(text, *filter(None, [at]))
    assert str(raised.value).startswith(told)


def test_files_too_large_or_no_text_are_refused() -> None:
    """A megabyte, other encodings and aliases of aliases end in one message."""
    bomb = "a: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(
        f"{b}: &{b} [{','.join(f'*{a}' for _ in range(9))}]\n" for a, b in zip("abcdefg", "bcdefgh", strict=True)
    )
    for data, told in ((b"a" * (1 << 20) + b"a", "too large"), (b"a: \xff", "not UTF-8"), (bomb.encode(), "too many")):
        with pytest.raises(ShipwayError, match=told):
            image_places.read(data, "values.yaml", under=UNDER)
    with pytest.raises(Refused):
        image_places.read(b"a" * (1 << 21), "values.yaml")


_QUOTES = ("{}", "'{}'", '"{}"')
_TEXTS = st.sampled_from(
    ["1.10", "yes", "null", "'# not a comment'", '"a: b"', "ä ö", "0x1F", "2020-01-01", "{a: 1}", "[x, 'y']", "~"]
)


@st.composite
def awkward(draw: st.DrawFn) -> tuple[str, tuple[str | int, ...]]:
    """Return a YAML text with one place that names the image, and the path to its tag, or to the reference."""
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    indent = draw(st.sampled_from([2, 3, 4]))
    comment = st.sampled_from(["", "", "  # why: {not a flow}", " # *no &anchor"])
    lines: list[str] = draw(st.sampled_from([[], ["# head", ""], ["%YAML 1.1", "---"], ["---"]])).copy()
    number = 0

    def noise(depth: int) -> None:
        nonlocal number
        for _ in range(draw(st.integers(0, 2))):
            number += 1
            pad = " " * (indent * depth)
            kind = draw(st.integers(0, 4))
            if kind == 0:
                lines.extend(
                    [f"{pad}n{number}: |", f"{pad}{' ' * indent}repository: {WEB}", f"{pad}{' ' * indent}tag: v0"]
                )
            elif kind == 1:
                lines.extend([f"{pad}n{number}: &a{number}", f"{pad}{' ' * indent}k: v", f"{pad}m{number}: *a{number}"])
            elif kind == 2:
                lines.extend([f"{pad}n{number}:", f"{pad}- x # item", f"{pad}- {draw(_TEXTS)}"])
            elif kind == 3:
                lines.extend([f"{pad}n{number}: >-", f"{pad}{' ' * indent}folded", "", f"{pad}{' ' * indent}text"])
            else:
                lines.append(f"{pad}n{number}: {draw(_TEXTS)}{draw(comment)}")

    path: list[str | int] = []
    depth = draw(st.integers(0, 3))
    for level in range(depth):
        noise(level)
        lines.append(f"{' ' * (indent * level)}k{level}:{draw(comment)}")
        path.append(f"k{level}")
    noise(depth)
    pad = " " * (indent * depth)
    repository = draw(st.sampled_from(_QUOTES)).format(WEB)
    tag = draw(st.sampled_from(_QUOTES)).format(draw(st.sampled_from(["v1", "1.10", "2024", "main"])))
    mark = draw(st.sampled_from(["", "", "&mark ", "!!str ", "!!str &mark "]))
    form = draw(st.sampled_from(["flow", "lines of a flow", "keys", "item", "whole"]))
    flow = [f"{{tag: {mark}{tag},", f"{pad} 'repository': {repository}}}"]
    if form == "flow":
        lines.append(f"{pad}image: {' '.join(word.strip() for word in flow)}{draw(comment)}")
        path += ["image", "tag"]
    elif form == "lines of a flow":
        lines.extend([f"{pad}image: {flow[0]}{draw(comment)}", f"{flow[1]}{draw(comment)}"])
        path += ["image", "tag"]
    elif form == "item":
        lines.extend([f"{pad}images:", f"{pad}- none", f"{pad}- repository: {repository}", f"{pad}  tag: {mark}{tag}"])
        path += ["images", 1, "tag"]
    elif form == "whole":
        whole = draw(st.sampled_from(_QUOTES)).format(f"{WEB}:v1@{OLD}")
        lines.append(f"{pad}image: {mark}{whole}{draw(comment)}")
        path.append("image")
    else:
        keys = draw(st.permutations([f"repository: {repository}", f"tag: {mark}{tag}", "pullPolicy: Always"]))
        lines.extend(f"{pad}{key}{draw(comment)}" for key in keys)
        path.append("tag")
    noise(depth)
    lines += draw(st.sampled_from([[], ["---", "tag: v1"], ["...", "---", "# nothing", "---", "- v1"]]))
    start = draw(st.sampled_from(["", "\ufeff"]))
    return start + end.join(lines) + draw(st.sampled_from([end, ""])), (0, *path)


def _changed(old: Any, new: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return the paths at which two values differ."""
    if isinstance(old, dict) and isinstance(new, dict) and list(old) == list(new):
        return [found for key in old for found in _changed(old[key], new[key], (*path, key))]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [found for n, pair in enumerate(zip(old, new, strict=True)) for found in _changed(*pair, (*path, n))]
    return [] if old == new and type(old) is type(new) else [path]


@given(awkward(), st.sampled_from(["git-1", "1.10", "2026", "0x1F", "yes", "1e3", "a_b.c-d"]))
def test_the_tree_differs_in_one_node_and_the_text_in_one_place(
    case: tuple[str, tuple[str | int, ...]], tag: str
) -> None:
    """Whatever stands around it, what is new is a text at that node, and the rest is the same bytes."""
    text, path = case
    wanted = {WEB: DesiredImage(digest=NEW, tag=tag)}
    values = image_places.read(text.encode(), "values.yaml", under=UNDER)
    data, changes = values.edited(wanted)
    new = data.decode()
    old_value, new_value = (
        list(yaml.load_all(file.removeprefix("\ufeff"), Loader=yaml.CSafeLoader)) for file in (text, new)
    )
    differing = _changed(old_value, new_value)
    assert differing == ([path] if changes and new != text else [])
    found: Any = new_value
    for key in path:
        found = found[key]
    assert found == (tag if path[-1] != "image" else f"{WEB}:{tag}@{NEW}")
    start = next((n for n, (a, b) in enumerate(zip(text, new, strict=False)) if a != b), len(text))
    tail = next((n for n, (a, b) in enumerate(zip(text[::-1], new[::-1], strict=False)) if a != b), len(text))
    assert len(text[start : len(text) - tail]) <= len('"main"' if path[-1] != "image" else f"v1@{OLD}")
    assert not {"\n", "\r"} & {*text[start : len(text) - tail]}
