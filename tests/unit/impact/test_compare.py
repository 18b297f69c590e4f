"""Rendered differences: what is noise, what is a secret, and how much of it is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipelines.errors import ShipwayError
from pipelines.impact import compare as impact_compare
from pipelines.impact.model import ApplicationImpact, Gathered, ObjectChange
from pipelines.impact.objects import ObjectReader, RenderedObject

DEPLOYMENT = """\
# Source: web/templates/deployment.yaml
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels: {helm.sh/chart: web-1.0.0, app.kubernetes.io/version: "1"}
spec:
  template:
    metadata: {annotations: {checksum/config: aaa}}
    spec:
      containers:
        - name: web
          image: web:1
          args: ["--db-password=hunter2", --token, hunter3, --token-file, /run/token]
          env:
            - {name: ADDRESS, value: "postgres://me:hunter4@db/x"}
            - {name: API_KEY, value: hunter5}
            - {name: MODE, value: fast}
"""
SECRET = """\
apiVersion: v1
kind: Secret
metadata: {name: web}
data: {a: aHVudGVyNg==}
stringData: {b: hunter7, empty: ""}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: web}
data:
  SMTP_PASSWORD: hunter8
  plain: shown
  app.ini: |
    user = me
    password = hunter9
    [tls]
"""
GATHERED = Gathered(repo="r", commit="c" * 40, base="b" * 40, environments="", untouched=3, touched=(), findings=())
IMPACT = ApplicationImpact(
    environment="dev",
    application="web",
    chart="web",
    before="1.0.0",
    after="1.0.1",
    changes=(ObjectChange(action="changed", name="Deployment web", diff="-a: 1\n+a: 2", masked=0),),
    labels_only=0,
    fault="",
    was_broken=False,
)


def objects(text: str, key: bytes = b"key") -> dict[str, RenderedObject]:
    """Return the objects of what Helm wrote."""
    return ObjectReader(key).objects(f"---\n{text}")


def changes(before: str, after: str) -> list[str]:
    """Return what changes, each as an action and a name."""
    found, _ = impact_compare.compare(objects(before), objects(after))
    return [f"{change.action} {change.name}" for change in found]


def test_documents_that_were_read_before() -> None:
    """What is known of a text is taken, under the same key alone; any other text is read."""
    known = {key: replace(item, text="as it was read") for key, item in objects(DEPLOYMENT).items()}
    for key, same in ((b"key", True), (b"other", False)):
        reader = ObjectReader(key)
        reader.know(known.values())
        assert (reader.objects(f"---\n{DEPLOYMENT}") == known) is same
        assert reader.objects(f"---\n{DEPLOYMENT}x: 1\n") == objects(f"{DEPLOYMENT}x: 1\n", key)


def test_what_means_nothing_is_no_change() -> None:
    """Labels of the version, the order of keys, and the order of what has names."""
    assert impact_compare.compare(objects(DEPLOYMENT), objects(DEPLOYMENT)) == ((), 0)
    other = DEPLOYMENT.replace("web-1.0.0", "web-1.0.1").replace('version: "1"', 'version: "2"')
    assert impact_compare.compare(objects(DEPLOYMENT), objects(other)) == ((), 1)
    moved = DEPLOYMENT.replace("            - {name: MODE, value: fast}\n", "").replace(
        "          env:\n", "          env:\n            - {value: fast, name: MODE}\n"
    )
    assert moved != DEPLOYMENT
    assert changes(DEPLOYMENT, moved) == []
    assert changes(DEPLOYMENT, DEPLOYMENT.replace("aaa", "bbb")) == ["restarted Deployment web"]


def test_what_is_added_removed_and_changed_is_told() -> None:
    """Object by object, with a difference of the YAML alone."""
    both = DEPLOYMENT + "---\n" + SECRET
    assert changes(DEPLOYMENT, both) == ["added ConfigMap web", "added Secret web"]
    assert changes(both, DEPLOYMENT) == ["removed ConfigMap web", "removed Secret web"]
    ((change,), _) = impact_compare.compare(objects(DEPLOYMENT), objects(DEPLOYMENT.replace("web:1", "web:2")))
    assert "-        image: web:1\n+        image: web:2" in change.diff


def test_no_secret_is_shown_and_a_new_one_is_seen() -> None:
    """Values of Secrets, of variables, options and entries named like secrets, logins in addresses."""
    found = objects(DEPLOYMENT + "---\n" + SECRET)
    shown = "".join(item.text for item in found.values())
    assert "hunter" not in shown
    assert "aHVudGVy" not in shown
    for text in ("value: fast", "plain: shown", "/run/token", "user = me", "@db/x", "empty: ''"):
        assert text in shown
    for number in (2, 3, 4, 5, 7, 8, 9):
        text = DEPLOYMENT + "---\n" + SECRET
        (change,), _ = impact_compare.compare(objects(text), objects(text.replace(f"hunter{number}", "other")))
        assert "other" not in change.diff
        assert change.diff.count("(secret ") >= 2
    assert objects(SECRET, b"one") != objects(SECRET, b"other")


def test_what_is_no_object_is_told() -> None:
    """By the template that rendered it."""
    with pytest.raises(ShipwayError, match=r"web/templates/x\.yaml renders something that is not an object"):
        objects("# Source: web/templates/x.yaml\na: 1\n")


def test_alike_applications_are_told_once_and_the_page_is_bounded() -> None:
    """Fifty applications of one chart are one section; what does not fit is named; no text is markup."""
    fifty = [replace(IMPACT, environment=f"e{number}") for number in range(50)]
    page = impact_compare.page(GATHERED, fifty, unchanged=2)
    assert page.startswith("**50 applications of 55 changed**")
    assert page.count("```diff") == 1
    assert "and 45 more" in page
    large = [
        replace(IMPACT, application=f"a{n}", changes=(replace(IMPACT.changes[0], diff=f"+{n}\n" * 2000),))
        for n in range(50)
    ]
    page = impact_compare.page(GATHERED, large, unchanged=0)
    assert len(page) <= impact_compare.LARGEST_PAGE
    assert "Left out here" in page
    hostile = replace(
        IMPACT, chart="<b>@all", changes=(ObjectChange(action="added", name="`@all` <i>", diff="+```\n+x", masked=0),)
    )
    page = impact_compare.page(GATHERED, [hostile], unchanged=0)
    assert "<b>@all" not in page
    assert "`@all <i>`" in page
    assert "````diff" in page
    assert impact_compare.page(GATHERED, [], unchanged=4) == "No application changes, of 7 applications.\n"
    broken = replace(IMPACT, changes=(), fault="web.yaml:3: nil pointer")
    assert "1 cannot be rendered any more" in impact_compare.page(GATHERED, [broken], unchanged=0)
