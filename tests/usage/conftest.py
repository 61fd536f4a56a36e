"""Run directories with times of their own."""

from __future__ import annotations

import pytest

from tests.cli.made import Runs
from tests.conftest import Compose
from tests.usage.told import Told


@pytest.fixture
def told(compose: Compose) -> Told:
    return Told(Runs(compose))
