from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def oracle():
    """tests/contract/log_oracle.py, which test modules cannot import by name."""
    path = Path(__file__).parents[1] / "contract" / "log_oracle.py"
    spec = importlib.util.spec_from_file_location("log_oracle", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
