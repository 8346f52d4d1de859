"""Every rule a problem can name, in one published table: what it is about, why it matters, how to cure it."""

from __future__ import annotations

from dataclasses import dataclass

from core.models import Problem, Severity, Where

E, C, W, I = Severity.ERROR, Severity.CONFIRM, Severity.WARNING, Severity.INFO  # noqa: E741 - one letter keeps the table readable


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `severity` is its usual severity; a problem may be milder or graver and then says why."""

    id: str
    title: str
    severity: Severity
    why: str
    cure: str


_TABLE = (
    # --- M: the manifest -----------------------------------------------------------------------
    Rule("M1", "No rows", E, "There is nothing to convert.", "Assign at least one track."),
    Rule("M2", "A required column is missing", E, "The converter stops at once.", "Add the column to the CSV."),
    Rule("M3", "A required cell is blank", E, "The row is dropped or gets a nameless folder.", "Fill the cell."),
    Rule(
        "M4",
        "A shank is not a whole number",
        E,
        "The converter drops such a shank without a word, and the track lands on the wrong shank.",
        "Write 0 for the first shank, 1 for the second; leave it blank for a single-shank probe.",
    ),
    Rule(
        "M5",
        "Old and new column disagree",
        E,
        "Which of the two counts depends on the converter's version.",
        "Make both columns equal, or remove the old one.",
    ),
    Rule(
        "M6",
        "annotation_format is not json",
        E,
        "The converter skips the row and still ends green.",
        "Write json in every row, or remove the column.",
    ),
    Rule(
        "M7",
        "A value changes when the converter reads the CSV",
        E,
        "The converter guesses types: 0268 becomes 268, NA becomes blank, so names no longer match.",
        "Rename the layer so that it holds a letter, and is not NA, null, None or a number with leading zeros.",
    ),
    Rule("M8", "More than one mouse", E, "One manifest makes one mouse's folder; other mice end in it.", "Split it."),
    Rule(
        "M9",
        "A name is not safe",
        E,
        "Names become file names; slashes, control characters and spaces at the ends break or change them.",
        "Rename it in its source, then map again.",
    ),
    Rule(
        "M10",
        "A track is used twice",
        E,
        "One drawn track can serve only one shank of one recording; the second row overwrites the first.",
        "Remove one of the rows, or assign another track.",
    ),
    Rule(
        "M11",
        "Two rows for one physical shank",
        E,
        "Both write the same file, so one track is lost.",
        "Give each row of this recording and stream its own shank.",
    ),
    Rule(
        "M12",
        "Two rows for one recorded shank",
        E,
        "Both tracks claim the same recorded shank, so one is lost.",
        "Give each row of this recording and stream its own shank.",
    ),
    Rule(
        "M13",
        "ephys_collection is not the stream's exact name",
        E,
        "Names are compared exactly; with any other spelling the probe is dropped at the end.",
        "Use the stream's name as the sorting has it, e.g. ProbeA, not ProbeA-AP.",
    ),
    Rule(
        "M14",
        "logical_probe differs within one stream",
        E,
        "The converter stops with this at its very end, after all computing.",
        "Give all rows of the stream the same logical_probe.",
    ),
    Rule(
        "M15",
        "surface_finding differs within one recording",
        E,
        "Only the first row's surface recording would be used.",
        "Choose one surface recording for all rows of the recording.",
    ),
    Rule(
        "M16",
        "Only one of the two shank columns is filled",
        E,
        "Converter versions fill the gap differently.",
        "Fill both histology_shank and ephys_shank, or neither.",
    ),
    Rule(
        "M17",
        "probe_file is not the state's name",
        E,
        "The converter looks the annotations up by this name.",
        "Write the state's file name without .json in every row.",
    ),
    Rule(
        "M18",
        "A row has too few or too many cells",
        E,
        "Values may stand in wrong columns.",
        "Quote cells with commas.",
    ),
    Rule("M19", "A column is not known", I, "The converter ignores it.", "Nothing to do, unless it is misspelt."),
    Rule(
        "M20",
        "The registration columns do not fit together",
        E,
        "Registration is per brain: one value for all rows.",
        "Give all rows the same registration_asset; template_to_ccf_asset only together with it.",
    ),
    Rule(
        "M21",
        "Shank columns do not fit the stream",
        E,
        "A stream of a split probe records one shank: its number names the physical shank, the recorded one is 0.",
        "For stream <probe>-N write logical_probe <probe>, histology_shank N-1 and ephys_shank 0.",
    ),
    Rule(
        "M22",
        "The state is of another mouse",
        E,
        "Tracks of one brain would go to another mouse.",
        "Open its own state.",
    ),
    # --- N: the Neuroglancer state -------------------------------------------------------------
    Rule(
        "N1",
        "An image source is a list",
        C,
        "The converter reads only a text or an object with a url there, and stops.",
        "Confirm, or leave one source per image in Neuroglancer and copy the state again.",
    ),
    Rule(
        "N2",
        "Images of two assets",
        E,
        "The converter takes one brain; it stops when the images name several.",
        "Keep only the image layers of one stitched asset.",
    ),
    Rule(
        "N3",
        "No stitched image",
        E,
        "The converter finds the brain by the state's image layers.",
        "Add an image layer of the stitched asset (image_tile_fusing).",
    ),
    Rule(
        "N4",
        "A layer has no coordinate space",
        C,
        "Its points would be read as z, y, x, whatever the viewer shows.",
        "Confirm the assumed order, or draw the track again in a present Neuroglancer.",
    ),
    Rule(
        "N5",
        "A layer has a transform matrix",
        E,
        "The converter does not apply it and stops.",
        "Remove the matrix in Neuroglancer and draw in the image's own space.",
    ),
    Rule(
        "N6",
        "A layer holds something other than points",
        E,
        "A line, box or ellipsoid stops the whole conversion.",
        "Delete those annotations; a track is made of points.",
    ),
    Rule(
        "N7", "Points have the wrong number of coordinates", E, "The converter stops at such a point.", "Redraw them."
    ),
    Rule(
        "N8",
        "Not exactly one layer of this name",
        E,
        "The converter takes the first layer of the exact name, and stops when there is none.",
        "Correct the name, or give each layer its own name.",
    ),
    Rule("N9", "A layer's name is not safe", E, "It becomes a file name.", "Rename the layer in Neuroglancer."),
    Rule(
        "N10",
        "Scales differ",
        E,
        "The converter takes points for voxels of the full-resolution image, whatever the layer's scale says.",
        "Draw the track on the full-resolution image of this brain.",
    ),
    Rule(
        "N11",
        "Input dimensions differ from output dimensions",
        E,
        "The converter reads only the output dimensions, so the points may mean something else.",
        "Reset the layer's transform in Neuroglancer.",
    ),
    Rule(
        "N12",
        "An axis or unit is missing",
        E,
        "x, y and z in metres are needed.",
        "Set the dimensions in Neuroglancer.",
    ),
    Rule(
        "N13",
        "A layer looks like landmarks",
        C,
        "Scattered points are not a probe track.",
        "Map another layer, or confirm that it is a track.",
    ),
    Rule(
        "N14",
        "Points lie on top of each other",
        W,
        "Doubled points bend the fitted line.",
        "Delete the doubled points.",
    ),
    Rule(
        "N15", "A layer cannot be used as a track", E, "It has no points of its own to convert.", "Map another layer."
    ),
    Rule("N17", "A part of the state cannot be read", E, "It may be a track.", "Copy the state again in Neuroglancer."),
    Rule("N16", "A layer is archived", C, "Archived usually means given up.", "Confirm that it is the track you mean."),
    # --- T: one track --------------------------------------------------------------------------
    Rule("T1", "Few points", W, "A line needs two points; a bent track needs several.", "Draw more points."),
    Rule(
        "T2",
        "The track is not a line",
        W,
        "Probes are straight: this may be a wrong layer or two tracks.",
        "Look at it.",
    ),
    Rule(
        "T3",
        "Points are not in order along the track",
        W,
        "Entry and exit are extended from the first and last points.",
        "Order the points from the surface to the tip.",
    ),
    Rule("T4", "A long gap between points", I, "The track between them is a guess.", "Add points in the gap."),
    Rule(
        "T5", "The track's length is unusual", W, "It may be a part of a track, or two.", "Compare with the insertion."
    ),
    Rule("T6", "Length and insertion depth differ", W, "The wrong track, or a part of it.", "Compare with the notes."),
    Rule(
        "T7",
        "Track and recorded span do not fit",
        W,
        "Contacts would lie outside the brain.",
        "Check probe and surface.",
    ),
    Rule(
        "T8",
        "Points outside the image",
        E,
        "The points belong to another image or another scale.",
        "Open the state on this brain's full-resolution image and redraw the track.",
    ),
    Rule("T9", "The track is close to horizontal", W, "The alignment sorts points by depth.", "Check the track."),
    Rule("T10", "The angle differs from the manipulator's", W, "This may be another probe's track.", "Compare both."),
    Rule("T11", "The track is far from the target", W, "This may be another probe's track.", "Compare with the plan."),
    # --- S: shanks -----------------------------------------------------------------------------
    Rule(
        "S1",
        "Mapped shanks are not the recorded shanks",
        C,
        "The alignment joins shanks by rank: with a shank left out, tracks land on other shanks without a word.",
        "Assign a track to every recorded shank of this stream, or confirm that you mean it.",
    ),
    Rule("S2", "Shank spacing is off", W, "Shanks are 250 um apart.", "Check which track is which shank."),
    Rule(
        "S3", "Shanks are not parallel", W, "Shanks of one probe are parallel.", "Check for a track of another probe."
    ),
    Rule("S4", "Shank tracks are out of order", W, "Two tracks may be swapped.", "Check the order of the shanks."),
    Rule("S5", "Shank tips end at different depths", W, "A tip may not be drawn to its end.", "Check the tips."),
    # --- R: a recording against its tracks -----------------------------------------------------
    Rule(
        "R1",
        "A recorded stream or shank has no track",
        W,
        "Its probe will be missing in the result.",
        "Assign a track, or skip the stream with a reason.",
    ),
    Rule("R2", "A track is not used", W, "A drawn track that nobody maps is easily forgotten.", "Map it or ignore it."),
    Rule("R3", "The layer's name says something else", W, "The name was given by who drew the track.", "Check both."),
    Rule("R4", "Two tracks nearly coincide", W, "Two probes cannot be in one place.", "Check for a copied layer."),
    Rule("R5", "The surface recording does not fit", W, "Depths would be taken from a wrong recording.", "Check it."),
    Rule(
        "R6",
        "Which sorting is used",
        I,
        "Results differ between sortings and must not be mixed.",
        "Check the chosen one.",
    ),
    Rule(
        "R7", "A recording of another mouse", E, "Its data would be placed in this brain.", "Choose another recording."
    ),
    Rule(
        "R8",
        "This recording has been converted before",
        C,
        "Two results for one recording invite the wrong one to be used.",
        "Confirm that this mapping is to replace the earlier one.",
    ),
    # --- A: assets -----------------------------------------------------------------------------
    Rule(
        "A1", "The raw asset is missing", E, "The converter needs the raw recording.", "Find or upload the raw asset."
    ),
    Rule("A2", "No sorting", W, "A recording without a sorting cannot be converted.", "Run the sorting first."),
    Rule("A3", "The sorting failed", E, "There are no units to place.", "Choose another sorting, or sort again."),
    Rule(
        "A4", "The sorting is partial", W, "Some streams have no units.", "Check that the streams you need are there."
    ),
    Rule("A5", "Several usable sortings", I, "Which one counts is a person's decision.", "Choose one."),
    Rule("A6", "Provenance is unknown", W, "Names alone say what the asset was made from.", "Check it by hand."),
    Rule(
        "A7", "settings.xml is missing", W, "Probes and shanks are known from the sorting only.", "Check the raw asset."
    ),
    Rule(
        "A8", "Names disagree", W, "An asset's name and its contents name different recordings.", "Check which is true."
    ),
    Rule("A9", "Duplicate copies", W, "The converter stops when it finds an asset twice.", "Attach only one of them."),
    Rule("A10", "An asset is not ready", E, "It cannot be attached yet.", "Wait until it is ready."),
    Rule(
        "A11",
        "The stitched asset lacks something",
        C,
        "The conversion stops when a part is missing.",
        "Check the asset.",
    ),
    Rule("A12", "Several stitched assets", W, "The state says which one is used.", "Check that it is the right one."),
    Rule(
        "A13", "The asset is not in this library", E, "What is not there cannot be converted.", "Add it to the library."
    ),
    Rule("A14", "Metadata cannot be read", W, "Facts are missing that checks would use.", "Check the asset's files."),
    Rule(
        "A15", "The sorting lacks the stream or shank", E, "There is nothing to convert for the row.", "Choose another."
    ),
)

RULES: dict[str, Rule] = {rule.id: rule for rule in _TABLE}


def problem(
    rule: str,
    message: str,
    *,
    severity: Severity | None = None,
    cure: str = "",
    row: int | None = None,
    track: str | None = None,
    recording: str | None = None,
    column: str | None = None,
    measured: str | float | None = None,
    threshold: str | float | None = None,
) -> Problem:
    """A problem of a rule, with the rule's usual severity and cure where none is given.

    Raises:
        KeyError: there is no such rule.
    """
    known = RULES[rule]
    return Problem(
        rule=rule,
        severity=severity or known.severity,
        message=message,
        cure=cure or known.cure,
        where=Where(row=row, track=track, recording=recording, column=column),
        measured=measured,
        threshold=threshold,
    )
