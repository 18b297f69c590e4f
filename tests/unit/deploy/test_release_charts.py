"""The last step of a deployment's pod fails with what the steps before it could not do, by their names."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.deploy.model import Deployed, Fault
from pipelines.deploy.release_charts import Delivered, DeployedCharts
from pipelines.errors import Misuse, Refused, ShipwayError
from tests.steps import step

ERROR = Refused("cannot push main", seen="remote: protected\nremote: ask", todo="propose it")
FAULT = Fault(fault=str(ERROR), fault_code=ERROR.exit_code)
CHARTS = {"repo": "r", "revision": "", "ref": "", "commit": "", "time": 0, "tree": "", "charts": (), "findings": ()}
WRITTEN = {"commit": "", "written": 0, "summary": "", "targets": ()}


@pytest.mark.parametrize("failed", ["charts", "publish", "environments"])
def test_a_fault_is_raised_with_its_step_before_whatever_the_wait_comes_to(failed: str, tmp_path: Path) -> None:
    """With the parts of its error as they were; here nothing can be waited for, since the commit is none."""
    faults = {name: vars(FAULT) if name == failed else {} for name in ("charts", "publish", "environments")}
    with pytest.raises(Refused) as caught:
        step("deploy-await", Delivered)(
            charts=DeployedCharts(**CHARTS, **faults["charts"]),  # type: ignore[arg-type]
            published=Fault(**faults["publish"]),
            deployed=Deployed(**WRITTEN, **faults["environments"]),  # type: ignore[arg-type]
            repo="r",
            commit="none",
            account=tmp_path,
            credentials=tmp_path,
            docker_config=tmp_path,
        )
    assert caught.value.what == f"the step {failed} failed: {ERROR.what}"
    assert (caught.value.seen, caught.value.todo) == (ERROR.seen, ERROR.todo)
    assert isinstance(caught.value.result, Delivered)


@pytest.mark.parametrize("error", [Misuse("no"), ShipwayError("no", seen="x"), ShipwayError("no", todo="y")])
def test_a_fault_has_the_parts_that_its_error_had(error: ShipwayError) -> None:
    """Whichever of them it had."""
    with pytest.raises(type(error)) as caught:
        Fault(fault=str(error), fault_code=error.exit_code).require_none("charts")
    assert (caught.value.what, caught.value.seen, caught.value.todo) == (
        "the step charts failed: no",
        error.seen,
        error.todo,
    )
