"""The documentation page says what the program says."""

from pathlib import Path
from typing import get_args

import pytest

from reference_server.app import App
from reference_server.errors import Code
from reference_server.metrics import Metrics
from reference_server.settings import describe_settings, settings_for

PAGE = Path(__file__).parents[2] / "docs" / "reference-server.md"


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def test_the_settings_table_is_the_programs(page: str) -> None:
    table = "\n".join(line.rstrip() for line in describe_settings().splitlines())
    assert table in page


def test_every_route_is_there(page: str) -> None:
    app = App(settings_for("baseline"), Metrics(), {})
    assert [route for route in app.routes if f" {route}`" not in page] == []


def test_every_error_code_is_there(page: str) -> None:
    assert [code for code in get_args(Code) if f"`{code}`" not in page] == []
