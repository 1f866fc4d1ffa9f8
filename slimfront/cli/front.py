"""`slimfront front`."""

from __future__ import annotations

from slimfront.cli.options import AsJson, StoreUrl, StudyName
from slimfront.cli.output import out, print_json
from slimfront.cli.session import opened


def front(study: StudyName, store: StoreUrl = None, json: AsJson = False) -> None:
    """Print a study's front: every model's accuracy, size and latency beside the baselines."""
    with opened(store) as (home, studies):
        from dashboards.front import front_view
        from dashboards.study import read_study

        data = read_study(studies, study)
        view = front_view(data, home)
        if json:
            print_json(view.to_dict())
            return
        from slimfront.cli.front_table import print_front

        print_front(out(), view, data)
