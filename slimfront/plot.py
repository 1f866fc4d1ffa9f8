"""The figure of a study for notebooks: that of the report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.scatter import scatter_view
from dashboards.study import StudyData
from storage.errors import FixInputError
from storage.records.target import OBJECTIVES, Objective

if TYPE_CHECKING:  # it takes a third of a second
    import plotly.graph_objects as go


def front_plot(data: StudyData, against: Objective) -> go.Figure:
    """Accuracy against a cost. FixInputError for a word that is no cost, and for a cost that no model has yet."""
    from dashboards.figures.front import front_figure, shown_costs

    if against not in OBJECTIVES:
        raise FixInputError(f"{against!r} is nothing to plot against; the costs are {', '.join(OBJECTIVES)}")
    view = scatter_view(data)
    if against not in shown_costs(view):
        raise FixInputError(f"study {data.study.name} knows no {against} of any model yet: let it run on")
    return front_figure(view, against)
