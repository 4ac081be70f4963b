import jinja2
import pytest

from raysuite.reporting.assets import assets_folder, environment


def test_the_page_has_its_template_style_and_script():
    assert {"report.html.j2", "report.css", "report.js"} <= {path.name for path in assets_folder().iterdir()}


def test_templates_escape_and_refuse_unknown_names():
    made = environment()
    assert made.from_string("{{ x }}").render(x="<b>") == "&lt;b&gt;"
    with pytest.raises(jinja2.UndefinedError):
        made.from_string("{{ y }}").render()


def test_no_number_that_json_lacks_reaches_the_page():
    with pytest.raises(ValueError, match="JSON"):
        environment().from_string("{{ x | tojson }}").render(x=float("nan"))
