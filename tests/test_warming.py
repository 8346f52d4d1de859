"""What is built before the first visitor comes."""

from __future__ import annotations

import subprocess
import sys

from dashboard import warming

BUILT = """


from dashboard import warming

made = []
warming.MappingView = lambda *args, _of=warming.MappingView: made.append(_of(*args)) or made[-1]
warming.warm_up()
warming.warm_up()
(view,) = made
assert view.plots._plots is not None and view.plots._solid is not None and view.unrolled._plots is not None
"""


def test_everything_a_mapping_shows_is_built_once_for_a_process_and_forgotten():
    subprocess.run([sys.executable, "-c", BUILT], check=True, cwd=warming.__file__.rpartition("/dashboard/")[0])
