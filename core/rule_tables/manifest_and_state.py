"""Rules of the manifest (M) and of the Neuroglancer state (N)."""

from __future__ import annotations

from core.rule_tables.rule import C, E, I, Rule, W

MANIFEST_AND_STATE = (
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
        "The converter guesses types: 0268 becomes 268, NA becomes blank, so names no longer match. A warning where "
        "the value survives only because other rows hold letters.",
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
        I,
        "Converter versions fill the gap differently. A blank ephys_shank is taken from histology_shank; a blank "
        "histology_shank cannot be filled and is an error.",
        "Fill both histology_shank and ephys_shank, or neither.",
    ),
    Rule(
        "M17",
        "probe_file is not the state's name",
        C,
        "The converter looks the annotations up by this name. An error where the rows name several states.",
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
        C,
        "A stream of a split probe records one shank: its number names the physical shank, the recorded one is 0. "
        "A warning where the only shank of a probe is written as 0.",
        "For stream <probe>-N write logical_probe <probe>, histology_shank N-1 and ephys_shank 0.",
    ),
    Rule(
        "M22",
        "The state is of another mouse",
        E,
        "Tracks of one brain would go to another mouse.",
        "Open its own state.",
    ),
    Rule(
        "M23",
        "A replacement registration is named",
        C,
        "A conversion in image space uses no registration, and whether the folder exists is not looked up.",
        "Confirm that this conversion is not to use it, or remove the column.",
    ),
    Rule(
        "M24",
        "logical_probe is no probe of this stream",
        C,
        "The result's files would be named by another probe.",
        "Write the stream's own name, or the split probe's name before its -N.",
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
        "The converter takes one brain; it stops when the images name several. To be confirmed where an image beside "
        "the brain's names no stitched asset at all.",
        "Keep only the image layers of one stitched asset.",
    ),
    Rule(
        "N3",
        "No stitched image",
        W,
        "The converter finds the brain by the state's image layers. An error for a mapping; a state may be "
        "looked at without.",
        "Add an image layer of the stitched asset (image_tile_fusing).",
    ),
    Rule(
        "N4",
        "A layer has no coordinate space",
        C,
        "Its points would be read as z, y, x, whatever the viewer shows. An error where the state has another order.",
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
        C,
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
        "Scattered points are not a probe track. Only worth knowing while the layer is not mapped.",
        "Map another layer, or confirm that it is a track.",
    ),
    Rule(
        "N14",
        "Points lie on top of each other",
        I,
        "Doubled points bend the fitted line.",
        "Delete the doubled points.",
    ),
    Rule(
        "N15", "A layer cannot be used as a track", E, "It has no points of its own to convert.", "Map another layer."
    ),
    Rule(
        "N18",
        "An image source is written for zarr version 3",
        C,
        "Converters that find the brain by this address know only the older form, and stop.",
        "Confirm that your converter takes it, or copy the state with zarr:// sources.",
    ),
    Rule("N17", "A part of the state cannot be read", E, "It may be a track.", "Copy the state again in Neuroglancer."),
    Rule("N16", "A layer is archived", C, "Archived usually means given up.", "Confirm that it is the track you mean."),
)
