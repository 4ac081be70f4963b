"""Tables for a paper: whole, with as many cells in each row, and no name that LaTeX would obey."""

from __future__ import annotations

import re

from raysuite.reporting.latex import escaped, latex_tables
from raysuite.reporting.results import load_results
from raysuite.reporting.summary import summarise

LATEX_NAME = r"50% & #1_$a^b~{c}\input{/etc/passwd}"


def test_latex_prints_what_it_would_else_obey():
    assert escaped(LATEX_NAME) == (
        r"50\% \& \#1\_\$a\textasciicircum{}b\textasciitilde{}\{c\}\textbackslash{}input\{/etc/passwd\}"
    )
    assert escaped("98.3 ± 0.4 ‡") == r"98.3 $\pm$ 0.4 \textsuperscript{\ddag}"
    assert "\n" not in escaped("a\nb\u2028c")


def test_latex_tables_are_whole_and_every_row_has_as_many_cells(compared_run):
    text = latex_tables(summarise(load_results(compared_run)))
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == 6
    for body in re.findall(r"\\begin{tabular}{(l(r+))}(.*?)\\end{tabular}", text, flags=re.DOTALL):
        lines = [line for line in body[2].splitlines() if line.endswith(r"\\")]
        assert len(lines) == 6
        assert {line.count(" & ") for line in lines} == {len(body[1])}
        assert [body[2].count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [1, 2, 1]
    assert r"\textbf{" in text
    comments = [line for line in text.splitlines() if line.startswith("%")]
    assert any("the loss is no longer a number" in line for line in comments)


def test_marks_are_explained_in_the_caption_that_goes_with_the_table(compared_run):
    captions = [c for c in latex_tables(summarise(load_results(compared_run))).splitlines() if r"\caption" in c]
    assert all("std over 2 seeds" in caption and "Incomplete" in caption for caption in captions)
    assert ["Oracle" in caption for caption in captions] == [False, False, False, True, True, True]
