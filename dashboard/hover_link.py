"""One hover for the three projections and the 3-D view: in the browser alone, nothing of it reaches the server."""

from __future__ import annotations

from bokeh.models import ColumnDataSource, CustomJS

SOLID = "tracks-in-3d"
"""Name of the 3-D view's model, by which the projections find it."""
LINES = "tracks-in-projections"
"""Name of the projections' table of lines, one line per track, in the order of the 3-D view's traces."""
_HOVERED_WIDTH = 9

_IN_3D = """
const solids = [...lines.document?.all_models ?? []].filter((model) => model.name === name)
const [view] = solids.map((model) => Bokeh.index.find_one(model)).filter((view) => view)
const [wanted = null] = cb_data.index.indices
if (!view?.container?.data || view.trackHovered === wanted) return
view.trackHovered = wanted
clearTimeout(view.trackTimer)
view.trackTimer = setTimeout(() => {
  const gd = view.container, at = [], widths = []
  const width = (i) => gd.data[i]?.line?.width
  const restyle = (i, to) => { if (width(i) !== undefined && width(i) !== to) { at.push(i); widths.push(to) } }
  const before = view.trackWide
  // a width that is no longer ours was set by the server meanwhile, and stays
  const number = view.trackHovered
  if (before && before.number !== number && width(before.number) === wide) restyle(before.number, before.width)
  if (before?.number !== number) {
    view.trackWide = number === null ? null : { number, width: width(number) }
    if (number !== null && width(number) < wide) restyle(number, wide)
  }
  if (at.length) window.Plotly.restyle(gd, { 'line.width': widths }, at)
}, 40)
"""
_IN_PROJECTIONS = """
const { type, data } = cb_obj.data
if (type !== 'hover') return
const number = data?.points?.[0]?.curveNumber
// the browser forgets what was drawn before only after a while
for (const lines of [...cb_obj.origin.document.all_models].filter((model) => model.name === '%s')) {
  const known = number !== undefined && number < lines.get_length()
  lines.inspected.indices = known ? [number] : []
  lines.inspect.emit([{ muted: false }, { geometry: { type: 'none' } }])
}
"""


def in_3d(lines: ColumnDataSource) -> CustomJS:
    """For the hover tool of a projection: the line under the mouse grows in the 3-D view."""
    return CustomJS(args={"lines": lines, "name": SOLID, "wide": _HOVERED_WIDTH}, code=_IN_3D)


def in_projections() -> dict[str, str]:
    """For the 3-D view, by event: the line under the mouse grows in the projections."""
    return {"event:plotly_event": _IN_PROJECTIONS % LINES}
