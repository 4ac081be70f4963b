"""The tables of results for a paper: LaTeX with booktabs."""

from __future__ import annotations

from collections.abc import Sequence

from raysuite.printing import printable
from raysuite.reporting.comparison import compare
from raysuite.reporting.definitions import INCOMPLETE, ORACLE, ORACLE_SETTINGS
from raysuite.reporting.summary import Summary
from raysuite.reporting.tables import Grid, comparison_grid, notes, results_grid

_ESCAPED = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': "''", "'": r"\textquotesingle{}", "`": r"\textasciigrave{}",
    "-": "{-}", "[": "{[}", "]": "{]}", "*": "{*}",
    "±": r"$\pm$", "×": r"$\times$", "–": "--", "“": "``", "”": "''", "’": "'",
    ORACLE: r"\textsuperscript{\dag}", INCOMPLETE: r"\textsuperscript{\ddag}",
}  # fmt: skip
"""What stands for each character that LaTeX would take for its own, or does not have in its plain fonts."""


def escaped(text: str) -> str:
    """The text so that LaTeX prints it; other alphabets need XeLaTeX or LuaLaTeX."""
    return "".join(_ESCAPED.get(character, character) for character in printable(text))


def latex_tables(summaries: Sequence[Summary]) -> str:
    """``table`` environments of booktabs with their notes as comments, ending with a newline.

    With several objectives the comparisons come first.
    """
    comparisons = compare(summaries)
    grids = [*map(comparison_grid, comparisons), *map(results_grid, summaries)]
    run = escaped(summaries[0].name)
    blocks = [
        r"% Needs \usepackage{booktabs}, \usepackage{textcomp} and, before 2018, \usepackage[utf8]{inputenc}.",
        *(f"% {printable(note)}" for note in notes(summaries)),
    ]
    for grid in grids:
        blocks += ["", *_lines(grid, f"{run}: {escaped(grid.title)}. {escaped(_read(grid, summaries[0]))}")]
    return "\n".join([*blocks, ""])


def _read(grid: Grid, summary: Summary) -> str:
    """How to read the table: for the caption, which goes wherever the table goes."""
    shown, seeds = " ".join([*grid.header, *grid.mean]), len(summary.seeds)
    said = [f"Percent, mean ± std over {seeds} seeds." if seeds > 1 else "Percent, one seed."]
    if ORACLE in shown:
        said.append(f"{ORACLE} Oracle: the threshold is chosen on the test labels.")
    if INCOMPLETE in shown:
        said.append(f"{INCOMPLETE} Incomplete: the mean is over those that are defined and did not fail.")
    if summary.oracle:
        said.append(ORACLE_SETTINGS)
    return " ".join(said)


def _lines(grid: Grid, caption: str) -> list[str]:
    def line(index: int, cells: Sequence[str]) -> str:
        shown = [escaped(cell) for cell in cells]
        return (
            " & ".join(rf"\textbf{{{cell}}}" if (index, at) in grid.best else cell for at, cell in enumerate(shown))
            + r" \\"
        )

    columns = "l" + "r" * (len(grid.header) - 1)
    return [
        r"\begin{table}",
        rf"  \caption{{{caption}}}",
        rf"  \begin{{tabular}}{{{columns}}}",
        r"    \toprule",
        "    " + " & ".join(escaped(name) for name in grid.header) + r" \\",
        r"    \midrule",
        *("    " + line(index, row) for index, row in enumerate(grid.rows)),
        r"    \midrule",
        "    " + line(-1, grid.mean),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
