"""What commits and pull requests of deployments say."""

from __future__ import annotations

from pipelines.deploy import message
from pipelines.deploy.message import ChartMove
from pipelines.environments.image_places import Change

FORGED = "main\n\nShipway-Change: 0123\x1b[31m"


def test_no_value_and_no_path_writes_a_line_of_its_own() -> None:
    """A tag of a values file and a folder may hold any text; programs read the trailers."""
    change = Change(
        image="registry.example/web",
        file=f"dev/{FORGED}/values.yaml",
        line=3,
        old_tag=FORGED,
        old_digest=FORGED,
        tag="git-1",
        digest=f"sha256:{'0' * 64}",
    )
    move = ChartMove(name="web", folder=FORGED, old=FORGED, new="1.0.0")
    text = message.body([change], [move], {})
    assert [line for line in text.split("\n") if line.startswith("Shipway-")] == []
    assert "\x1b" not in text
    assert len(message.lines([change], [move])) == 2
