"""Rules of what was drawn and recorded: tracks (T), shanks (S), recordings against tracks (R), assets (A)."""

from __future__ import annotations

from core.rule_tables.rule import C, E, I, Rule, W

EVIDENCE = (
    # --- T: one track --------------------------------------------------------------------------
    Rule(
        "T1",
        "Few points",
        W,
        "A line needs two points in different places; a bent track needs several. An error where there is no line.",
        "Draw more points.",
        picture="Track against recording: the clicked points along the line.",
    ),
    Rule(
        "T2",
        "The track is not a line",
        W,
        "Probes are straight: this may be a wrong layer or two tracks.",
        "Look at it.",
        picture="The three views and the 3-D view: a bend, or a point far off. Track against recording: how far each "
        "point lies off the line.",
    ),
    Rule(
        "T3",
        "Points are not in order along the track",
        W,
        "Entry and exit are extended from the first and last points.",
        "Order the points from the surface to the tip.",
        picture="The three views: of the selected track the first point is a circle and the last, where the tip "
        "should be, a triangle.",
    ),
    Rule(
        "T4",
        "A long gap between points, or points clicked twice",
        I,
        "The track in a gap is a guess; a point that stands twice counts twice.",
        "Add points in the gap; delete what stands twice.",
        picture="Track against recording: a stretch of the line without points.",
    ),
    Rule(
        "T5",
        "The track's length is unusual",
        W,
        "It may be a part of a track, or two.",
        "Compare with the insertion.",
        picture="Track against recording: the length along its scale. The three views: which part of it is missing "
        "or too much.",
    ),
    Rule(
        "T6",
        "Length and insertion depth differ",
        W,
        "The wrong track, or a part of it: dye often ends above the tip. The brain's shrinkage, as its other probes "
        "show it, is taken out first.",
        "Look at the end of the track, and compare with the notes of the insertion.",
        picture="Track against recording: the dotted line, where the surface is expected by the insertion's depth, "
        "lies off the drawn one.",
    ),
    Rule(
        "T7",
        "Track and recorded span do not fit",
        W,
        "All recorded electrodes would lie above the brain. Only worth knowing where the surface of the brain was not "
        "recorded and no surface recording is named, and where the uppermost electrodes were out of the brain.",
        "Check the end of the track, and which probe it is of.",
        picture="Track against recording: the recorded contacts above the surface, or all of them below it.",
    ),
    Rule(
        "T8",
        "Points outside the image or the tissue",
        E,
        "The points belong to another image or another scale. A warning where a track, or its tip, leaves the tissue "
        "that a coarse level of the image shows; not checked while that has not been read.",
        "Open the state on this brain's full-resolution image and redraw the track.",
        picture="The three views: the dotted outline is the image, the brain lies behind the tracks.",
    ),
    Rule(
        "T9",
        "The track is close to horizontal",
        W,
        "The alignment sorts points by depth.",
        "Check the track.",
        picture="The coronal and the sagittal view, and the 3-D view.",
    ),
    Rule(
        "T10",
        "The angle differs from the manipulator's",
        W,
        "This may be another probe's track. The tilt of the image and the meaning of the angles' signs are estimated "
        "from all probes of the brain whose angles are known, three at least.",
        "Compare with the other probes' angles.",
        picture="The three views: dashed, where the selected track would go by its manipulator's angles, turned as the "
        "brain is. The recording's card tells the angles; a report shows the dashed line of each track that is said "
        "to be turned.",
    ),
    Rule(
        "T11",
        "The track is far from its target",
        W,
        "This may be another probe's track. Distances are taken in the atlas where its affines are at hand, else "
        "against the places of all targets to each other; besides, the side of the atlas's midline, else of the "
        "image's middle, is compared.",
        "Compare with the plan, and with the targets of the other probes.",
        picture="Track against recording: where the target lies along the track, by the registration. The three views: "
        "where the track lies beside the others and the image's middle.",
    ),
    # --- S: shanks -----------------------------------------------------------------------------
    Rule(
        "S1",
        "Mapped shanks are not the recorded shanks",
        C,
        "The alignment joins shanks by rank: with a shank left out, tracks land on other shanks without a word. Mapped "
        "shanks are held against those of settings.xml as well as those that were sorted.",
        "Assign a track to every recorded shank of this stream, or confirm that you mean it.",
        picture="Track against recording: a shank without a track is drawn empty. The recording's card lists the "
        "shanks.",
    ),
    Rule(
        "S2",
        "Shank spacing is off",
        W,
        "Shanks stand as far apart as the probe's type has them (250 um on most), a little less or more in cleared "
        "tissue.",
        "Check which track is which shank.",
        picture="Track against recording, the probe's plane: the distances of neighbouring shanks.",
    ),
    Rule(
        "S3",
        "Shanks are not parallel",
        W,
        "Shanks of one probe are parallel.",
        "Check for a track of another probe.",
        picture="Track against recording, the probe's plane, and the 3-D view.",
    ),
    Rule(
        "S4",
        "Shank tracks are out of order",
        W,
        "Two tracks may be swapped. A wholly reversed order cannot be seen: which side is shank 1 must be known.",
        "Check the order of the shanks.",
        picture="Track against recording, the probe's plane: the numbers of the shanks as they stand.",
    ),
    Rule(
        "S5",
        "Shank tips end at different depths",
        W,
        "A tip may not be drawn to its end.",
        "Check the tips.",
        picture="Track against recording, the probe's plane: the lower ends.",
    ),
    Rule(
        "S6",
        "Which shanks were sorted is not certain",
        C,
        "A sorter counts the recorded shanks from 0: its first one is shank 3 on a probe that was recorded on shanks 3 "
        "and 4. Without settings.xml, or with a shank lost in sorting, its numbers can stand for several shanks.",
        "Find out which shanks were recorded (settings.xml, notes, the sorting's own log), and confirm that the rows "
        "name them.",
        picture="The table: shanks marked (?). The recording's card lists the recorded shanks where they are known.",
    ),
    # --- R: a recording against its tracks -----------------------------------------------------
    Rule(
        "R1",
        "A recorded stream or shank has no track",
        W,
        "Its probe will be missing in the result. Only worth knowing where a whole recording is not mapped.",
        "Assign a track, or skip the stream with a reason.",
        picture='The recording\'s card: "no track" beside the stream.',
    ),
    Rule(
        "R2",
        "A track is not used",
        W,
        "A drawn track that nobody maps is easily forgotten. An error where a track is used twice.",
        "Map it or ignore it.",
        picture="The three views: a track that no row has. *Add a row for* names it.",
    ),
    Rule(
        "R3",
        "The layer's name says something else",
        W,
        "The name was given by who drew the track.",
        "Check both.",
        picture="The table: the track's name beside its recording, stream and shank.",
    ),
    Rule(
        "R4",
        "Two tracks coincide or cross",
        W,
        "Two probes of one recording cannot be in one place.",
        "Check for a copied layer, and for a track of another recording.",
        picture="The three views and the 3-D view: both tracks in one place.",
    ),
    Rule(
        "R5",
        "The surface recording does not fit",
        W,
        "Depths would be taken from a wrong recording. To be confirmed where the mapped recording is itself a surface "
        "recording; an error where the surface recording is not there.",
        "Check it.",
        picture="The recording's card names its surface recording. Track against recording: the contacts above the "
        "surface.",
    ),
    Rule(
        "R6",
        "Which sorting is used",
        I,
        "Results differ between sortings and must not be mixed. To be confirmed where one recording uses two of them, "
        "or where a sorting was made from another session than its name says; an error where the chosen one failed.",
        "Check the chosen one.",
        picture="The recording's card lists its sortings. Track against recording: the units of the chosen one.",
    ),
    Rule(
        "R7",
        "A recording of another mouse",
        E,
        "Its data would be placed in this brain. A warning where the brain was imaged before the recording.",
        "Choose another recording.",
        picture="The recording's card, or that there is none.",
    ),
    Rule(
        "R8",
        "This recording has been converted before",
        C,
        "Two results for one recording invite the wrong one to be used. A warning where the rows are the same.",
        "Confirm that this mapping is to replace the earlier one.",
    ),
    # --- A: assets -----------------------------------------------------------------------------
    Rule(
        "A1",
        "The raw asset is missing",
        E,
        "The converter needs the raw recording. A warning while the recording is not mapped.",
        "Find or upload the raw asset.",
    ),
    Rule("A2", "No sorting", W, "A recording without a sorting cannot be converted.", "Run the sorting first."),
    Rule(
        "A3",
        "The sorting failed",
        W,
        "There are no units to place. Whoever chooses it gets an error of R6.",
        "Choose another sorting, or sort again.",
    ),
    Rule(
        "A4",
        "The sorting is partial",
        W,
        "Some streams have no units.",
        "Check that the streams you need are there.",
    ),
    Rule("A5", "Several usable sortings", I, "Which one counts is a person's decision.", "Choose one."),
    Rule("A6", "Provenance is unknown", W, "Names alone say what the asset was made from.", "Check it by hand."),
    Rule(
        "A7", "settings.xml is missing", W, "Probes and shanks are known from the sorting only.", "Check the raw asset."
    ),
    Rule(
        "A8",
        "Names disagree",
        W,
        "An asset's name and its contents name different recordings. To be confirmed where they name different mice, "
        "or where two files give the image different directions.",
        "Check which is true.",
    ),
    Rule(
        "A9",
        "Duplicate copies",
        W,
        "The converter stops when it finds an asset twice. An error where rows need the doubled asset.",
        "Attach only one of them.",
    ),
    Rule("A10", "An asset is not ready", E, "It cannot be attached yet.", "Wait until it is ready."),
    Rule(
        "A11",
        "The stitched asset lacks something",
        W,
        "The full converter stops when a part is missing; a conversion in image space needs only an image. To be "
        "confirmed where an image is of a zarr format that the converters do not read.",
        "Check the asset.",
    ),
    Rule("A12", "Several stitched assets", W, "The state says which one is used.", "Check that it is the right one."),
    Rule(
        "A13",
        "The asset is not in this library",
        E,
        "What is not there cannot be converted. A warning where a mouse has no brain or no recording at all.",
        "Add it to the library.",
    ),
    Rule("A14", "Metadata cannot be read", W, "Facts are missing that checks would use.", "Check the asset's files."),
    Rule(
        "A15", "The sorting lacks the stream or shank", E, "There is nothing to convert for the row.", "Choose another."
    ),
    Rule(
        "A16",
        "The shown image cannot be placed",
        E,
        "Every point is placed by the state's first image; the converter assumes no voxel size and no direction. "
        "A warning for its other images.",
        "Choose an image that the stitched asset has, or have the asset's metadata corrected.",
    ),
    Rule(
        "A17",
        "The shown images differ",
        E,
        "Points drawn on one image would be placed by another one's voxels.",
        "Keep only image layers of one voxel size in the state, and look that the tracks lie where they were drawn.",
    ),
)
