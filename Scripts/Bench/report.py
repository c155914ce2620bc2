"""The figures as tables of text."""
from statistics import median

from cells import CELLS, FIGURES

WIDTH, COLUMN = 100, 46    # of a table, and of the names in its first column


def tables(scenario, results):
    """The lines of one scenario: each figure with its systems, their median, minimum, maximum and Tapline's ratio."""
    yield ""
    yield scenario.title
    yield "=" * WIDTH
    for cell in CELLS:
        for name, figure in FIGURES.items():
            systems = results.values.get((scenario.name, cell.key, name))
            if systems:
                yield from _figure(cell, figure, systems, results.disturbances.get((scenario.name, cell.key), {}))


def _figure(cell, figure, systems, disturbances):
    title = f"{cell.title}: {figure.title}, {figure.unit}"
    yield ""
    if len(title) > COLUMN:
        yield title
        title = ""
    yield f"{title:<{COLUMN}} {'median':>10} {'minimum':>10} {'maximum':>10}"
    ours = systems.get("Tapline")
    for system, values in systems.items():
        middle = median(values)
        ratio = ""
        if ours and system != "Tapline" and middle:
            ratio = f"Tapline {median(ours) / middle:.2f} ×"
        texts = " ".join(f"{figure.text(value):>10}" for value in (middle, min(values), max(values)))
        yield f"  {system:<{COLUMN - 2}} {texts}  {ratio}"
    if disturbances:
        rounds = ", ".join(f"{number} ({share:.0%})" for number, share in disturbances.items())
        yield f"  * other processes took the processor in round {rounds}"


def verdict_table(judged):
    """The aims, one a line."""
    yield ""
    yield "Aims: Tapline's median as a ratio of its peer's, in this run"
    yield "=" * WIDTH
    yield f"{'':<86} {'wanted':>9} {'measured':>9}"
    for verdict in judged:
        yield str(verdict)
