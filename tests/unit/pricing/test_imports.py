from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = "genai_prices", "pydantic", "httpx2", "rich", "typer"


@pytest.mark.parametrize(
    "code",
    [
        "import hivecost.pricing",
        "from hivecost.pricing import PriceBook; PriceBook({'m': {'input': 1, 'output': 2}})",
        "from hivecost.usage import read_usage; read_usage({'usage': {'prompt_tokens': 1}})",
    ],
)
def test_genai_prices_is_not_imported_before_a_rate_is_needed(code):
    """Importing pricing, making a book and reading usage cost no vendor imports."""
    check = f"{code}\nimport sys\nprint([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_first_price_imports_it():
    """The check above can fail: pricing a turn does import genai-prices."""
    check = (
        "from hivecost.pricing import PriceBook; from hivecost.events import Usage; import sys\n"
        "PriceBook().price('gpt-4o', Usage(input_tokens=1))\nprint('genai_prices' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
