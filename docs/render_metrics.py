"""Draws the table of metrics.md from the table in the code; `docs.render` runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from awaitbatch.instrumentation._measurements import INSTRUMENTS, QUEUE

if TYPE_CHECKING:
    from awaitbatch.instrumentation._measurements import Instrument

BEGIN: Final = "<!-- The table is drawn by `make docs`. -->\n\n"
END: Final = "\n<!-- Here it ends. -->\n"


def render_metrics() -> str:
    """The table, in Markdown."""
    # Two columns, which a phone can show.
    heads = (
        "| metric: in OpenTelemetry, in Prometheus | what it measures, and its attributes |\n| --- | --- |\n"
    )
    return heads + "".join(map(_row, INSTRUMENTS))


def metrics_drawn_into(page: str) -> str:
    """The page, with the table in its place."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{render_metrics()}{END}{after}"


def _row(one: Instrument) -> str:
    names = [f"`{name}`" + " on request" * (name == QUEUE) for name in one.names_of_attributes(queue=True)]
    attributes = f"<br>by {', '.join(names)}" if names else ""
    measures = f"{one.meaning} ({one.kind.value}, `{one.unit}`){attributes}"
    return f"| `{one.name}`<br>`{one.prometheus_name}` | {measures} |\n"
