"""Bar charts as SVG: the median as a bar, minimum and maximum as a line through its end."""
import math
import os
from html import escape
from statistics import median

from cells import CELLS, FIGURES, Figure

COLOURS = ["#c2410c", "#fb923c", "#1d4ed8", "#60a5fa", "#166534", "#65a30d", "#a3e635", "#7e22ce", "#c084fc", "#a16207",
           "#475569", "#94a3b8"]
BAR, GAP, HEIGHT, LEFT, BOTTOM = 16, 28, 260, 70, 70
LEGEND_COLUMN, LEGEND_LINE = 180, 16

# A file's name, its title, the figure, and which cells it is taken from.
PLOTS = [
    ("datagrams", "UDP delivered", "delivered", lambda cell: cell.key.startswith("udp")),
    ("bulk", "TCP bulk", "bits", lambda cell: True),
    ("request-response", "request/response, median", "p50", lambda cell: True),
    ("processor", "processor time of the forwarding process per frame", "processor",
     lambda cell: "1400" not in cell.key)]


def write(folder, scenario, results):
    """Writes the plots of one scenario into a folder."""
    for file, title, name, chosen in PLOTS:
        groups = [(cell.title, results.values[key]) for cell in CELLS
                  if chosen(cell) and (key := (scenario.name, cell.key, name)) in results.values]
        if groups:
            figure = FIGURES[name]
            with open(os.path.join(folder, f"{scenario.name}-{file}.svg"), "w") as output:
                output.write(chart(f"{scenario.title}: {title}, {figure.unit}", groups, figure))


def write_lookup(folder, lines):
    """Writes what a lookup costs by the number of entries, from the lines of `measure lookup`: with what is looked up in the
    cache, and with everything drawn at random."""
    for name, title in (("nanoseconds", "what is looked up is in the cache"), ("cold_nanoseconds", "drawn at random")):
        groups = {}
        for line in lines:
            if name in line:
                group = groups.setdefault(f"{line['entries']:,} entries", {})
                group.setdefault(f"{line['key']}, {line['case']}", []).append(line[name])
        if groups:
            with open(os.path.join(folder, f"lookup-{name.replace('_', '-')}.svg"), "w") as output:
                output.write(chart(f"a lookup, {title}, ns", list(groups.items()), Figure(name, name, "ns", 1, 0)))


def chart(title, groups, figure):
    """The text of an SVG: groups are pairs of a title and a mapping from systems to their values."""
    systems = list(dict.fromkeys(system for _, values in groups for system in values))
    colours = {system: COLOURS[number % len(COLOURS)] for number, system in enumerate(systems)}
    step = len(systems) * BAR + GAP
    width = max(LEFT + len(groups) * max(step, 150) + 20, LEFT + 4 * LEGEND_COLUMN)
    step = (width - LEFT - 20) / len(groups)
    columns = (width - LEFT) // LEGEND_COLUMN
    plot_top = 44 + LEGEND_LINE * -(-len(systems) // columns)
    top = max(max(values) for _, group in groups for values in group.values()) or 1
    scale = HEIGHT / (top * 1.08)
    base = plot_top + HEIGHT
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{base + BOTTOM}" '
             'font-family="sans-serif" font-size="11">',
             '<rect width="100%" height="100%" fill="white"/>',
             f'<text x="{LEFT}" y="20" font-size="14">{escape(title)}</text>']
    tick = _tick(top)
    for part in range(int(top / tick) + 1):
        value = tick * part
        y = base - value * scale
        parts += [f'<line x1="{LEFT}" x2="{width - 20}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>',
                  f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{figure.text(value)}</text>']
    for number, (name, group) in enumerate(groups):
        left = LEFT + number * step + (step - len(group) * BAR) / 2
        for place, (system, values) in enumerate(group.items()):
            x, middle = left + place * BAR, median(values)
            parts += [f'<rect x="{x + 1:.1f}" y="{base - middle * scale:.1f}" width="{BAR - 2}" '
                      f'height="{middle * scale:.1f}" fill="{colours[system]}">'
                      f'<title>{escape(system)}: {figure.text(middle)} {figure.unit}</title></rect>',
                      f'<line x1="{x + BAR / 2:.1f}" x2="{x + BAR / 2:.1f}" y1="{base - min(values) * scale:.1f}" '
                      f'y2="{base - max(values) * scale:.1f}" stroke="black"/>']
        for line, text in enumerate(_folded(name)):
            parts.append(f'<text x="{LEFT + (number + 0.5) * step:.1f}" y="{base + 16 + 13 * line}" '
                         f'text-anchor="middle">{escape(text)}</text>')
    for number, system in enumerate(systems):
        x, y = LEFT + number % columns * LEGEND_COLUMN, 32 + number // columns * LEGEND_LINE
        parts += [f'<rect x="{x}" y="{y}" width="10" height="10" fill="{colours[system]}"/>',
                  f'<text x="{x + 14}" y="{y + 9}">{escape(system)}</text>']
    return "\n".join(parts + ["</svg>"]) + "\n"


def _tick(top):
    """The distance of the lines of an axis up to `top`: 1, 2 or 5 times a power of ten, four to ten of them."""
    power = 10 ** math.floor(math.log10(top))
    return next(power * part for part in (0.1, 0.2, 0.5, 1) if top / (power * part) < 10)


def _folded(text):
    """A title on lines of its own at its commas."""
    return [part.strip() for part in text.split(", ")]
