"""What tests/data/prepare makes."""

from __future__ import annotations

from tests.data.prepare.conftest import preparing

__all__ = ["preparing"]
