"""Choose the activity of a frame in which several instruments act, by the rule that gives the paper's counts.

A frame's activity is the rarest action in it. The order of rarity is fixed, so a partial download gives its frames the same labels.
"""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.errors import InputError

# The 13 actions of the VQLA annotations, with the activity that each action belongs to.
ACTIVITY_OF_ACTION: dict[str, str] = {
    "idle": "idle",
    "grasping": "grasping",
    "retraction": "retraction",
    "tissue_manipulation": "manipulation",
    "tool_manipulation": "manipulation",
    "cutting": "cutting",
    "cauterization": "cauterization",
    "suction": "suction",
    "looping": "looping",
    "suturing": "suturing",
    "clipping": "clipping",
    "staple": "stapling",
    "ultrasound_sensing": "ultrasound_sensing",
}

# Rarest first, by the number of instruments with this activity in the 1,996 annotated frames of EndoVis 2018.
RAREST_FIRST = (
    "suturing",
    "stapling",
    "clipping",
    "cauterization",
    "grasping",
    "ultrasound_sensing",
    "looping",
    "suction",
    "retraction",
    "cutting",
    "manipulation",
    "idle",
)

# Frames of each activity in the complete MTLEndovis (1,996 annotated frames) and in MTLEndovis-Gen (97).
ENDOVIS_COUNTS = {
    "idle": 488,
    "retraction": 398,
    "manipulation": 331,
    "cutting": 310,
    "suction": 125,
    "ultrasound_sensing": 92,
    "looping": 73,
    "grasping": 59,
    "cauterization": 56,
    "clipping": 45,
    "stapling": 13,
    "suturing": 6,
}
GEN_COUNTS = {
    "grasping": 44,
    "manipulation": 15,
    "cauterization": 11,
    "retraction": 10,
    "idle": 9,
    "ultrasound_sensing": 8,
}


def normalise(name: str) -> str:
    """Return a name in lower case with underscores; the annotations write names with hyphens, spaces or underscores."""
    return name.strip().lower().replace("-", "_").replace(" ", "_")


def activity_of_action(action: str) -> str:
    """Return the activity that an action belongs to.

    Raises:
        InputError: if the action is not one of the 13 known actions; the message lists them.
    """
    key = normalise(action)
    if key not in ACTIVITY_OF_ACTION:
        raise InputError(f"unknown action {action!r}; known: {', '.join(sorted(ACTIVITY_OF_ACTION))}.")
    return ACTIVITY_OF_ACTION[key]


def frame_activity(actions: Iterable[str]) -> str:
    """Return the activity of a frame with the given actions, which is the rarest one.

    Raises:
        InputError: if there is no action, or if an action is unknown.
    """
    activities = {activity_of_action(action) for action in actions}
    if not activities:
        raise InputError("a frame without actions has no activity.")
    return min(activities, key=RAREST_FIRST.index)
