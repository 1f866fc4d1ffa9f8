"""Opens a study as a worker elsewhere does, in a process that has seen none of its originals.

Its configuration comes on stdin; the hash of its model and data goes to stdout, or why it cannot be opened.
"""

from __future__ import annotations

import sys

from searcher.stages.prepare import prepare
from slimfront.progress import Silent
from slimfront.submit import check_images
from storage.errors import SlimfrontError
from storage.records.config import StudyConfig


def main() -> int:
    """The exit code."""
    try:
        prepared = prepare(StudyConfig.from_json(sys.stdin.read()), Silent())
        check_images(prepared, Silent())
        answer, code = prepared.workload.content_hash, 0
    except SlimfrontError as error:
        answer, code = str(error), 1
    print(answer)
    return code


if __name__ == "__main__":
    sys.exit(main())
