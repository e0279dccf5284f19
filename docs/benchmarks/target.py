"""What is to be reached, and whether it was: a line of the tables of targets.py."""

import dataclasses
import math

HEADER = ("what", "measured", "must", "goal", "verdict")


def speed(ratio):
    return f"{ratio:.3f}"


def times(ratio):
    return f"{ratio:.2f}x"


def overhead(ratio):
    """A speed as the time that it costs."""
    return f"{(1 / ratio - 1) * 100:+.1f}%"


def share(ratio):
    return f"{ratio * 100:.0f}%"


def rest(ratio):
    """What a share leaves."""
    return share(1 - ratio)


def of_peer(ratio):
    """What is so many times less than a peer's, as a part of it."""
    return share(1 / ratio)


LESS_IS_BETTER = (overhead, rest, of_peer)


@dataclasses.dataclass
class Target:
    """Speeds against a peer, 1 being equal, by what they were measured on; None where that was not measured."""

    what: str
    ratios: dict
    show: object = speed
    least: float | None = None  # of each
    mean: float | None = None  # of the geometric mean
    goal_least: float | None = None
    goal_mean: float | None = None
    untuned: int = 0  # how many are of default configs, for want of tuned ones

    @property
    def measured(self):
        return {name: ratio for name, ratio in self.ratios.items() if ratio is not None}

    @property
    def worst(self):
        return min(self.measured, key=self.measured.get)

    @property
    def geometric_mean(self):
        values = self.measured.values()
        return math.exp(sum(map(math.log, values)) / len(values))

    def meets(self, least, mean):
        return (least is None or self.measured[self.worst] >= least) and (mean is None or self.geometric_mean >= mean)

    def value(self):
        if not self.measured:
            return "-"
        text = f"mean {self.show(self.geometric_mean)}, worst {self.show(self.measured[self.worst])} ({self.worst})"
        return f"{text}, {self.untuned} untuned" if self.untuned else text

    def wanted(self, least, mean):
        bound = "at most " if self.show in LESS_IS_BETTER else ""
        parts = [f"mean {bound}{self.show(mean)}"] if mean is not None else []
        parts += [f"each {bound}{self.show(least)}"] if least is not None else []
        return ", ".join(parts) or "-"

    @property
    def informs_only(self):
        return self.least is None and self.mean is None

    def verdict(self):
        if self.informs_only:
            return "-"
        if not self.measured:
            return "not measured"
        if not self.meets(self.least, self.mean):
            return "**missed**"
        if len(self.measured) < len(self.ratios):
            return f"so far ({len(self.measured)} of {len(self.ratios)} measured)"
        has_goal = self.goal_least is not None or self.goal_mean is not None
        return "goal reached" if has_goal and self.meets(self.goal_least, self.goal_mean) else "reached"

    @property
    def done(self):
        return self.informs_only or "reached" in self.verdict()

    def cells(self):
        must, goal = self.wanted(self.least, self.mean), self.wanted(self.goal_least, self.goal_mean)
        return [self.what, self.value(), must, goal, self.verdict()]
