"""What survives: how much of what frozen networks see in the originals they see in the decoded pictures, too.

Every codec is looked at in its best file (by PSNR, at its best scale) of at most the bytes of the reference's.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from odpiece.codec.batch.processes import run_all
from odpiece.codec.comparison.measure import files_up_to, see
from odpiece.codec.comparison.report import REFERENCE, Measured
from odpiece.codec.comparison.subjects import find_subject
from odpiece.codec.comparison.tasks import open_original
from odpiece.formats.errors import told


@dataclass(frozen=True)
class View:
    """One measured picture, in which Subjects, given by name, are looked for, in the files of each of `codecs`,
    {title: Codec}; what is found is kept in the folder `cache` (or None).
    """

    picture: Measured
    codecs: dict
    subjects: tuple
    cache: Path | None

    def completed(self, original):
        """A View with all files of its codecs up to the bytes of the reference's largest: ladders end before."""
        trials = self.picture.trials
        most = max(trial.size for trial in trials[REFERENCE])
        more = {c.name: files_up_to(original, c, most, self.cache) for c in self.codecs.values() if c.ladder}
        return replace(self, picture=replace(self.picture, trials=trials | more))

    def best_files(self, codec):
        """{quality of the reference: (quality, scale) of the codec's best file}, where it has one so small."""
        best = {t.quality: self.picture.best_file(codec.name, t) for t in self.picture.trials[REFERENCE]}
        return {quality: (trial.quality, trial.scale) for quality, trial in best.items() if trial}


def run_view(view):
    """(the View, {(title, quality of the reference): {subject: its Findings}}), or the message of an error instead."""
    subjects, found = [find_subject(name) for name in view.subjects], {}
    try:
        original, _ = open_original(Path(view.picture.name))
        complete = view.completed(original)
        for title, codec in view.codecs.items():
            best = complete.best_files(codec)
            seen = see(original, codec, sorted(set(best.values())), subjects, view.cache)
            found |= {(title, quality): seen[file] for quality, file in best.items()}
    except Exception as error:
        return view, f"{view.picture.name}: {told(error)}"
    return view, found


def _lost(view, error):
    return view, f"{view.picture.name}: {error}"


def run_views(views, jobs=None):
    """The pairs of `run_view`, as they are done, in `jobs` processes (default: one a core)."""
    return run_all(run_view, views, _lost, jobs)


@dataclass
class Survival:
    """Of how many things a figure is, and how many of their parts are kept."""

    count: int = 0
    parts: int = 0
    kept: int = 0

    def add(self, finding):
        self.count += finding.count
        self.parts += finding.parts
        self.kept += finding.kept


def tally(pairs):
    """({(subject, quality of the reference, number of the class of size, title): Survival}, messages about pictures
    that are left out) of the pairs of `run_views`.
    """
    total, messages = {}, []
    for _, found in pairs:
        if isinstance(found, str):
            messages.append(f"left out of the tasks: {found}")
            continue
        for (title, quality), seen in found.items():
            for name, findings in seen.items():
                for finding in findings:
                    key = name, quality, _size_class(find_subject(name), finding.size), title
                    total.setdefault(key, Survival()).add(finding)
    return total, messages


def _size_class(subject, size):
    return sum(size >= limit for limit in subject.limits)


def survival_cells(total, subject, titles, rates):
    """A table of texts, its head first: for each class of size and quality of the reference, which has as many bits a
    pixel as `rates` say, the share that survives in percent, and of how many things that is; no share of too few.
    """
    lines = sorted({(size, quality) for name, quality, size, _ in total if name == subject.name})
    return [[subject.title, "bpp", *titles], *(_survival_line(total, subject, titles, rates, *line) for line in lines)]


def _survival_line(total, subject, titles, rates, size, quality):
    found = [total.get((subject.name, quality, size, title), Survival()) for title in titles]
    name = f"{_size_name(subject.limits, size)}-q {quality}"
    return [name, _rate(rates.get(quality)), *(_shown(survival, subject.least) for survival in found)]


def _shown(survival, least):
    if not survival.count:
        return "-"
    share = f"{100 * survival.kept / survival.parts:.0f} %" if survival.count >= least else "-"
    return f"{share} ({survival.count})"


def _rate(rate):
    return f"{rate:.4f}" if rate else "-"


def _size_name(limits, number):
    if not limits:
        return ""
    low, high = (0, *limits)[number], (*limits, None)[number]
    return f"{low} to {high} px, " if low and high else f"from {low} px, " if low else f"under {high} px, "
