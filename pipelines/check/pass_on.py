"""Steps that pass on the results of a container that ran a stranger's files.

Argo takes a pod's outputs from the volume of `main` and follows links there, with the token of the pod in its reach. So
what runs a stranger's files is never `main`: its results are opened here as an enemy's, and written anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import make_dataclass
from typing import Annotated, Any, get_type_hints

from pipelines.charts.model import ChartReport
from pipelines.check.model import BuildReport
from pipelines.errors import Refused
from pipelines.impact.model import Impact
from pipelines.step.signature import Arg

_MOST = 128_000
"""Characters of a field: a process takes 128 KiB in one argument, and an honest report has less."""


def _of(step: str, name: str, result: type[Any], *fields: str) -> Callable[..., Any]:
    """Return the function of a step that passes on some fields of another's result."""
    hints = get_type_hints(result, include_extras=True)
    part: type[Any] = make_dataclass(result.__name__, [(field, hints[field]) for field in fields], frozen=True)

    def pass_on(*, result: Any) -> Any:
        for field in fields:
            if (length := len(str(getattr(result, field)))) > _MOST:
                raise Refused(f"{field} is not passed on", seen=f"{length} characters", todo=f"see why {step} wrote it")
        return result

    pass_on.__annotations__ = {"result": Annotated[part, Arg(f"what the step {step} puts out")], "return": part}
    pass_on.__doc__ = f"""Pass on what the step {step} puts out, if each file is a regular one and of its type.

    Example:
        shipway step {name} --result=out/before --outputs=out/main
    """
    return pass_on


images = _of("check-build", "pass-on-images", BuildReport, "report", "built", "failed")
charts = _of("chart-check", "pass-on-charts", ChartReport, "report", "errors", "warnings")
impact = _of("impact", "pass-on-impact", Impact, "markdown", "changed", "broken")
