"""Today's tree held against an earlier commit, round by round: both are measured within seconds of one another."""
from math import comb, exp, log
from statistics import median

from cells import CELLS, FIGURES
from scenarios import SUBJECTS

LESS_IS_BETTER = ("processor", "p50", "p99", "p99.9")
CONFIDENCE = 0.95


def interval(ratios):
    """The bounds between which the median of all rounds lies with 95 % confidence, whatever the distribution, from order
    statistics (the sign test). None where there are too few rounds to say so: fewer than six."""
    ordered, total = sorted(ratios), len(ratios)
    outside, left = 0, 0
    while left < total // 2 and outside + comb(total, left) / 2 ** total <= (1 - CONFIDENCE) / 2:
        outside += comb(total, left) / 2 ** total
        left += 1
    return (ordered[left - 1], ordered[total - left]) if left else None


def _speedups(ours, theirs, name):
    """How many times better today's tree was in each round."""
    return [theirs / own if name in LESS_IS_BETTER else own / theirs for own, theirs in zip(ours, theirs) if own and theirs]


def table(results, earlier):
    """The lines: for each figure the median over the rounds of the ratio within a round, and its confidence interval."""
    yield ""
    yield f"Beside {earlier}: how many times better today's tree is, round by round (above 1 is better today)"
    yield "=" * 100
    yield f"{'':<78} {'median':>7}   95 % interval"
    middles = []
    for scenario in (scenario for subject in SUBJECTS.values() for scenario in subject):
        for cell in CELLS:
            for name, figure in FIGURES.items():
                systems = results.values.get((scenario.name, cell.key, name), {})
                ours, theirs = systems.get("Tapline"), systems.get(earlier)
                if not ours or not theirs or len(ours) != len(theirs):
                    continue
                ratios = _speedups(ours, theirs, name)
                bounds = interval(ratios)
                text = f"{bounds[0]:.2f} to {bounds[1]:.2f}" if bounds else "needs six rounds"
                if name in ("delivered", "bits", "p50"):
                    middles.append(median(ratios))
                yield f"{f'{scenario.name}, {cell.title}: {figure.title}'[:78]:<78} {median(ratios):>7.2f}   {text}"
    if middles:
        mean = exp(sum(log(middle) for middle in middles) / len(middles))
        yield f"{'geometric mean of what was delivered, received and of the median times':<78} {mean:>7.2f}"
