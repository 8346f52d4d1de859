"""The dashboard: `panel serve dashboard/app.py --address 127.0.0.1`."""

import panel as pn

from dashboard.page import serve

# in every session: the design is lost from the second one on when this stands in an imported module
pn.extension("tabulator", "plotly", design="material-ui", notifications=True)
pn.config.lazy_resources = False  # everything a page needs is declared here, so that nothing is looked for elsewhere

serve()
